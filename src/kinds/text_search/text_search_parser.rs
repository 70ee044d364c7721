//! Text search parsers: `text-search-parser p start=prsd_start gettoken=prsd_nexttoken end=prsd_end lextypes=prsd_lextype`.

use crate::catalog::class;
use crate::kinds::BuiltIns;
use crate::kinds::support::function_attr;
use crate::model::{Address, Attr, Key, Kind, Namespace, ObjectId, OnChange, Within};

use super::objects::{Function, OfFunctions};

const START: Key<ObjectId> = Key::new("start");
const GETTOKEN: Key<ObjectId> = Key::new("gettoken");
const END: Key<ObjectId> = Key::new("end");
const HEADLINE: Key<ObjectId> = Key::new("headline");
const LEXTYPES: Key<ObjectId> = Key::new("lextypes");

const FUNCTIONS: [Function; 5] = [
    Function { key: START, word: "START", column: "start", takes: &["internal", "integer"] },
    Function { key: GETTOKEN, word: "GETTOKEN", column: "token", takes: &["internal", "internal", "internal"] },
    Function { key: END, word: "END", column: "end", takes: &["internal"] },
    Function { key: LEXTYPES, word: "LEXTYPES", column: "lextype", takes: &["internal"] },
    Function { key: HEADLINE, word: "HEADLINE", column: "headline", takes: &["internal", "internal", "tsquery"] },
];

static ATTRS: [Attr; 5] = [
    function_attr(START, OnChange::Replace, "The function that starts parsing a text."),
    function_attr(GETTOKEN, OnChange::Replace, "The function that returns the next token."),
    function_attr(END, OnChange::Replace, "The function that ends parsing."),
    function_attr(LEXTYPES, OnChange::Replace, "The function that lists the token types."),
    function_attr(HEADLINE, OnChange::Replace, "The function that makes headlines; optional."),
];

pub static KIND: Kind = Kind {
    word: "text-search-parser",
    sql: "TEXT SEARCH PARSER",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Splits texts into tokens of several types. Only superusers may create one.",
};

pub static ROOM: OfFunctions = OfFunctions {
    kind: &KIND,
    functions: &FUNCTIONS,
    needed: 4,
    built_ins: BuiltIns::These(|name| name == "default"),
    class: class::PG_TS_PARSER,
    catalog: ("pg_ts_parser", "prs"),
};

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
