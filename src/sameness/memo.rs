//! Remembers what the server stored for a text: the keys of these memories, and how they are looked up.
//!
//! A key contains everything that decides what the server makes of a text: the text, its place, the search path under which it is parsed,
//! what its names mean in the files, the server's major version and its extensions.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Session;
use crate::diff::Open;
use crate::kinds::room;
use crate::model::{Address, Digest, Expr, Key, ObjectId, Result, SqlType, State, Value};
use crate::sql::{names, operators};

use super::columns::Tables;
use super::leaves;
use super::probe::{self, Leaf};

const TYPE: Key<SqlType> = Key::new("type");

/// One piece of written text and what the catalog holds in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The question that it is a part of.
    pub open: Open,
    /// The key under which it is remembered.
    pub key: String,
    /// What the catalog holds.
    pub stored: String,
}

/// Stored texts by key.
pub type Known = FxHashMap<String, Vec<String>>;

/// The pieces of text that open questions are about. The states are those of `settle`.
///
/// # Errors
/// What the server reports.
pub async fn facts(session: &Session, old: &State, new: &State, questions: &[Open]) -> Result<Vec<Fact>> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let query = "SELECT coalesce(string_agg(extname || ' ' || extversion, ',' ORDER BY extname), '') FROM pg_extension";
    let extensions = session.rows(query, &[]).await?.first_mut().map(|row| row.text()).unwrap_or_default();
    let server = format!("{} {extensions}", session.version.major());
    let meanings = Meanings::new(new);
    let mut facts = Vec::new();
    for question in questions {
        let (Some(before), Some(after)) = (old.get(&question.id), new.get(&question.id)) else { continue };
        for leaf in leaves(question, before, after) {
            let key = meanings.key(&leaf, &server);
            facts.push(Fact { open: question.clone(), key, stored: leaf.stored.to_string() });
        }
    }
    Ok(facts)
}

/// The questions that a memory answers: each of their pieces is what was once stored for the written text.
pub fn same(facts: &[Fact], known: &Known) -> FxHashSet<Open> {
    let remembered = |fact: &Fact| known.get(&fact.key).is_some_and(|texts| texts.contains(&fact.stored));
    let mut same: FxHashSet<Open> = facts.iter().map(|fact| fact.open.clone()).collect();
    for fact in facts.iter().filter(|fact| !remembered(fact)) {
        same.remove(&fact.open);
    }
    same
}

/// What names mean in a state.
struct Meanings<'a> {
    state: &'a State,
    tables: Tables<'a>,
    named: FxHashMap<&'a str, Vec<&'a ObjectId>>,
}

impl<'a> Meanings<'a> {
    fn new(state: &'a State) -> Self {
        let mut named: FxHashMap<&str, Vec<&ObjectId>> = FxHashMap::default();
        for (id, _) in state.iter().filter(|(id, _)| matches!(id.kind().address, Address::Qualified | Address::Routine))
        {
            named.entry(id.name().as_str()).or_default().push(id);
        }
        Self { state, tables: Tables::new(state), named }
    }

    fn key(&self, leaf: &Leaf, server: &str) -> String {
        let parent = leaf.id.parent().map_or("", |p| p.kind().word);
        let mut texts: Vec<String> =
            [server, leaf.id.kind().word, parent, leaf.attr, leaf.name, &leaf.written].map(Into::into).into();
        texts.push(probe::path(&leaf.id));
        let mut meant = Vec::new();
        // Its own table or type, whose columns need no qualification.
        for id in std::iter::once(&leaf.id).chain(leaf.id.ancestors()) {
            meant.push(id);
            if id == leaf.id.root() {
                break;
            }
        }
        let elsewhere = self.state.get(&leaf.id).and_then(|object| room(leaf.id.kind()).relation(&leaf.id, object));
        let elsewhere = elsewhere.and_then(|id| self.state.find(&id)).map(|(id, _)| id);
        meant.extend(elsewhere.filter(|id| !leaf.id.ancestors().any(|a| a == *id)));
        let mut at = 0;
        self.mean(&leaf.written, &mut meant);
        while let Some(id) = meant.get(at).copied() {
            at += 1;
            texts.push(id.to_string());
            let Some(object) = self.state.get(id) else { continue };
            match id.kind().word {
                "table" | "foreign-table" => texts.push(self.tables.list(id)),
                // The form of views depends on the objects they use.
                "view" | "materialized-view" if *id != leaf.id => {
                    for (_, value) in object.iter() {
                        if let Value::Expr(Expr(query)) = value {
                            texts.push(query.to_string());
                            self.mean(query, &mut meant);
                        }
                    }
                }
                _ => texts.extend(object.get(TYPE).map(|t| t.as_str().to_string())),
            }
        }
        Digest::of_texts(texts.iter().map(String::as_str)).to_string()
    }

