//! Checks that every value is unchanged, unless a step said that it would be lost.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::apply::stale;
use crate::catalog::Session;
use crate::model::{Result, Text};
use crate::plan::{Action, Step};

use super::alike::Family;
use super::{Column, Lost, Place, Table, Values};

/// What is compared, and how strictly.
pub struct Ends<'a> {
    pub from: &'a Values,
    pub to: &'a Values,
    /// The renames between them.
    pub renames: Vec<(Vec<Text>, Vec<Text>)>,
    pub lost: &'a Lost,
    /// A type may be another one: what means the same counts as the same.
    pub types_change: bool,
    /// Types and tables that get other attributes or columns, as schema and name: what has values of them has more or fewer fields.
    pub reshaped: Vec<(Text, Text)>,
    /// Steps by hand may add rows, and fill in what was NULL.
    pub by_hand: bool,
}

/// The renames of tables, columns and schemas that steps make: each name before and after.
pub fn renames<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<(Vec<Text>, Vec<Text>)> {
    let names = |object: &str| -> Option<Vec<Text>> {
        let word = object.split(' ').next()?;
        let known = matches!(word, "schema" | "table" | "column");
        known.then(|| stale::names(object))?.map(|names| names.into_iter().map(Text::from).collect())
    };
    let renames = steps.filter(|step| step.action == Action::Rename);
    renames.filter_map(|step| names(step.with.first()?).zip(names(&step.object))).collect()
}

/// What a schema, table or column is called after renames.
pub fn renamed(mut path: Vec<Text>, renames: &[(Vec<Text>, Vec<Text>)]) -> Vec<Text> {
    for (from, to) in renames {
        if path.starts_with(from) {
            path.splice(..from.len(), to.iter().cloned());
        }
    }
    path
}

/// Types and tables to which steps add something, or from which they take it.
pub fn reshaped<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<(Text, Text)> {
    let member = |object: &str| ["attribute ", "column "].iter().any(|word| object.starts_with(word));
    let steps = steps.filter(|step| matches!(step.action, Action::Create | Action::Drop));
    let objects =
        steps.flat_map(|step| std::iter::once(&step.object).chain(&step.with)).filter(|object| member(object));
    let whole = |names: Vec<String>| {
        let mut names = names.into_iter().map(Text::from);
        names.next().zip(names.next())
    };
    objects.filter_map(|object| whole(stale::names(object)?)).collect()
}

/// What changed although that was not announced, one line each. The session is one in the database as it is now.
///
/// # Errors
/// The server's.
pub async fn compare(session: &Session, ends: &Ends<'_>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for before in ends.from.tables.iter().filter(|table| table.unread.is_none()) {
        match ends.table(before) {
            None if before.rows.is_empty() || ends.lost.table(&[before]) => {}
            None => lines.push(format!("table {} is gone with its rows", before.shown())),
            // What is in a partitioned table is in its partitions.
            Some(after) if before.partitioned && after.partitioned || after.unread.is_some() => {}
            Some(after) if ends.lost.table(&[before, after]) => {}
            Some(after) => ends.rows(session, before, after, &mut lines).await?,
        }
    }
    lines.extend(ends.from.places.iter().filter_map(|place| ends.place(place)));
    Ok(lines)
}

/// How the values of a column compare.
enum Found {
    /// Byte for byte the same.
    Same,
    /// The same in meaning, or more where more is allowed.
    Alike,
    /// An example: what was there, and what is there instead.
    Changed(usize, Option<Text>, Option<Text>),
}

