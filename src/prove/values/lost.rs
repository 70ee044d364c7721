//! Which losses the steps of a plan admit: in which tables, columns, types and sequences.

use crate::apply::stale;
use crate::plan::{Hazard, Step};

use super::{Column, Table};
use crate::model::Text;

/// What is announced as lost.
#[derive(Debug, Default)]
pub struct Lost {
    /// A step by hand announces a loss without saying of what.
    all: bool,
    schemas: Vec<Text>,
    tables: Vec<(Text, Text)>,
    columns: Vec<(Text, Text, Text)>,
    /// Types whose values change wherever they are used.
    types: Vec<(Text, Text)>,
    sequences: Vec<(Text, Text)>,
    /// The renames that the steps make, which heirs' columns follow.
    renames: Vec<(Vec<Text>, Vec<Text>)>,
}

impl Lost {
    /// What these steps announce with one of these hazards.
    pub fn by<'a>(steps: impl Iterator<Item = &'a Step> + Clone, hazards: &[Hazard]) -> Self {
        let mut lost = Self { renames: super::renames(steps.clone()), ..Self::default() };
        for step in steps.filter(|step| step.hazards.iter().any(|finding| hazards.contains(&finding.hazard))) {
            if step.object.is_empty() {
                let locked = step.lock.iter().chain(&step.locks).map(|(_, on)| on);
                let before = lost.tables.len();
                locked.for_each(|on| lost.add(on));
                lost.all |= lost.tables.len() == before;
            }
            std::iter::once(&step.object).chain(&step.with).for_each(|object| lost.add(object));
        }
        lost
    }

    /// Adds what another one announces.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.all |= other.all;
        self.schemas.extend(other.schemas);
        self.tables.extend(other.tables);
        self.columns.extend(other.columns);
        self.types.extend(other.types);
        self.sequences.extend(other.sequences);
        self.renames.extend(other.renames);
        self
    }

    /// Adds the names that tables and columns have once they are renamed.
    #[must_use]
    pub fn renamed(mut self, renames: &[(Vec<Text>, Vec<Text>)]) -> Self {
        let renamed = |path: Vec<Text>| super::renamed(path, renames);
        let tables = self.tables.iter().map(|(schema, name)| renamed(vec![schema.clone(), name.clone()]));
        let columns = self.columns.iter();
        let columns = columns.map(|(schema, table, name)| renamed(vec![schema.clone(), table.clone(), name.clone()]));
        for path in tables.chain(columns).collect::<Vec<_>>() {
            match path.as_slice() {
                [schema, name] => self.tables.push((schema.clone(), name.clone())),
                [schema, table, name] => self.columns.push((schema.clone(), table.clone(), name.clone())),
                _ => {}
            }
        }
        self
    }

    /// Announces everything.
    #[must_use]
    pub fn everything(mut self, all: bool) -> Self {
        self.all |= all;
        self
    }

    fn add(&mut self, object: &str) {
        let word = object.split(' ').next().unwrap_or_default();
        let names: Vec<Text> = stale::names(object).unwrap_or_default().into_iter().map(Text::from).collect();
        match (word, names.as_slice()) {
            ("schema", [schema]) => self.schemas.push(schema.clone()),
            ("table" | "foreign-table" | "materialized-view" | "view", [schema, name, ..]) => {
                self.tables.push((schema.clone(), name.clone()));
            }
            ("sequence", [schema, name]) => self.sequences.push((schema.clone(), name.clone())),
            ("type" | "domain" | "enum" | "range" | "attribute" | "value", [schema, name, ..]) => {
                self.types.push((schema.clone(), name.clone()));
            }
            // A column, or what belongs to one: its default, its identity.
            (_, [schema, table, column, ..]) => self.columns.push((schema.clone(), table.clone(), column.clone())),
            _ => {}
        }
    }

    /// True if the rows of the table are, whichever of these tables is meant by it before and after.
    pub fn table(&self, tables: &[&Table]) -> bool {
        let named = |schema: &Text, name: &Text| {
            self.schemas.contains(schema) || self.tables.iter().any(|(s, n)| s == schema && n == name)
        };
        self.all || names(tables).any(|(schema, name)| named(schema, name))
    }

    /// True if the values of the column are.
    pub fn column(&self, tables: &[&Table], columns: &[&Column]) -> bool {
        // Rows of a table are values of whatever has its type.
        let rows = |schema: &Text, name: &Text| {
            self.tables.iter().any(|(s, t)| s == schema && t == name)
                || self.columns.iter().any(|(s, t, _)| s == schema && t == name)
        };
        let typed = |(schema, name): &(Text, Text)| {
            self.types.iter().any(|(s, n)| s == schema && n == name) || rows(schema, name)
        };
        // A step speaks of an heir's column by the name that the parent's gets before.
        let along = |c: &Column, column: &Text| {
            tables.iter().flat_map(|table| &table.ancestors).any(|(schema, name)| {
                let path = vec![schema.clone(), name.clone(), c.name.clone()];
                super::renamed(path, &self.renames).last() == Some(column)
            })
        };
        let called = |column: &Text| columns.iter().any(|c| c.name == *column || along(c, column));
        self.table(tables)
            || columns.iter().flat_map(|column| &column.types).any(typed)
            || names(tables).any(|(schema, name)| {
                self.columns.iter().any(|(s, t, column)| s == schema && t == name && called(column))
            })
    }

    /// True if the place of the sequence is.
    pub fn sequence(&self, schema: &Text, name: &Text) -> bool {
        self.all || self.schemas.contains(schema) || self.sequences.iter().any(|(s, n)| s == schema && n == name)
    }
}

/// The names of tables and of those that they have their columns from.
fn names<'a>(tables: &'a [&Table]) -> impl Iterator<Item = (&'a Text, &'a Text)> {
    tables.iter().flat_map(|table| {
        std::iter::once((&table.schema, &table.name)).chain(table.ancestors.iter().map(|(schema, name)| (schema, name)))
    })
}