    /// Adds what the names and operators in a text may mean.
    fn mean<'b>(&'b self, text: &str, meant: &mut Vec<&'b ObjectId>)
    where
        'a: 'b,
    {
        for part in names::find(text).iter().chain(&operators::find(text)).flat_map(|name| &name.parts) {
            for id in self.named.get(part.as_str()).into_iter().flatten() {
                if !meant.contains(id) {
                    meant.push(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, scope::schema_id};
    use crate::model::{Attrs, Object};

    fn object(word: &str, parent: ObjectId, name: &str) -> ObjectId {
        ObjectId::new(find(word).unwrap().kind(), Some(parent), name)
    }

    /// A check on a table whose column has that type.
    fn key(column: &str, written: &str, server: &str) -> String {
        let table = object("table", schema_id("public"), "t");
        let mut state = State::default();
        state.put(table.clone(), Object::default());
        let attrs = Attrs::new().with(TYPE, SqlType::new(column));
        state.put(object("column", table.clone(), "a"), Object::new(attrs));
        let id = object("check", table, "c");
        let (attr, name) = ("expression", "expression");
        let leaf = Leaf { id, attr, name, is_type: false, stored: "x".into(), written: written.into() };
        Meanings::new(&state).key(&leaf, server)
    }

    #[test]
    fn keys_differ_with_all_that_decides() {
        let first = key("integer", "a > 0", "15 ");
        assert_eq!(first, key("integer", "a > 0", "15 "));
        for other in [key("bigint", "a > 0", "15 "), key("integer", "a>0", "15 "), key("integer", "a > 0", "16 ")] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn keys_differ_with_the_operators_of_the_files() {
        let leaf = |written: &str| Leaf {
            id: object("check", object("table", schema_id("public"), "t"), "c"),
            attr: "expression",
            name: "expression",
            is_type: false,
            stored: "x".into(),
            written: written.into(),
        };
        let mut state = State::default();
        let key = |state: &State, written| Meanings::new(state).key(&leaf(written), "15 ");
        let before = ["a + b > c", "a OPERATOR(public.+) b", "a - b"].map(|text| key(&state, text));
        let operator = find("operator").unwrap().kind();
        let plus = ObjectId::routine(operator, Some(schema_id("public")), "+", "text, text".to_string());
        state.put(plus, Object::default());
        let after = ["a + b > c", "a OPERATOR(public.+) b", "a - b"].map(|text| key(&state, text));
        assert_eq!([0, 1, 2].map(|at| before[at] == after[at]), [false, false, true]);
    }

    #[test]
    fn a_question_is_answered_when_all_its_parts_are() {
        let id = object("table", schema_id("public"), "t");
        let fact = |attr, key: &str, stored: &str| Fact {
            open: Open { id: id.clone(), attr },
            key: key.into(),
            stored: stored.into(),
        };
        let facts = [fact("a", "1", "x"), fact("a", "2", "y"), fact("b", "1", "x"), fact("c", "1", "z")];
        let known = Known::from_iter([("1".to_string(), vec!["w".to_string(), "x".to_string()])]);
        let same = same(&facts, &known);
        assert_eq!(same.iter().map(|open| open.attr).collect::<Vec<_>>(), ["b"]);
    }
}