impl<'a> Ends<'a> {
    /// The table as it is now: the same one, or what has its name.
    fn table(&self, before: &Table) -> Option<&'a Table> {
        let path = renamed(vec![before.schema.clone(), before.name.clone()], &self.renames);
        let named = |table: &&Table| path.as_slice() == [table.schema.clone(), table.name.clone()];
        self.to.tables.iter().find(|table| table.oid == before.oid).or_else(|| self.to.tables.iter().find(named))
    }

    fn column(&self, before: &Table, column: &Column, after: &'a Table) -> Option<&'a Column> {
        let path = renamed(vec![before.schema.clone(), before.name.clone(), column.name.clone()], &self.renames);
        let same = |c: &&Column| before.oid == after.oid && c.number == column.number;
        let named = |c: &&Column| path.last() == Some(&c.name);
        after.columns.iter().find(same).or_else(|| after.columns.iter().find(named))
    }

    async fn rows(&self, session: &Session, before: &Table, after: &Table, lines: &mut Vec<String>) -> Result<()> {
        let (was, is) = (before.rows.len(), after.rows.len());
        if was > is || was < is && !self.by_hand {
            lines.push(format!("table {} had {was} rows and has {is}", before.shown()));
            return Ok(());
        }
        let mut same: Vec<(usize, usize)> = Vec::new();
        let old = lines.len();
        for (at, column) in before.columns.iter().enumerate() {
            let Some(now) = self.column(before, column, after) else {
                let held = before.rows.iter().any(|row| value(row, at).is_some());
                if held && !column.generated && !self.lost.column(&[before, after], &[column]) {
                    lines.push(format!("{} is gone with its values", column.shown(before)));
                }
                continue;
            };
            // What is generated follows from the rest.
            if column.generated && now.generated || self.lost.column(&[before, after], &[column, now]) {
                continue;
            }
            let Some(place) = after.columns.iter().position(|c| c.number == now.number) else { continue };
            match self.values(session, (before, column, at), (after, now, place)).await? {
                Found::Same => same.push((at, place)),
                Found::Alike => {}
                Found::Changed(count, was, is) => {
                    let shown = |text: Option<Text>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
                    lines.push(format!(
                        "{count} of {} values of {} changed, {} to {}",
                        before.rows.len(),
                        column.shown(before),
                        shown(was),
                        shown(is)
                    ));
                }
            }
        }
        if lines.len() == old && was == is && same.len() > 1 && !same_rows(before, after, &same) {
            lines.push(format!("the values of table {} are in other rows than before", before.shown()));
        }
        Ok(())
    }

    async fn values(
        &self,
        session: &Session,
        (before, column, at): (&Table, &Column, usize),
        (after, now, place): (&Table, &Column, usize),
    ) -> Result<Found> {
        let texts = |table: &'_ Table, at: usize| -> Vec<Option<Text>> {
            table.rows.iter().map(|row| value(row, at).cloned()).collect()
        };
        let (was, is) = (texts(before, at), texts(after, place));
        let plain = |text: &Option<Text>| text.clone();
        let bytes = difference(&was, &is, &plain);
        if bytes.none() {
            return Ok(Found::Same);
        }
        let fine = |found: &Difference| found.none() || self.by_hand && found.lost.iter().all(Option::is_none);
        if fine(&bytes) {
            return Ok(Found::Alike);
        }
        if column.types.iter().chain(&now.types).any(|name| self.reshaped.contains(name)) {
            // Fields at the end that are NULL count as little as those that are not there.
            let form = |text: &Option<Text>| text.as_ref().map(|text| Text::from(without_last_nulls(text)));
            if fine(&difference(&was, &is, &form)) {
                return Ok(Found::Alike);
            }
        }
        if self.types_change && column.sql_type != now.sql_type || column.leaf != now.leaf {
            let family = Family::of(&column.leaf, &now.leaf);
            if let Some(family) = family {
                let form = |text: &Option<Text>| {
                    text.as_ref().map(|text| match family.form(text) {
                        Cow::Borrowed(text) => Text::from(text),
                        Cow::Owned(text) => Text::from(text),
                    })
                };
                if self.types_change && fine(&difference(&was, &is, &form)) {
                    return Ok(Found::Alike);
                }
            }
            let float = |leaf: &Text| matches!(&**leaf, "float4" | "float8");
            let by_itself = family.is_none() || float(&column.leaf) || float(&now.leaf);
            if self.types_change && by_itself && self.back_again(session, column, after, now, &was, &fine).await? {
                return Ok(Found::Alike);
            }
        }
        let count = bytes.lost.len().max(1);
        Ok(Found::Changed(count, bytes.lost.into_iter().next().flatten(), bytes.new.into_iter().next().flatten()))
    }

    /// True if the values, converted back to the type that they had, are what they were; also where there is no way back to ask: there
    /// the way down will tell.
    async fn back_again(
        &self,
        session: &Session,
        column: &Column,
        after: &Table,
        now: &Column,
        was: &[Option<Text>],
        fine: &dyn Fn(&Difference) -> bool,
    ) -> Result<bool> {
        let query = format!("SELECT ({}::{})::text FROM {}", super::name(&now.name), column.sql_type, after.path());
        let Ok(rows) = session.rows(&query, &[]).await else { return Ok(true) };
        let is: Vec<Option<Text>> = rows.into_iter().map(|mut row| row.text_opt()).collect();
        Ok(fine(&difference(was, &is, &|text: &Option<Text>| text.clone())))
    }

    /// What to report about a sequence whose position moved back.
    fn place(&self, before: &Place) -> Option<String> {
        let last = before.last?;
        let owner = |place: &Place, values: &'a Values| {
            let (oid, number) = place.owner?;
            let table = values.tables.iter().find(|table| table.oid == oid)?;
            Some((table, table.columns.iter().find(|column| column.number == number)?))
        };
        let held = owner(before, self.from);
        let now = held.and_then(|(table, column)| {
            let after = self.table(table)?;
            Some((after, self.column(table, column, after)?))
        });
        let of_column =
            |place: &&Place| now.is_some_and(|(table, column)| place.owner == Some((table.oid, column.number)));
        let named = |place: &&Place| place.schema == before.schema && place.name == before.name;
        let mut places = self.to.places.iter();
        let after = places
            .clone()
            .find(of_column)
            .or_else(|| places.clone().find(|place| place.oid == before.oid))
            .or_else(|| places.find(named))?;
        let forward = after.increment.signum() == before.increment.signum();
        let behind = |now: i64, other: i64| {
            (i128::from(other) - i128::from(now)).signum() * i128::from(before.increment.signum()) > 0
        };
        // What was given to rows that are not there may be given again.
        let taken = now.map(|(table, column)| {
            let at = table.columns.iter().position(|c| c.number == column.number).unwrap_or(usize::MAX);
            let values = table.rows.iter().filter_map(|row| value(row, at)?.parse::<i64>().ok());
            values.reduce(|far, value| if behind(far, value) { value } else { far })
        });
        let needed = taken.unwrap_or(Some(last));
        let kept = needed.is_none_or(|needed| after.last.is_some_and(|now| !behind(now, needed)));
        let lost = self.lost.sequence(&before.schema, &before.name)
            || self.lost.sequence(&after.schema, &after.name)
            || held.is_some_and(|(table, column)| self.lost.column(&[table], &[column]));
        if kept || !forward || lost {
            return None;
        }
        let shown = format!("{}.{}", super::name(&before.schema), super::name(&before.name));
        let now = after.last.map_or_else(|| "starts over".to_owned(), |now| format!("is at {now}"));
        Some(format!("sequence {shown} was at {last} and {now}: the next insert will collide with an existing value"))
    }
}

