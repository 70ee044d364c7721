//! Text search configurations: `text-search-configuration en { mapping asciiword word { with english_stem } }`.

use std::collections::BTreeMap;

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node};
use crate::kinds::held::Held;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State, Text,
    Within, attr,
};
use crate::sql;

use super::objects;

const PARSER: Key<ObjectId> = Key::new("parser");
const MAPPINGS: Key<Vec<Attrs>> = Key::new("mapping");
const TOKENS: Key<Vec<Text>> = Key::new("tokens");
const WITH: Key<Vec<ObjectId>> = Key::new("with");

/// The parser of a configuration that names none.
const USUAL_PARSER: &str = "default";

static MAPPING: [Attr; 2] = [
    attr(TOKENS, Shape::Names, Form::Arguments, OnChange::Alter, "Token types, as the parser calls them."),
    attr(
        WITH,
        Shape::Refs(&["text-search-dictionary"]),
        Form::Child,
        OnChange::Alter,
        "The dictionaries to ask, one after the other, until one recognizes the word.",
    ),
];

static ATTRS: [Attr; 2] = [
    attr(
        PARSER,
        Shape::Ref(&["text-search-parser"]),
        Form::Property,
        OnChange::Replace,
        "The parser; PostgreSQL's own `default` if omitted.",
    ),
    attr(
        MAPPINGS,
        Shape::Records(&MAPPING),
        Form::Repeated,
        OnChange::Alter,
        "Which dictionaries handle which tokens: `mapping asciiword word { with english_stem }`. Tokens without a mapping are ignored.",
    ),
];

pub static KIND: Kind = Kind {
    word: "text-search-configuration",
    sql: "TEXT SEARCH CONFIGURATION",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "How texts become lexemes: a parser, and dictionaries for each token type.",
};

static HELD: Held = Held::in_schema(class::PG_TS_CONFIG, "pg_ts_config", "cfg");

pub struct Configuration;
pub static ROOM: Configuration = Configuration;

