//! Finds out what the texts of objects become when something that they name is renamed. PostgreSQL rewrites them; a separate database, where
//! renaming blocks nobody, shows how.

use rustc_hash::FxHashSet;

use crate::catalog::Version;
use crate::diff::{Open, rename};
use crate::kinds::{inheritance, room};
use crate::model::{Address, Change, Edges, ObjectId, Result, State, Value};
use crate::sameness::{Unverified, mentions};

use super::aid::Aid;
use super::{Wanted, make};

/// The renames of a plan, and what depends on them.
pub struct Renames<'a> {
    changes: &'a [Change],
    /// The old and the new addresses, also those of columns that follow their parents'.
    pairs: Vec<(ObjectId, ObjectId)>,
    /// The live state under its new names, and its dependencies.
    old: &'a State,
    edges: &'a Edges,
}

impl<'a> Renames<'a> {
    /// Collects these changes, all of which are renames.
    pub fn new(changes: &'a [Change], old: &'a State, edges: &'a Edges) -> Self {
        let mut pairs = Vec::new();
        for change in changes {
            let Change::Rename(from, to) = change else { continue };
            pairs.push((from.clone(), to.clone()));
            pairs.extend(inheritance::inherited_as(old, from, to));
        }
        Self { changes, pairs, old, edges }
    }

    fn pairs(&self) -> impl Iterator<Item = (&ObjectId, &ObjectId)> {
        self.pairs.iter().map(|(from, to)| (from, to))
    }

    /// True if a part of the object is renamed, or the object depends on something that is renamed, or on a part of it, or holds it as a constant.
    pub fn touch(&self, id: &ObjectId) -> bool {
        if self.pairs().any(|(_, to)| to.ancestors().any(|outer| outer == id)) {
            return true;
        }
        let renamed = |needed: &ObjectId| {
            self.pairs().any(|(_, to)| {
                let whole = to.parent().filter(|_| to.kind().address == Address::Part);
                needed == whole.unwrap_or(to) || needed.ancestors().any(|outer| outer == to)
            })
        };
        // A part that a table inherits, and keeps when it leaves its parent, depends on what the parent's part depends on.
        let inherited = || room(id.kind()).inherited_from(id, self.old).into_iter();
        let edges = self.edges.get(id).or_else(|| inherited().find_map(|origin| self.edges.get(&origin)));
        edges.into_iter().flatten().any(renamed) || self.has_constant(id)
    }

    /// True if the live object has the old name of a part in a string: the bound of a partition depends on no type.
    fn has_constant(&self, id: &ObjectId) -> bool {
        let mut parts =
            self.pairs().map(|(from, _)| from).filter(|from| from.kind().address == Address::Part).peekable();
        let Some(object) = self.old.get(id).filter(|_| parts.peek().is_some()) else { return false };
        parts.any(|from| object.iter().any(|(_, value)| value_has_constant(value, from.name().as_str())))
    }

    /// True if a new name means something else in the database until then, so that its answers would be about that.
    pub fn reuse_names(&self) -> bool {
        let taken: FxHashSet<&ObjectId> = self.pairs().map(|(from, _)| from).collect();
        self.pairs().any(|(_, to)| taken.contains(to))
    }

    /// Texts that are the same in the files as in the database, though they have a name that is gone then.
    pub fn outdated(&self, new: &State) -> Vec<Open> {
        let mut out = Vec::new();
        for (id, object) in new.iter().filter(|(id, _)| self.touch(id)) {
            let Some(before) = self.old.get(id) else { continue };
            for attr in id.kind().attrs {
                let text = match (before.value(attr.name), object.value(attr.name)) {
                    (Some(Value::Expr(a)), Some(Value::Expr(b))) if a == b => a.as_str(),
                    _ => continue,
                };
                if self.names_what_is_gone(text) {
                    out.push(Open { id: id.clone(), attr: attr.name });
                }
            }
        }
        out
    }

    /// Texts of what the plan drops that have such a name, or of all that it may drop to make it again: on the way back it is made before
    /// the renames are rolled back.
    pub fn dropped(&self, new: &State, and_again: bool) -> Vec<Open> {
        let mut out = Vec::new();
        for (id, object) in self.old.iter().filter(|(id, _)| and_again || !new.has(id)) {
            for attr in id.kind().attrs {
                if let Some(Value::Expr(text)) = object.value(attr.name)
                    && self.names_what_is_gone(text.as_str())
                    && self.touch(id)
                {
                    out.push(Open { id: id.clone(), attr: attr.name });
                }
            }
        }
        out
    }

    fn names_what_is_gone(&self, text: &str) -> bool {
        let named = |from: &ObjectId| match from.kind().address {
            Address::Part => quotes(text, from.name().as_str()),
            _ => mentions(text, from.name().as_str()),
        };
        // When names are swapped, a name exists and means something else.
        let other = |from: &ObjectId| self.pairs().any(|(_, to)| to == from);
        self.pairs().any(|(from, _)| (!rename::has(self.old, from) || other(from)) && named(from))
    }

    /// The live state with the texts that PostgreSQL makes of these questions' once the renames are done; `None` where it cannot
    /// find out. `live` has the old names.
    ///
    /// # Errors
    /// If the tool itself fails.
    pub async fn follow(
        &self,
        aid: &impl Aid,
        live: &State,
        questions: &[Open],
        server: Version,
    ) -> Result<Option<State>> {
        let renames = make::plan(&Wanted::new(self.old, self.old, self.edges, self.changes.to_vec(), server))?;
        let Ok(built) = aid.build(live, &renames.steps, server).await else { return Ok(None) };
        let mut out = self.old.clone();
        let origin = |id: &ObjectId| room(id.kind()).inherited_from(id, &built.state).into_iter().next();
        for Open { id, attr } in questions {
            let became = built.state.get(id).or_else(|| built.state.get(&origin(id)?));
            if let (Some(object), Some(value)) =
                (out.objects_mut().get_mut(id), became.and_then(|object| object.value(attr)))
            {
                object.attrs.put(attr, value.clone());
            }
        }
        Ok(Some(out))
    }
}

fn value_has_constant(value: &Value, name: &str) -> bool {
    match value {
        Value::Expr(expr) => quotes(expr.as_str(), name),
        Value::List(list) => list.iter().any(|value| value_has_constant(value, name)),
        Value::Record(record) => record.iter().any(|(_, value)| value_has_constant(value, name)),
        _ => false,
    }
}

/// True if the text has the name in a string.
fn quotes(text: &str, name: &str) -> bool {
    let inner = name.replace('\'', "''");
    let quoted = |at: usize| text.get(..at).is_some_and(|before| before.matches('\'').count() % 2 == 1);
    mentions(text, &inner) && text.match_indices(&inner).any(|(at, _)| quoted(at))
}

/// Questions that only a comparison after the renames can answer.
pub fn later(question: &Open) -> Unverified {
    Unverified { id: question.id.clone(), attr: question.attr, reason: "it names what this plan renames".into() }
}
