//! Text search dictionaries: `text-search-dictionary english_long template=snowball { options language=english }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::held::Held;
use crate::kinds::{BuiltIns, Context, Folded, Room, Statement};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options, Result, Shape, State,
    Within, attr,
};
use crate::sql;

use super::objects;

const TEMPLATE: Key<ObjectId> = Key::new("template");
const OPTIONS: Key<Options> = Key::new("options");

static ATTRS: [Attr; 2] = [
    attr(
        TEMPLATE,
        Shape::Ref(&["text-search-template"]),
        Form::Property,
        OnChange::Replace,
        "The template that provides its functions: snowball, ispell, synonym, thesaurus, simple, or one of your own.",
    ),
    attr(
        OPTIONS,
        Shape::Options,
        Form::Child,
        OnChange::Alter,
        "Options of the template, such as a language or files.",
    ),
];

pub static KIND: Kind = Kind {
    word: "text-search-dictionary",
    sql: "TEXT SEARCH DICTIONARY",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Turns words into lexemes, and drops stop words.",
};

static HELD: Held = Held::in_schema(class::PG_TS_DICT, "pg_ts_dict", "dict");

pub struct Dictionary;
pub static ROOM: Dictionary = Dictionary;

impl Room for Dictionary {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(TEMPLATE).is_none().then(|| "it has no template: write `template=…`".to_string())
    }

    fn built_ins(&self) -> BuiltIns {
        BuiltIns::These(|name| name == "simple" || name.ends_with("_stem"))
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT d.oid, d.dictnamespace, d.dictname, n.nspname::text, t.tmplname::text, d.dictinitoption \
             FROM pg_ts_dict d JOIN pg_ts_template t ON t.oid = d.dicttemplate JOIN pg_namespace n ON n.oid = t.tmplnamespace \
             WHERE d.oid >= 16384 ORDER BY d.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_TS_DICT, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_TS_DICT, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        let (home, name) = (row.text(), row.text());
        object.attrs.set(TEMPLATE, objects::id("text-search-template", &home, &name));
        object.attrs.set(OPTIONS, row.text_opt().and_then(|text| Options::some(sql::definitions(&text))));
        Some(object)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let template = object.get(TEMPLATE).map(|id| format!("TEMPLATE = {}", objects::name(id)));
        let options = object.get(OPTIONS).unwrap_or_default();
        let parts: Vec<String> = template.into_iter().chain(options.into_iter().map(|o| sql::definition(o))).collect();
        Ok(vec![Statement::new(format!("CREATE {} ({})", sql::target(id), parts.join(", ")))])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let (old, new) = (old.get(OPTIONS).unwrap_or_default(), new.get(OPTIONS).unwrap_or_default());
        let changes = sql::definition_changes(&old, &new);
        let statement = || Statement::new(format!("ALTER {} ({})", sql::target(id), changes.join(", ")));
        Ok((!changes.is_empty()).then(statement).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn what_a_dictionary_says_is_created_and_altered() {
        let text = "text-search-dictionary d template=snowball {\n    options language=english stopwords=english\n}\n\n\
                    text-search-dictionary plain template=simple\n";
        assert_eq!(
            create(&round_trip(text), "text-search-dictionary"),
            [
                "CREATE TEXT SEARCH DICTIONARY public.d (TEMPLATE = snowball, language = 'english', stopwords = 'english')",
                "CREATE TEXT SEARCH DICTIONARY public.plain (TEMPLATE = simple)",
            ]
        );
        assert_eq!(
            alter(
                text,
                &text.replace("language=english stopwords=english", "language=german"),
                "text-search-dictionary"
            ),
            ["ALTER TEXT SEARCH DICTIONARY public.d (language = 'german', stopwords)"]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(load("text-search-dictionary d template=odd").1, ["there is no text-search-template `odd`"]);
    }
}
