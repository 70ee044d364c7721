//! What the catalog knows about the targets of steps: their owners, what these may do, and functions that others wrote.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio_postgres::types::Type;

use crate::catalog::{Row, Session, is_lesser};
use crate::kinds::Evaluates;
use crate::model::Result;
use crate::plan::{Action, Step};
use crate::sql::{lex, names};

const FACTS: &str = include_str!("facts.sql");

/// Roles that can never become the session's user, nor a superuser.
fn lesser(session: &Session) -> String {
    format!("SELECT r.oid FROM pg_catalog.pg_roles r WHERE {}", is_lesser(session.version, "r.oid"))
}

/// What is asked about one step.
pub struct Question(Value);

impl Question {
    /// The question about the step at that place of its list.
    pub fn new(at: usize, step: &Step, evaluates: Evaluates) -> Self {
        let deep = evaluates == Evaluates::Query;
        let mut found = names::find(&step.sql);
        if step.action == Action::Manual {
            // Bodies of DO, and SQL that is put together.
            found.extend(lex::strings(&step.sql).iter().flat_map(|text| names::find(text)));
        }
        let mut candidates: Vec<Value> = Vec::new();
        for name in &found {
            let pairs = match name.parts.as_slice() {
                [one] => vec![(None, one)],
                // A column may stand behind its table.
                [one, two] => vec![(Some(one), two), (None, one)],
                [one, two, ..] => vec![(Some(one), two)],
                [] => continue,
            };
            for (qualifier, own) in pairs {
                let candidate = json!([qualifier, own, name.call]);
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
        let target = super::target(step).map(|(schema, name)| [schema, name]);
        Self(json!({
            "unit": at, "target": target, "deep": deep, "path": step.path, "names": candidates, "text": step.sql,
        }))
    }
}

/// What is known about one step.
pub struct Facts {
    /// The owner of the target, if there is one yet.
    pub owner: Option<String>,
    /// True if that role may do less than the session's user.
    pub lesser: bool,
    /// What stands against running the step as the owner.
    pub lacks: Option<String>,
    /// The owner may make relations in the schema.
    pub may_create: bool,
    /// Functions that others wrote and the step may call: `m.f(integer), which mallory owns`.
    pub found: Vec<String>,
}

/// Asks about all steps at once.
pub async fn ask(session: &Session, questions: impl Iterator<Item = &Question>) -> Result<HashMap<usize, Facts>> {
    let questions = Value::Array(questions.map(|question| question.0.clone()).collect()).to_string();
    let query = FACTS
        .replace("{set}", if session.version.at_least(16) { "SET" } else { "MEMBER" })
        .replace("IS_LESSER(s.stands)", &is_lesser(session.version, "s.stands"));
    let rows = session.client.query_typed(&query, &[(&questions, Type::TEXT)]).await;
    let rows = rows.map_err(|error| session.error(&error))?;
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

/// True if there is a role that can log in, or own something, and may do less than the session's user.
pub async fn above_others(session: &Session) -> Result<bool> {
    let query = format!("SELECT EXISTS (SELECT FROM ({}) AS l WHERE l.oid >= 16384)", lesser(session));
    let row = session.rows(&query, &[]).await?.into_iter().next();
    Ok(row.is_some_and(|mut row| row.next()))
}
