//! Fills existing rows of a new column with what `--fill COLUMN=EXPRESSION` says. Where the column must not be NULL and has no default,
//! setpoint asks for the expression before anything runs.

use std::collections::HashMap;

use crate::catalog::Session;
use crate::model::{Class, Error, Ident, Result, Text};
use crate::plan::{Action, Step};
use crate::sql::{self, balance, lex, reference};

use super::stale;

/// A value for a column, as given with `--fill`.
#[derive(Debug, Clone)]
pub struct Fill {
    /// The column: `total`, `orders.total` or `public.orders.total`.
    column: Vec<Text>,
    /// The expression, over the columns of the table.
    expression: String,
    /// As it was written.
    written: String,
}

impl Fill {
    /// Reads `COLUMN=EXPRESSION`.
    ///
    /// # Errors
    /// `Usage` if that is not a column, or not one expression.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |message: String| {
            Error::new(Class::Usage, message)
                .remedy("write `--fill COLUMN=EXPRESSION`, such as `--fill \"orders.total=0\"`")
        };
        let equals = lex::pieces(text).find(|piece| piece.kind == lex::Kind::Symbol && piece.text == "=");
        let Some(equals) = equals else { return Err(wrong(format!("`--fill {text}` has no `=`"))) };
        let (name, expression) = (text[..equals.at].trim(), text[equals.at + 1..].trim());
        let column = reference::split(name)
            .ok()
            .filter(|parts| (1..=3).contains(&parts.len()) && parts.iter().all(|part| !part.is_empty()))
            .ok_or_else(|| wrong(format!("`{name}` in `--fill` is not a column")))?;
        balance::check(expression).map_err(|why| wrong(format!("`--fill {name}`: {why}")))?;
        let mut pieces = lex::pieces(expression);
        if pieces.any(|piece| piece.kind == lex::Kind::Symbol && piece.text == ";") {
            return Err(wrong(format!("`--fill {name}` takes one expression, not statements")));
        }
        let says = |piece: lex::Piece<'_>| !matches!(piece.kind, lex::Kind::Space | lex::Kind::Comment);
        if !lex::pieces(expression).any(says) {
            return Err(wrong(format!("`--fill {name}` has no expression")));
        }
        Ok(Self { column: column.into_iter().collect(), expression: expression.to_owned(), written: text.to_owned() })
    }

    /// True if it refers to the column with these names: schema, table, column.
    fn means(&self, names: &[String]) -> bool {
        self.column.len() <= names.len()
            && self.column.iter().rev().zip(names.iter().rev()).all(|(said, name)| **said == **name)
    }
}

/// The statement of one of the steps of a transaction, with what a person says that a column is filled with.
pub(super) fn filled(steps: &[&Step], at: usize, fills: &[Fill]) -> Option<Step> {
    let step = *steps.get(at)?;
    let asks = names(step);
    let added = || added(step).filter(|column| !steps.iter().any(|other| names(other).as_ref() == Some(column)));
    let text = asks.clone().or_else(added).and_then(|names| {
        let fill = fills.iter().find(|fill| fill.means(&names))?;
        let [schema, table, column] = names.each_ref().map(|name| sql::name(&Ident::from(name.as_str())).to_string());
        let (before, open) = match asks {
            Some(_) => (String::new(), format!(" WHERE {column} IS NULL")),
            None => (format!("{};\n", step.sql), String::new()),
        };
        // A deferred trigger would keep the table from being altered until it has fired. A comment at the end of the expression must
        // not hide what follows.
        Some(format!(
            "{before}SET CONSTRAINTS ALL IMMEDIATE; UPDATE {schema}.{table} SET {column} = (\n{}\n){open}",
            fill.expression
        ))
    });
    Some(Step { sql: text?, ..step.clone() })
}

/// Schema, table and name of the column that a step fills.
fn names(step: &Step) -> Option<[String; 3]> {
    stale::names(step.fill.as_deref()?)?.try_into().ok()
}

/// Schema, table and name of a column that a step adds to a table, where rows get its default or NULL.
fn added(step: &Step) -> Option<[String; 3]> {
    let adds = step.action == Action::Create && step.fill.is_none() && step.object.starts_with("column ");
    stale::names(&step.object).filter(|_| adds)?.try_into().ok()
}

/// Names the option that gives rows other values, where a rule fails over what they got in a column that the same transaction added.
pub(super) fn advise<'s>(
    steps: impl Iterator<Item = &'s Step>,
    failed: &Step,
    fills: &[Fill],
    mut error: Error,
) -> Error {
    let on_data = error.sqlstate.as_deref().is_some_and(|code| code.starts_with("23"));
    let Some(place) = stale::names(&failed.object).filter(|_| on_data) else { return error };
    for names in steps.filter_map(added) {
        if place.starts_with(&names[..2]) && !fills.iter().any(|fill| fill.means(&names)) {
            let (column, option) = (joined(&names), option(&joined(&names)));
            error.details.push(format!("column {column} is new; `{option}` gives existing rows other values"));
        }
    }
    error
}

fn option(column: &str) -> String {
    format!("--fill '{}=EXPRESSION'", column.replace('\'', "'\\''"))
}

