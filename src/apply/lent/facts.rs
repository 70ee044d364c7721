//! What the catalog knows about the targets of steps: their owners, what those owners may do, and the functions that others wrote.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use crate::catalog::{Row, Session, is_lesser};
use crate::kinds::Evaluates;
use crate::model::Result;
use crate::plan::Step;

use super::names::Names;

const FACTS: &str = include_str!("facts.sql");

/// Roles that can never become the session's user, nor a superuser.
fn lesser(session: &Session) -> String {
    format!("SELECT r.oid FROM pg_catalog.pg_roles r WHERE {}", is_lesser(session.version, "r.oid"))
}

/// What is asked about one step.
#[derive(Clone)]
pub struct Question(Value);

impl Question {
    /// The question about the step at that place of its list, which uses these names.
    pub fn new(at: usize, step: &Step, evaluates: Evaluates, names: &Names) -> Self {
        let target =
            super::target(step).filter(|_| evaluates != Evaluates::Options).map(|(schema, name)| [schema, name]);
        let object: Vec<String> = super::stale::names(&step.object).unwrap_or_default();
        Self(json!({
            "unit": at, "target": target, "object": object, "parses": evaluates == Evaluates::Parses,
            "script": evaluates == Evaluates::Script, "as_owner": evaluates == Evaluates::AsOwner, "deep": evaluates == Evaluates::Query,
            "path": step.path, "names": names.used, "checks": names.checks, "text": step.sql,
        }))
    }
}

/// What is known about one step.
pub struct Facts {
    /// The owner of the target, if there is one yet.
    pub owner: Option<String>,
    /// True if that role has fewer privileges than the session's user.
    pub lesser: bool,
    /// What prevents running the step as the owner.
    pub lacks: Option<String>,
    /// The owner may create relations in the schema.
    pub may_create: bool,
    /// Functions written by others that the step may call: `m.f(integer), which mallory owns`.
    pub found: Vec<String>,
}

/// The query, which takes longer to plan than to run.
pub async fn prepared(session: &Session) -> Result<Statement> {
    let query = FACTS
        .replace("{set}", if session.version.at_least(16) { "SET" } else { "MEMBER" })
        .replace("MULTIRANGE(r)", if session.version.at_least(14) { "r.rngmultitypid" } else { "r.rngtypid" })
        .replace("STATISTICS(s)", if session.version.at_least(14) { "s.stxexprs::text" } else { "NULL" })
        .replace("IS_LESSER(s.stands)", &is_lesser(session.version, "s.stands"));
    session.client.prepare_typed(&query, &[Type::TEXT]).await.map_err(|error| session.error(&error))
}

/// Asks about all steps in one query.
pub async fn ask(
    session: &Session,
    query: &Statement,
    questions: impl Iterator<Item = &Question>,
) -> Result<HashMap<usize, Facts>> {
    let questions = Value::Array(questions.map(|question| question.0.clone()).collect()).to_string();
    let rows = session.client.query(query, &[&questions]).await.map_err(|error| session.error(&error))?;
    let read = |row| {
        let mut row = Row::new(row);
        let at = usize::try_from(row.next::<i32>()).unwrap_or_default();
        let owner = row.text_opt().map(|owner| owner.to_string());
        let lesser = row.next_opt::<bool>().unwrap_or(false);
        let lacks = row.text_opt().map(|lacks| lacks.to_string());
        let may_create = row.next_opt::<bool>().unwrap_or(false);
        (at, Facts { owner, lesser, lacks, may_create, found: row.next::<Vec<String>>() })
    };
    Ok(rows.into_iter().map(read).collect())
}

/// True if there is a role that can log in, or own something, and has fewer privileges than the session's user.
pub async fn above_others(session: &Session) -> Result<bool> {
    let query = format!("SELECT EXISTS (SELECT FROM ({}) AS l WHERE l.oid >= 16384)", lesser(session));
    let row = session.rows(&query, &[]).await?.into_iter().next();
    Ok(row.is_some_and(|mut row| row.next()))
}

/// Whether there is a domain that has a check of a lesser role, or one that calls what people made; and whether there is a function of
/// a lesser role.
pub async fn any_of_others(session: &Session) -> Result<(bool, bool)> {
    let query = format!(
        "WITH lesser AS MATERIALIZED ({}) SELECT EXISTS (SELECT FROM pg_catalog.pg_type t \
         JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid WHERE t.typtype = 'd' AND t.oid >= 16384 \
         AND (t.typowner IN (TABLE lesser) OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 2606 \
         AND d.objid = k.oid AND d.refobjid >= 16384 AND d.refobjid <> t.oid))), \
         EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid >= 16384 AND p.proowner IN (TABLE lesser))",
        lesser(session)
    );
    let row = session.rows(&query, &[]).await?.into_iter().next();
    Ok(row.map_or((false, false), |mut row| (row.next(), row.next())))
}