impl Room for Configuration {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        generic::parse(&KIND, node, scope);
        let Some(id) = node.args.first().and_then(Arg::as_text).map(|name| scope.id(self, name.clone())) else {
            return;
        };
        if let Some(object) = scope.load.state.objects_mut().get_mut(&id)
            && lack(object).is_none()
        {
            normalise(object);
        }
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        lack(object)
    }

    fn query(&self, _: Version) -> Option<String> {
        let dictionary = |what: &str| {
            format!(
                "ARRAY(SELECT {what}::text FROM pg_ts_config_map m JOIN pg_ts_dict d ON d.oid = m.mapdict \
                 JOIN pg_namespace n ON n.oid = d.dictnamespace WHERE m.mapcfg = c.oid ORDER BY m.maptokentype, m.mapseqno)"
            )
        };
        Some(format!(
            "SELECT c.oid, c.cfgnamespace, c.cfgname, n.nspname::text, p.prsname::text, \
             ARRAY(SELECT t.alias FROM pg_ts_config_map m JOIN ts_token_type(c.cfgparser) t ON t.tokid = m.maptokentype \
                   WHERE m.mapcfg = c.oid ORDER BY m.maptokentype, m.mapseqno), {}, {} \
             FROM pg_ts_config c JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_namespace n ON n.oid = p.prsnamespace \
             WHERE c.oid >= 16384 ORDER BY c.oid",
            dictionary("n.nspname"),
            dictionary("d.dictname")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_TS_CONFIG, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_TS_CONFIG, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        let parser = (row.text(), row.text());
        object.attrs.set(PARSER, objects::id("text-search-parser", &parser.0, &parser.1));
        let (tokens, homes, names): (Vec<String>, Vec<String>, Vec<String>) = (row.next(), row.next(), row.next());
        let mut mappings: BTreeMap<Text, Vec<ObjectId>> = BTreeMap::new();
        for (token, (home, name)) in tokens.iter().zip(homes.iter().zip(&names)) {
            let list = mappings.entry(token.as_str().into()).or_default();
            list.extend(objects::id("text-search-dictionary", home, name));
        }
        object.attrs.set(MAPPINGS, grouped(&mappings));
        normalise(&mut object);
        Some(object)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let usual = || sql::name(&USUAL_PARSER.into()).to_string();
        let parser = object.get(PARSER).map_or_else(usual, objects::name);
        let create = Statement::new(format!("CREATE {} (PARSER = {parser})", sql::target(id)));
        Ok(std::iter::once(create).chain(alter(id, &BTreeMap::new(), &mappings(object))).collect())
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(alter(id, &mappings(old), &mappings(new)))
    }
}

/// What is wrong with the mappings that a file has.
fn lack(object: &Object) -> Option<String> {
    let mut seen: Vec<&Text> = Vec::new();
    for mapping in object.get(MAPPINGS).unwrap_or_default() {
        let tokens = mapping.get(TOKENS).unwrap_or_default();
        if tokens.is_empty() || mapping.get(WITH).unwrap_or_default().is_empty() {
            return Some("a mapping assigns dictionaries to tokens: `mapping TOKEN … { with DICTIONARY … }`".into());
        }
        for token in tokens {
            if seen.contains(&token) {
                return Some(format!("two mappings handle `{token}`: remove one of them"));
            }
            seen.push(token);
        }
    }
    None
}

/// Token → its dictionaries.
fn mappings(object: &Object) -> BTreeMap<Text, Vec<ObjectId>> {
    let mut out = BTreeMap::new();
    for mapping in object.get(MAPPINGS).unwrap_or_default() {
        let with: Vec<ObjectId> = mapping.get(WITH).unwrap_or_default().into_iter().cloned().collect();
        out.extend(mapping.get(TOKENS).unwrap_or_default().into_iter().map(|token| (token.clone(), with.clone())));
    }
    out
}

/// Dictionaries with all tokens that go to them, in an order that does not depend on who wrote them.
fn groups(mappings: &BTreeMap<Text, Vec<ObjectId>>) -> Vec<(Vec<Text>, &Vec<ObjectId>)> {
    let mut out: Vec<(Vec<Text>, &Vec<ObjectId>)> = Vec::new();
    for (token, with) in mappings {
        match out.iter_mut().find(|(_, other)| *other == with) {
            Some((tokens, _)) => tokens.push(token.clone()),
            None => out.push((vec![token.clone()], with)),
        }
    }
    out
}

fn grouped(mappings: &BTreeMap<Text, Vec<ObjectId>>) -> Option<Vec<Attrs>> {
    let record =
        |(tokens, with): (Vec<Text>, &Vec<ObjectId>)| Attrs::new().with(TOKENS, tokens).with(WITH, with.clone());
    let list: Vec<Attrs> = groups(mappings).into_iter().map(record).collect();
    (!list.is_empty()).then_some(list)
}

/// Tokens that go to the same dictionaries are grouped; the default parser is left out.
fn normalise(object: &mut Object) {
    let list = grouped(&mappings(object));
    object.attrs.set(MAPPINGS, list);
    if object.get(PARSER) == objects::id("text-search-parser", "pg_catalog", USUAL_PARSER).as_ref() {
        object.attrs.remove(PARSER.name);
    }
}

/// The statements that lead from some mappings to others.
fn alter(id: &ObjectId, old: &BTreeMap<Text, Vec<ObjectId>>, new: &BTreeMap<Text, Vec<ObjectId>>) -> Vec<Statement> {
    let names = |tokens: &[Text]| {
        let tokens: Vec<_> = tokens.iter().map(|token| sql::name(&(&**token).into()).to_string()).collect();
        tokens.join(", ")
    };
    let target = sql::target(id);
    let mut out = Vec::new();
    let gone: Vec<Text> = old.keys().filter(|token| !new.contains_key(*token)).cloned().collect();
    if !gone.is_empty() {
        out.push(Statement::new(format!("ALTER {target} DROP MAPPING FOR {}", names(&gone))));
    }
    for (verb, known) in [("ADD", false), ("ALTER", true)] {
        let wanted = new.iter().filter(|(token, with)| match old.get(*token) {
            Some(before) => known && before != *with,
            None => !known,
        });
        let wanted = wanted.map(|(token, with)| (token.clone(), with.clone())).collect();
        for (tokens, with) in groups(&wanted) {
            let with = with.iter().map(objects::name).collect::<Vec<_>>().join(", ");
            let sql = format!("ALTER {target} {verb} MAPPING FOR {} WITH {with}", names(&tokens));
            out.push(Statement::new(sql));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    const EN: &str = "text-search-dictionary d template=simple\n\n\
                      text-search-configuration en {\n    mapping asciiword word {\n        with d simple\n    }\n    \
                      mapping int {\n        with simple\n    }\n}\n";

    #[test]
    fn what_a_configuration_says_is_created() {
        assert_eq!(
            create(&round_trip(EN), "text-search-configuration"),
            [
                "CREATE TEXT SEARCH CONFIGURATION public.en (PARSER = \"default\")",
                "ALTER TEXT SEARCH CONFIGURATION public.en ADD MAPPING FOR asciiword, word WITH public.d, simple",
                "ALTER TEXT SEARCH CONFIGURATION public.en ADD MAPPING FOR \"int\" WITH simple",
            ]
        );
    }

    #[test]
    fn mappings_are_altered_token_by_token() {
        let other = EN.replace("mapping asciiword word", "mapping asciiword url").replace("with d simple", "with d");
        assert_eq!(
            alter(EN, &other, "text-search-configuration"),
            [
                "ALTER TEXT SEARCH CONFIGURATION public.en DROP MAPPING FOR word",
                "ALTER TEXT SEARCH CONFIGURATION public.en ADD MAPPING FOR url WITH public.d",
                "ALTER TEXT SEARCH CONFIGURATION public.en ALTER MAPPING FOR asciiword WITH public.d",
            ]
        );
    }

    #[test]
    fn how_mappings_are_written_means_nothing() {
        let one = "text-search-configuration c parser=default { mapping word asciiword { with simple } }";
        let two = "text-search-configuration c { mapping asciiword { with simple }; mapping word { with simple } }";
        assert_eq!(load(one).0.objects(), load(two).0.objects());
    }
}
