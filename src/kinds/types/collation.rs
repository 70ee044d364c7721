//! Collations: `collation ci nondeterministic provider=icu locale=und-u-ks-level2`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::held::Held;
use crate::kinds::scope::Scope;
use crate::kinds::{BuiltIns, Context, Folded, Room, Statement, generic};
use crate::model::{
    Address, Attr, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within,
    attr,
};
use crate::sql;

const NONDETERMINISTIC: Key<bool> = Key::new("nondeterministic");
const PROVIDER: Key<Text> = Key::new("provider");
const LOCALE: Key<Expr> = Key::new("locale");
const LC_COLLATE: Key<Text> = Key::new("lc-collate");
const LC_CTYPE: Key<Text> = Key::new("lc-ctype");
const RULES: Key<Text> = Key::new("rules");

static ATTRS: [Attr; 6] = [
    attr(
        NONDETERMINISTIC,
        Shape::Flag,
        Form::Flag,
        OnChange::Replace,
        "Strings with different bytes may be equal (ICU).",
    ),
    attr(
        PROVIDER,
        Shape::Word(&["libc", "icu", "builtin"]),
        Form::Property,
        OnChange::Replace,
        "What compares: the operating system, ICU, or PostgreSQL itself (since 17).",
    )
    .default("libc"),
    attr(LOCALE, Shape::Expr, Form::Property, OnChange::Replace, "The name of the locale, as the provider knows it."),
    attr(LC_COLLATE, Shape::Text, Form::Property, OnChange::Replace, "The locale for sorting, if there are two."),
    attr(
        LC_CTYPE,
        Shape::Text,
        Form::Property,
        OnChange::Replace,
        "The locale for character classes, if there are two.",
    ),
    attr(RULES, Shape::Text, Form::Property, OnChange::Replace, "Additional sorting rules (ICU, since 16).").since(16),
];

pub static KIND: Kind = Kind {
    word: "collation",
    sql: "COLLATION",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "How strings are sorted and compared.",
};

static HELD: Held = Held::in_schema(class::PG_COLLATION, "pg_collation", "coll");

pub struct Collation;
pub static ROOM: Collation = Collation;

impl Room for Collation {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn since(&self, object: &Object) -> Option<(u32, String)> {
        object.get(PROVIDER).filter(|name| &***name == "builtin").map(|name| (17, format!("provider={name}")))
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let says = |key: &str| node.get_prop(key).is_some();
        let (one, two) = (says(LOCALE.name), [says(LC_COLLATE.name), says(LC_CTYPE.name)]);
        let mut wrong = |message: &str| {
            let problem = Problem::new(node.name_span, message.to_string());
            scope.problem(problem.help("write `locale=…`, or `lc-collate=…` and `lc-ctype=…`"));
        };
        match (one, two) {
            (true, [false, false]) | (false, [true, true]) => {}
            (true, _) => wrong("this collation has a locale and another one for sorting or letters"),
            (false, _) => wrong("this collation does not name its locale"),
        }
        generic::parse(&KIND, node, scope);
        // Two that are the same are one.
        let Some(name) = node.args.first().and_then(|arg| arg.as_text()) else { return };
        let id = scope.id(self, name.clone());
        if let Some(object) = scope.load.state.objects_mut().get_mut(&id) {
            normalise(object);
        }
    }

    fn built_ins(&self) -> BuiltIns {
        BuiltIns::Undeclared
    }

    fn query(&self, server: Version) -> Option<String> {
        let locale = match server.major() {
            17.. => "c.colllocale",
            15 | 16 => "c.colliculocale",
            _ => "CASE WHEN c.collprovider = 'i' THEN c.collcollate END",
        };
        let rules = if server.at_least(16) { "c.collicurules" } else { "NULL::text" };
        // One that is for another encoding cannot be used in this database.
        Some(format!(
            "SELECT c.oid, c.collnamespace, c.collname, NOT c.collisdeterministic, c.collprovider, {locale}::text, \
             c.collcollate::text, c.collctype::text, {rules} FROM pg_collation c WHERE c.oid >= 16384 AND c.collencoding IN \
             (-1, (SELECT encoding FROM pg_database WHERE datname = current_database())) ORDER BY c.oid"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_COLLATION, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_COLLATION, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(NONDETERMINISTIC, row.next::<bool>());
        let provider = match row.char() {
            'i' => "icu",
            'b' => "builtin",
            _ => "libc",
        };
        object.attrs.set(PROVIDER, Text::from(provider));
        let (locale, collate, ctype) = (row.text_opt(), row.text_opt(), row.text_opt());
        match locale {
            Some(locale) => _ = object.attrs.set(LOCALE, Expr::new(locale)),
            None => _ = object.attrs.set(LC_COLLATE, collate).set(LC_CTYPE, ctype),
        }
        object.attrs.set(RULES, row.text_opt());
        normalise(&mut object);
        Some(object)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let mut parts = vec![format!("provider = {}", object.get(PROVIDER).map_or("libc", |p| p))];
        let texts = [
            ("locale", object.get(LOCALE).map(Expr::as_str)),
            ("lc_collate", object.get(LC_COLLATE).map(|t| &**t)),
            ("lc_ctype", object.get(LC_CTYPE).map(|t| &**t)),
        ];
        parts.extend(texts.into_iter().filter_map(|(word, text)| Some(format!("{word} = {}", sql::literal(text?)))));
        if object.is(NONDETERMINISTIC) {
            parts.push("deterministic = false".into());
        }
        parts.extend(object.get(RULES).map(|rules| format!("rules = {}", sql::literal(rules))));
        Ok(vec![Statement::new(format!("CREATE COLLATION {} ({})", sql::path(id), parts.join(", ")))])
    }

    /// Nothing of a collation can be altered in place.
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

/// One locale for sorting and letters is `locale`.
fn normalise(object: &mut Object) {
    if let (Some(collate), Some(ctype)) = (object.get(LC_COLLATE), object.get(LC_CTYPE))
        && collate == ctype
    {
        let locale = Expr::new(collate.clone());
        object.attrs.set(LOCALE, locale).set(LC_COLLATE, None).set(LC_CTYPE, None);
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn what_a_collation_says_is_created() {
        let text = "collation ci nondeterministic provider=icu locale=und-u-ks-level2 rules=\"& a < g\"\n\
                    collation two lc-collate=C lc-ctype=en_US.utf8\n";
        assert_eq!(
            create(&round_trip(text), "collation"),
            [
                "CREATE COLLATION public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false, rules = '& a < g')",
                "CREATE COLLATION public.two (provider = libc, lc_collate = 'C', lc_ctype = 'en_US.utf8')",
            ]
        );
    }

    #[test]
    fn two_locales_that_are_the_same_are_one() {
        let one = "collation c locale=C";
        assert_eq!(load("collation c lc-collate=C lc-ctype=C").0.objects(), load(one).0.objects());
        assert_eq!(alter(one, "collation c locale=POSIX", "collation"), ["replace because of locale"]);
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        for wrong in ["collation c", "collation c lc-ctype=C", "collation c locale=C lc-ctype=C"] {
            assert_eq!(load(wrong).1.len(), 1, "{wrong}");
        }
    }
}
