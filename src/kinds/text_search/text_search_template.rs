//! Text search templates: `text-search-template t init=dsimple_init lexize=dsimple_lexize`.

use crate::catalog::class;
use crate::kinds::BuiltIns;
use crate::kinds::support::function_attr;
use crate::model::{Address, Attr, Key, Kind, Namespace, ObjectId, OnChange, Within};

use super::objects::{Function, OfFunctions};

const LEXIZE: Key<ObjectId> = Key::new("lexize");
const INIT: Key<ObjectId> = Key::new("init");

const FUNCTIONS: [Function; 2] = [
    Function {
        key: LEXIZE,
        word: "LEXIZE",
        column: "lexize",
        takes: &["internal", "internal", "internal", "internal"],
    },
    Function { key: INIT, word: "INIT", column: "init", takes: &["internal"] },
];

static ATTRS: [Attr; 2] = [
    function_attr(INIT, OnChange::Replace, "The function that reads a dictionary's options; optional."),
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
    doc: "The functions that dictionaries use. Only superusers may create one.",
};

pub static ROOM: OfFunctions = OfFunctions {
    kind: &KIND,
    functions: &FUNCTIONS,
    needed: 1,
    built_ins: BuiltIns::These(|name| ["simple", "synonym", "ispell", "thesaurus", "snowball"].contains(&name)),
    class: class::PG_TS_TEMPLATE,
    catalog: ("pg_ts_template", "tmpl"),
};

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
