//! `breaks-clients`: names that people and programs use are removed or changed.

use std::collections::BTreeSet;

use super::{Finding, Hazard, Subject, finding};
use crate::kinds::{numbering, room};
use crate::model::{Object, ObjectId, State, Value};
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if subject.replaced {
        return None;
    }
    let id = subject.id;
    match (subject.action, id.kind().word) {
        // Programs may call a sequence. If it is dropped with its column or table, that one reports it.
        (Action::Drop, "sequence" | "identity")
            if room(id.kind()).fills(id, subject.before).is_none_or(|column| subject.after.has(&column)) =>
        {
            let sequence = if id.kind().word == "sequence" { id.to_string() } else { format!("the sequence of {id}") };
            finding(Hazard::BreaksClients, format!("anything that still calls nextval() on {sequence} fails"))
        }
        (
            Action::Rename,
            "table" | "column" | "view" | "materialized-view" | "foreign-table" | "function" | "procedure"
            | "aggregate" | "schema" | "enum" | "value" | "type" | "domain" | "range" | "sequence",
        )
        | (
            Action::Drop,
            "table" | "column" | "view" | "materialized-view" | "foreign-table" | "function" | "procedure"
            | "aggregate",
        ) => finding(Hazard::BreaksClients, format!("anything that still uses {} fails", gone(subject))),
        (Action::Drop, _) if subject.old.is_some_and(|object| room(id.kind()).serves_queries(object)) => {
            finding(Hazard::BreaksClients, format!("queries that rely on {id} fail"))
        }
        (Action::Create, "sequence") => cannot_insert(subject),
        (Action::Drop | Action::Rename, "publication") => {
            finding(Hazard::BreaksClients, format!("subscribers to {id} get no more changes"))
        }
        (Action::Drop, "publication-table" | "publication-schema")
            if id.parent().is_some_and(|publication| subject.after.has(publication)) =>
        {
            finding(Hazard::BreaksClients, format!("subscribers get no more changes of {id}"))
        }
        (Action::Drop, "primary-key") if subject.after.has(id.root()) && !has_identity(subject.before, id.root()) => {
            published(subject, id.root())
        }
        (Action::Create | Action::Alter | Action::Drop, "replica-identity")
            if subject.on_existing || subject.action == Action::Drop =>
        {
            published(subject, id.root())
        }
        _ => None,
    }
}

/// Inserting rows needs no privilege on the sequence of an identity, but does on one that replaces it.
fn cannot_insert(subject: &Subject<'_>) -> Option<Finding> {
    let sequence = subject.id;
    let column = room(sequence.kind()).fills(sequence, subject.after)?;
    let before = numbering::predecessor(sequence, &column, subject.before)?;
    let table = column.parent().filter(|_| before.kind().word == "identity")?;
    let those = |on: &ObjectId, rights: [&str; 3]| -> BTreeSet<&str> {
        let may = |object: &Object| match object.value("privileges") {
            Some(Value::List(list)) => {
                list.iter().any(|right| matches!(right, Value::Text(text) if rights.contains(&&**text)))
            }
            _ => false,
        };
        subject.after.parts(on, "grant").filter(|(_, object)| may(object)).map(|(id, _)| id.name().as_str()).collect()
    };
    let taking = those(sequence, ["usage", "update", "all"]);
    let inserting =
        [table, &column].into_iter().flat_map(|on| those(on, ["insert", "all", "all"])).collect::<BTreeSet<_>>();
    let without: Vec<&str> = inserting.into_iter().filter(|role| !taking.contains(role)).collect();
    if without.is_empty() || taking.contains("public") {
        return None;
    }
    let roles = without.join(", ");
    finding(
        Hazard::BreaksClients,
        format!("{roles} may insert into {table}, but cannot use {sequence} without USAGE on it"),
    )
}

/// What clients no longer find: what is dropped, or the old name of what is renamed.
fn gone(subject: &Subject<'_>) -> ObjectId {
    match subject.old_name {
        Some(name) if subject.action == Action::Rename => subject.id.renamed(name),
        _ => subject.id.clone(),
    }
}

/// True if old rows are identified by something other than the primary key.
fn has_identity(state: &State, table: &ObjectId) -> bool {
    state.parts(table, "replica-identity").next().is_some()
}

/// What happens to a published table whose old rows are identified in another way, or not at all.
fn published(subject: &Subject<'_>, table: &ObjectId) -> Option<Finding> {
    let (before, after) = (subject.before, subject.after);
    if !after.has(table) {
        return None;
    }
    let publishes = |(id, object): (&ObjectId, &crate::model::Object)| match id.kind().word {
        "publication" => object.value("all-tables").is_some(),
        "publication-table" => object.value("table") == Some(&Value::Ref(table.clone())),
        "publication-schema" => {
            table.schema().is_some_and(|own| object.value("schema") == Some(&Value::Ref(own.clone())))
        }
        _ => false,
    };
    let of_kinds = ["publication", "publication-table", "publication-schema"];
    of_kinds.into_iter().flat_map(|word| before.of_kind(word)).any(publishes).then_some(())?;
    finding(
        Hazard::BreaksClients,
        format!(
            "{table} is published: updates, deletes and subscribers fail if its old rows can no longer be identified"
        ),
    )
}