/// Checks that there is a value for each column whose rows need one, and a column for each value.
///
/// # Errors
/// `Refused` with the missing options; `Usage` for those that match no column, or several; the server's.
pub(super) async fn check(session: &Session, steps: &[&Step], fills: &[Fill]) -> Result<()> {
    let mut wanted: Vec<[String; 3]> = steps.iter().filter_map(|step| names(step)).collect();
    wanted.dedup();
    let mut known = wanted.clone();
    known.extend(steps.iter().filter_map(|step| added(step)));
    known.sort();
    known.dedup();
    for fill in fills {
        let meant: Vec<String> = known.iter().filter(|names| fill.means(*names)).map(|names| joined(names)).collect();
        match meant.as_slice() {
            [_] => {}
            [] => {
                let error =
                    Error::new(Class::Usage, format!("`--fill {}`: no remaining step fills that column", fill.written));
                let known: Vec<String> = known.iter().map(|names| joined(names)).collect();
                return Err(match known.as_slice() {
                    [] => error.remedy("leave it out"),
                    known => error.remedy(format!("columns that can be filled: {}", known.join(", "))),
                });
            }
            several => {
                let message = format!("`--fill {}` may mean {}", fill.written, several.join(" or "));
                return Err(Error::new(Class::Usage, message).remedy("write `--fill SCHEMA.TABLE.COLUMN=EXPRESSION`"));
            }
        }
    }
    let open: Vec<[String; 3]> =
        wanted.into_iter().filter(|names| !fills.iter().any(|fill| fill.means(names))).collect();
    let rows = with_rows(session, steps, &open).await?;
    let missing: Vec<String> =
        open.iter().zip(rows).filter(|(_, rows)| *rows).map(|(names, _)| joined(names)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut error = Error::refused("existing rows need a value for a new column");
    error.details =
        missing.iter().map(|column| format!("{column} must not be NULL, and nothing supplies its value")).collect();
    // What PostgreSQL would say in the middle of the plan.
    error.details.push("PostgreSQL would refuse these rows: SQLSTATE 23502 (not_null_violation)".into());
    let options: Vec<String> = missing.iter().map(|column| option(column)).collect();
    Err(error.remedy(format!(
        "say what to fill it with (any SQL expression over the table's columns): `{}`",
        options.join(" ")
    )))
}

fn joined(names: &[String]) -> String {
    let parts: Vec<String> = names.iter().map(|name| sql::name(&Ident::from(name.as_str())).to_string()).collect();
    parts.join(".")
}

/// Whether each table, or what inherits from it, has rows: judged by its size, so that none of it is read. A table that does not exist may be one
/// that a later step renames.
async fn with_rows(session: &Session, steps: &[&Step], columns: &[[String; 3]]) -> Result<Vec<bool>> {
    const SIZES: &str = "WITH RECURSIVE named (schema, name) AS ( \
             SELECT * FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS n), \
         found (schema, name, oid) AS ( \
             SELECT n.schema, n.name, c.oid FROM named n \
             JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) n.schema::pg_catalog.name \
             JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) s.oid AND c.relname OPERATOR(pg_catalog.=) n.name::pg_catalog.name \
             UNION SELECT f.schema, f.name, i.inhrelid FROM found f JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) f.oid) \
         SELECT schema, name, coalesce(pg_catalog.max(pg_catalog.pg_relation_size(oid)), 0) FROM found GROUP BY schema, name";
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        columns.iter().map(|[schema, table, _]| (schema.as_str(), table.as_str())).unzip();
    let rows = session.rows(SIZES, &[&schemas, &names]).await?;
    let sizes: HashMap<(String, String), i64> =
        rows.into_iter().map(|mut row| ((row.text().to_string(), row.text().to_string()), row.next::<i64>())).collect();
    let made = |names: &[String; 3]| {
        let makes = |step: &&&Step| step.action == Action::Create && step.object.starts_with("table ");
        steps.iter().filter(makes).any(|step| stale::names(&step.object).is_some_and(|table| table == names[..2]))
    };
    let has = |names: &[String; 3]| match sizes.get(&(names[0].clone(), names[1].clone())) {
        Some(size) => *size > 0,
        None => !made(names),
    };
    Ok(columns.iter().map(has).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_expressions() {
        let fill = |text: &str| Fill::parse(text).map(|fill| (fill.column.join("|"), fill.expression));
        assert_eq!(fill("total=0").unwrap(), ("total".into(), "0".into()));
        assert_eq!(fill("a.\"B=c\" = lower(x) || '=;'").unwrap(), ("a|B=c".into(), "lower(x) || '=;'".into()));
        for (text, message) in [
            ("total", "has no `=`"),
            ("=1", "is not a column"),
            ("a.b.c.d=1", "is not a column"),
            ("a=", "has no expression"),
            ("a=-- none", "has no expression"),
            ("a=1; DROP TABLE t", "follows the `;`"),
            ("a=1;", "one expression"),
            ("a=begin; drop table t; end", "one expression"),
            ("a=1), b = (2", "nothing opens the `)`"),
            ("a='1", "is not closed"),
        ] {
            let error = fill(text).unwrap_err();
            assert!(error.class == Class::Usage && error.message.contains(message), "{text}: {error}");
        }
    }
}
