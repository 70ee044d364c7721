//! Text search templates: `text-search-template t init=dsimple_init lexize=dsimple_lexize`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::model::{Address, Attr, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Within};

use super::scope::Scope;
use super::support::{self, function_attr};
use super::text_search::{self, Function};
use super::{BuiltIns, Context, Folded, Room, Statement};

const LEXIZE: Key<ObjectId> = Key::new("lexize");
const INIT: Key<ObjectId> = Key::new("init");

const FUNCTIONS: [Function; 2] =
    [(LEXIZE, "LEXIZE", &["internal", "internal", "internal", "internal"]), (INIT, "INIT", &["internal"])];

static ATTRS: [Attr; 2] = [
    function_attr(INIT, OnChange::Replace, "The function that reads a dictionary's options; it may be left out."),
    function_attr(LEXIZE, OnChange::Replace, "The function that turns a token into lexemes."),
];

pub static KIND: Kind = Kind {
    word: "text-search-template",
    sql: "TEXT SEARCH TEMPLATE",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "The functions behind dictionaries. Only superusers may make one.",
};

pub struct Template;
pub static ROOM: Template = Template;

impl Room for Template {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        text_search::parse(&ROOM, &FUNCTIONS, 1, node, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        Some(text_search::write(&FUNCTIONS, id, object, inner))
    }

    fn built_ins(&self) -> BuiltIns {
        BuiltIns::These(|name| ["simple", "synonym", "ispell", "thesaurus", "snowball"].contains(&name))
    }

    fn query(&self, _: Version) -> Option<String> {
        let functions =
            ["t.tmpllexize", "t.tmplinit"].map(|column| support::columns(&format!("{column}::oid"))).join(", ");
        Some(format!(
            "SELECT t.oid, t.tmplnamespace, t.tmplname, {functions} FROM pg_ts_template t WHERE t.oid >= 16384 ORDER BY t.oid"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_TS_TEMPLATE, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_TS_TEMPLATE, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        Some(text_search::read(&FUNCTIONS, row, book))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(text_search::create(&FUNCTIONS, id, object))
    }

    /// Nothing of a template can be altered in place.
    fn alter(
        &self,
        _: &ObjectId,
        _: &Object,
        _: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(vec![])
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{create, load, round_trip};

    #[test]
    fn what_a_template_says_is_created() {
        assert_eq!(
            create(
                &round_trip("text-search-template t init=dsimple_init lexize=dsimple_lexize\n"),
                "text-search-template"
            ),
            [
                "CREATE TEXT SEARCH TEMPLATE public.t (LEXIZE = pg_catalog.dsimple_lexize, INIT = pg_catalog.dsimple_init)"
            ]
        );
        assert_eq!(load("text-search-template t init=x").1, ["this text-search-template has no function `lexize`"]);
    }
}