/// The text of a row, or of what holds rows, without the commas that only NULL follows: `(a,b)` for `(a,b,,)`.
fn without_last_nulls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character == ')' {
            out.truncate(out.trim_end_matches(',').len());
        }
        out.push(character);
    }
    out
}

fn value(row: &[Option<Text>], at: usize) -> Option<&Text> {
    row.get(at).and_then(Option::as_ref)
}

/// What is only in one of two lists, where order does not count.
struct Difference {
    lost: Vec<Option<Text>>,
    new: Vec<Option<Text>>,
}

impl Difference {
    fn none(&self) -> bool {
        self.lost.is_empty() && self.new.is_empty()
    }
}

fn difference(was: &[Option<Text>], is: &[Option<Text>], form: &dyn Fn(&Option<Text>) -> Option<Text>) -> Difference {
    let mut counts: FxHashMap<Option<Text>, i64> = FxHashMap::default();
    is.iter().for_each(|text| *counts.entry(form(text)).or_default() += 1);
    let mut lost = Vec::new();
    for text in was {
        let count = counts.entry(form(text)).or_default();
        *count -= 1;
        if *count < 0 {
            lost.push(text.clone());
        }
    }
    let mut new = Vec::new();
    for text in is.iter().rev() {
        let count = counts.entry(form(text)).or_default();
        if *count > 0 {
            *count -= 1;
            new.push(text.clone());
        }
    }
    Difference { lost, new }
}

/// True if the values of these columns occur in the same combinations as before, in any order of rows.
fn same_rows(before: &Table, after: &Table, columns: &[(usize, usize)]) -> bool {
    let sorted = |table: &Table, at: &dyn Fn(&(usize, usize)) -> usize| {
        let row =
            |row: &Vec<Option<Text>>| columns.iter().map(|pair| value(row, at(pair)).cloned()).collect::<Vec<_>>();
        let mut rows: Vec<Vec<Option<Text>>> = table.rows.iter().map(row).collect();
        rows.sort();
        rows
    };
    sorted(before, &|pair| pair.0) == sorted(after, &|pair| pair.1)
}

#[cfg(test)]
mod tests {
    use super::without_last_nulls;

    #[test]
    fn rows_with_another_null_at_their_end_are_the_same() {
        assert_eq!(without_last_nulls("(a,,b,,)"), "(a,,b)");
        assert_eq!(
            without_last_nulls("{\"(a,)\",\"(\\\"b c\\\",\\\"(x,)\\\")\"}"),
            "{\"(a)\",\"(\\\"b c\\\",\\\"(x)\\\")\"}"
        );
        assert_ne!(without_last_nulls("(a,b)"), without_last_nulls("(a,)"));
    }
}
