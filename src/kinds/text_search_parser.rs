//! Text search parsers: `text-search-parser p start=prsd_start gettoken=prsd_nexttoken end=prsd_end lextypes=prsd_lextype`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::model::{Address, Attr, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Within};

use super::scope::Scope;
use super::support::{self, function_attr};
use super::text_search::{self, Function};
use super::{BuiltIns, Context, Folded, Room, Statement};

const START: Key<ObjectId> = Key::new("start");
const GETTOKEN: Key<ObjectId> = Key::new("gettoken");
const END: Key<ObjectId> = Key::new("end");
const HEADLINE: Key<ObjectId> = Key::new("headline");
const LEXTYPES: Key<ObjectId> = Key::new("lextypes");

const FUNCTIONS: [Function; 5] = [
    (START, "START", &["internal", "integer"]),
    (GETTOKEN, "GETTOKEN", &["internal", "internal", "internal"]),
    (END, "END", &["internal"]),
    (LEXTYPES, "LEXTYPES", &["internal"]),
    (HEADLINE, "HEADLINE", &["internal", "internal", "tsquery"]),
];

static ATTRS: [Attr; 5] = [
    function_attr(START, OnChange::Replace, "The function that begins to read a text."),
    function_attr(GETTOKEN, OnChange::Replace, "The function that gives the next token."),
    function_attr(END, OnChange::Replace, "The function that ends reading."),
    function_attr(LEXTYPES, OnChange::Replace, "The function that lists the types of tokens."),
    function_attr(HEADLINE, OnChange::Replace, "The function that makes summaries; it may be left out."),
];

pub static KIND: Kind = Kind {
    word: "text-search-parser",
    sql: "TEXT SEARCH PARSER",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Splits texts into tokens of several types. Only superusers may make one.",
};

pub struct Parser;
pub static ROOM: Parser = Parser;

impl Room for Parser {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        text_search::parse(&ROOM, &FUNCTIONS, 4, node, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        Some(text_search::write(&FUNCTIONS, id, object, inner))
    }

    fn built_ins(&self) -> BuiltIns {
        BuiltIns::These(|name| name == "default")
    }

    fn query(&self, _: Version) -> Option<String> {
        let functions = ["p.prsstart", "p.prstoken", "p.prsend", "p.prslextype", "p.prsheadline"];
        let functions = functions.map(|column| support::columns(&format!("{column}::oid"))).join(", ");
        Some(format!(
            "SELECT p.oid, p.prsnamespace, p.prsname, {functions} FROM pg_ts_parser p WHERE p.oid >= 16384 ORDER BY p.oid"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_TS_PARSER, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_TS_PARSER, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        Some(text_search::read(&FUNCTIONS, row, book))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(text_search::create(&FUNCTIONS, id, object))
    }

    /// Nothing of a parser can be altered in place.
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
    use crate::kinds::testing::{alter, create, load, round_trip};

    const PLAIN: &str =
        "text-search-parser p start=prsd_start gettoken=prsd_nexttoken end=prsd_end lextypes=prsd_lextype\n";

    #[test]
    fn what_a_parser_says_is_created() {
        assert_eq!(
            create(&round_trip(PLAIN), "text-search-parser"),
            [
                "CREATE TEXT SEARCH PARSER public.p (START = pg_catalog.prsd_start, GETTOKEN = pg_catalog.prsd_nexttoken, \
              END = pg_catalog.prsd_end, LEXTYPES = pg_catalog.prsd_lextype)"
            ]
        );
        let more = PLAIN.replace('\n', " headline=prsd_headline\n");
        assert_eq!(alter(PLAIN, &more, "text-search-parser"), ["replace because of headline"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(load("text-search-parser p headline=prsd_headline").1.len(), 4);
    }
}
