//! The columns that a table has in a state, its own and those of its parents or its type, as a list for a scratch table.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kinds::collated::{self, COLLATION};
use crate::kinds::inheritance;
use crate::model::{Address, Attrs, Ident, Key, ObjectId, SqlType, State};
use crate::sql;

const TYPE: Key<SqlType> = Key::new("type");
const INHERITS: Key<Vec<ObjectId>> = Key::new("inherits");
const PARTITION_OF: Key<Attrs> = Key::new("partition-of");
const PARENT: Key<ObjectId> = Key::new("parent");

/// The columns of every table of a state.
pub struct Tables<'a> {
    state: &'a State,
    children: FxHashMap<&'a ObjectId, Vec<&'a ObjectId>>,
}

/// One column of a scratch table.
struct Column<'a> {
    name: &'a Ident,
    was: Option<&'a Ident>,
    sql_type: &'a SqlType,
    collation: Option<&'a ObjectId>,
}

impl<'a> Tables<'a> {
    /// Of that state.
    pub fn new(state: &'a State) -> Self {
        Self { state, children: state.children() }
    }

    /// `seen`: the tables whose columns are known already, since they are reached in several ways.
    fn columns(&self, table: &'a ObjectId, seen: &mut FxHashSet<&'a ObjectId>) -> Vec<Column<'a>> {
        let mut out: Vec<Column<'_>> = Vec::new();
        if let Some(object) = self.state.get(table).filter(|_| seen.insert(table)) {
            let mut parents: Vec<&ObjectId> = object.get(INHERITS).unwrap_or_default();
            parents.extend(object.get(PARTITION_OF).and_then(|record| record.get(PARENT)));
            for parent in parents {
                for column in self.columns(parent, seen) {
                    if !out.iter().any(|c| c.name == column.name) {
                        out.push(column);
                    }
                }
            }
        }
        let of = self.state.get(table).and_then(inheritance::type_of);
        let own = of.into_iter().chain([table]).flat_map(|holder| self.children.get(holder).into_iter().flatten());
        for id in own.filter(|id| id.kind().address == Address::MemberOf) {
            let Some((object, sql_type)) = self.state.get(id).and_then(|o| Some((o, o.get(TYPE)?))) else { continue };
            let column =
                Column { name: id.name(), was: object.was.as_ref(), sql_type, collation: object.get(COLLATION) };
            match out.iter_mut().find(|c| c.name == column.name) {
                Some(slot) => *slot = column,
                None => out.push(column),
            }
        }
        out
    }

    /// The types of a table's columns of these names; `None` if it has not all of them.
    pub fn types(&self, table: &ObjectId, names: &[&str]) -> Option<Vec<&'a SqlType>> {
        let columns = self.columns(self.state.find(table)?.0, &mut FxHashSet::default());
        let of =
            |name: &&str| columns.iter().find(|column| column.name.as_str() == *name).map(|column| column.sql_type);
        names.iter().map(of).collect()
    }

    /// `a integer, b text COLLATE "C"`.
    pub fn list(&self, table: &ObjectId) -> String {
        let columns = self.columns(table, &mut FxHashSet::default());
        let columns = columns.iter().map(|c| clause(c.name, c));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// The list under the columns' old names, and what renames them; `None` if no column was renamed.
    pub fn list_before_renames(&self, table: &ObjectId) -> Option<(String, Vec<(Ident, Ident)>)> {
        let columns = self.columns(table, &mut FxHashSet::default());
        let renames: Vec<(Ident, Ident)> =
            columns.iter().filter_map(|c| Some((c.was?.clone(), c.name.clone()))).collect();
        let list = columns.iter().map(|c| clause(c.was.unwrap_or(c.name), c)).collect::<Vec<_>>().join(", ");
        (!renames.is_empty()).then_some((list, renames))
    }
}

fn clause(name: &Ident, column: &Column<'_>) -> String {
    format!("{} {}{}", sql::name(name), column.sql_type.as_str(), collated::clause(column.collation))
}
