//! Takes a transaction's table locks before its first step, so that any waiting happens before anything is done and while it blocks nobody
//! else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kinds::{Heirs, LockMode};
use crate::model::{Ident, Result};
use crate::plan::{Action, Step};
use crate::sql;

use super::executor::{Executor, Unit};
use super::stale;

/// A table to be locked.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// Its name as SQL.
    pub table: String,
    /// The strongest mode that the steps need.
    pub mode: LockMode,
    /// How many locks others hold on it.
    busy: i64,
}

/// The tables that a transaction claims, in the order in which they are locked.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The one that refused last time, then the busiest.
    pub tables: Vec<Claim>,
    /// The total time to wait for all but the first, and for any other lock: half of what a client waits before it
    /// checks for a deadlock. Waiting longer for the next lock while holding one makes clients fail.
    pub rest: Duration,
}

/// The tables of steps that `LOCK TABLE` accepts: those that exist, with everything that inherits from them. What the role may not
/// lock is left to the step itself.
const RESOLVE: &str = "WITH RECURSIVE named (schema, name, mode, down) AS ( \
         SELECT * FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), \
             pg_catalog.unnest($3::pg_catalog.int4[]), pg_catalog.unnest($4::pg_catalog.int4[])) AS n), \
     found (oid, mode, down) AS ( \
         SELECT c.oid, n.mode, n.down FROM named n \
         JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) n.schema::pg_catalog.name \
         JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) s.oid AND c.relname OPERATOR(pg_catalog.=) n.name::pg_catalog.name \
         UNION SELECT i.inhrelid, f.mode, f.down FROM found f JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) f.oid \
         JOIN pg_catalog.pg_class h ON h.oid OPERATOR(pg_catalog.=) i.inhrelid \
         WHERE f.down OPERATOR(pg_catalog.=) 2 OR f.down OPERATOR(pg_catalog.=) 1 AND h.relispartition) \
     SELECT s.nspname::pg_catalog.text, c.relname::pg_catalog.text, pg_catalog.max(f.mode), \
         (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l WHERE l.relation OPERATOR(pg_catalog.=) c.oid \
             AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) \
             AND l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()), \
         (SELECT setting::pg_catalog.int8 FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'deadlock_timeout') \
     FROM found f JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) f.oid \
     JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE') \
     GROUP BY c.oid, s.nspname, c.relname";

/// The locks that the steps of a transaction need; `refused` is the table that could not be locked last time.
///
/// # Errors
/// The server's.
pub(super) async fn claims(executor: &Executor<'_>, units: &[Unit<'_>], refused: Option<&str>) -> Result<Claims> {
    let steps = || units.iter().map(|unit| unit.step);
    let wanted = claimed(steps(), steps());
    if wanted.is_empty() {
        return Ok(Claims::default());
    }
    let column = |of: fn(&[String]) -> Option<&String>| -> Vec<&str> {
        wanted.keys().map(|(names, _)| of(names).map_or("", String::as_str)).collect()
    };
    let (schemas, names) = (column(|names| names.first()), column(|names| names.last()));
    let modes: Vec<i32> = wanted.values().map(|mode| *mode as i32).collect();
    let down: Vec<i32> = wanted.keys().map(|(_, heirs)| *heirs as i32).collect();
    let rows = executor.session.rows(RESOLVE, &[&schemas, &names, &modes, &down]).await?;
    let mut claims = Claims::default();
    for mut row in rows {
        let (schema, name, mode) = (row.text(), row.text(), row.next::<i32>());
        let (busy, deadlock) = (row.next::<i64>(), row.next::<i64>());
        let Some(mode) = LockMode::ALL.into_iter().find(|known| *known as i32 == mode) else { continue };
        let quoted = |name: &str| sql::name(&Ident::from(name)).to_string();
        let table = format!("{}.{}", quoted(&schema), quoted(&name));
        claims.rest = Duration::from_millis(u64::try_from(deadlock / 2).unwrap_or(0).max(1));
        claims.tables.push(Claim { table, mode, busy });
    }
    claims.tables.sort_by(|a, b| {
        let key = |claim: &Claim| (Some(claim.table.as_str()) != refused, -claim.busy);
        key(a).cmp(&key(b)).then_with(|| a.table.cmp(&b.table))
    });
    Ok(claims)
}

/// The strongest mode that steps claim on each relation, by its schema and name, and on which of its heirs. Relations that
/// steps of the transaction (`together`) rename still have their old names.
pub fn claimed<'a>(
    steps: impl Iterator<Item = &'a Step>,
    together: impl Iterator<Item = &'a Step>,
) -> BTreeMap<(Vec<String>, Heirs), LockMode> {
    let renames: BTreeMap<&str, &str> = together
        .filter(|step| step.action == Action::Rename)
        .filter_map(|step| Some((step.object.as_str(), step.with.first()?.as_str())))
        .collect();
    // A table of a renamed schema is in the old one when the transaction begins.
    let home = |names: &[String]| -> Option<Vec<String>> {
        let [schema, name] = names else { return None };
        let old = renames.iter().find(|(to, _)| to.starts_with("schema ") && named(to, schema))?.1;
        Some(vec![stale::own_name(old)?, name.clone()])
    };
    let mut claimed: BTreeMap<(Vec<String>, Heirs), LockMode> = BTreeMap::new();
    for step in steps {
        for (mode, on) in step.lock.iter().chain(&step.locks) {
            let heirs = step.heirs(on);
            // A lock that does not block writers is nearly always acquired at once, and `LOCK TABLE` needs more privileges.
            if *mode < LockMode::ShareUpdateExclusive {
                continue;
            }
            for object in [Some(on.as_str()), renames.get(on.as_str()).copied()].into_iter().flatten() {
                let Some(names) = stale::names(object).filter(|names| names.len() == 2) else { continue };
                for names in home(&names).into_iter().chain([names]) {
                    let strongest = claimed.entry((names, heirs)).or_insert(*mode);
                    *strongest = (*mode).max(*strongest);
                }
            }
        }
    }
    claimed
}

/// True if the last name of an object's text is this one.
fn named(object: &str, name: &str) -> bool {
    stale::own_name(object).is_some_and(|own| own == name)
}

impl Claims {
    /// The statements, one per table. All but the first share the time that is left.
    pub(super) fn statements(&self, first: Duration) -> Vec<String> {
        let others = u32::try_from(self.tables.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let share = (self.rest / others).max(Duration::from_millis(1)).min(first.max(Duration::from_millis(1)));
        let lock = |(at, claim): (usize, &Claim)| {
            let wait = if at == 0 { first } else { share };
            let mode = claim.mode.words();
            format!("SET LOCAL lock_timeout = {}; LOCK TABLE ONLY {} IN {mode} MODE", wait.as_millis(), claim.table)
        };
        self.tables.iter().enumerate().map(lock).collect()
    }

    /// How long the steps themselves may wait for locks that no claim names.
    pub(super) fn patience(&self, ordinary: Duration) -> Duration {
        match self.tables.is_empty() || ordinary.is_zero() {
            true => ordinary,
            false => ordinary.min(self.rest),
        }
    }
}
