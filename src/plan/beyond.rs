//! Finds steps whose SQL does more than the step says. Plans are files: somebody may have changed a step's SQL and left its hazards as they
//! were.

use crate::kinds::{self, comment, foreign_options, operator_members, scope};
use crate::model::{Ident, ObjectId};
use crate::sql::statement::{self, Reading, What};
use crate::sql::{lex, names, reference};

use super::by_hand;
use super::{Action, Finding, Hazard, Step};

/// The hazards that steps have and do not name: rows or values are lost, or it is unknown what the SQL does. `all` are the steps of the whole
/// plan: the objects it creates have nothing to lose.
pub fn findings<'a>(steps: impl Iterator<Item = &'a Step>, all: &[Step]) -> Vec<(&'a str, Finding)> {
    let mut out = Vec::new();
    for step in steps.filter(|step| step.action == Action::Manual || !agrees(step)) {
        let named = |hazard| step.hazards.iter().any(|known| known.hazard == hazard);
        let found = by_hand::of_text(step, all).into_iter();
        let found = found.filter(|finding| matches!(finding.hazard, Hazard::DataLoss | Hazard::UnreadSql));
        out.extend(found.filter(|finding| !named(finding.hazard)).map(|finding| (step.object.as_str(), finding)));
    }
    out
}

/// True if the SQL of a computed step fits the step's action and object. If it does not, somebody changed it, and the step counts as written
/// by hand.
pub fn agrees(step: &Step) -> bool {
    let kind = step.object.split(' ').next().unwrap_or("");
    let put_in = foreign_options::put_in(&step.sql);
    let text = put_in.as_deref().unwrap_or(&step.sql);
    let words = words(text);
    let first = words.first().map_or("", String::as_str);
    let says = |text: &[&str]| words.iter().zip(text).filter(|(word, wanted)| word == wanted).count() == text.len();
    let begins = match (step.action, kind) {
        (Action::Manual, _) => return false,
        // A secret goes into an object of the step's kind, not into what others could read.
        _ if put_in.is_some() => {
            let kind = kinds::find(kind).map_or("", |room| room.kind().sql).to_lowercase();
            let of_kind = words.iter().skip(1).zip(kind.split(' ')).all(|(word, wanted)| word == wanted);
            matches!(first, "create" | "alter") && !kind.is_empty() && of_kind
        }
        (Action::Rename, _) => first == "alter" && words.iter().any(|word| word == "rename"),
        (_, "comment" | "index-comment") => says(&["comment", "on"]) || restores_comment(step),
        (_, "grant" | "revoke" | "default-privileges") => {
            matches!(first, "grant" | "revoke")
                || says(&["alter", "default", "privileges"])
                || says(&["set", "local", "role"])
                || says(&["reset", "role"])
        }
        // Privileges that the new object would have by default.
        (Action::Create, _) if first == "revoke" => true,
        (_, "owner") => first == "alter" && words.iter().any(|word| word == "owner"),
        (Action::Drop, "table") => first == "drop" || words.iter().any(|word| word == "detach"),
        (
            _,
            "view" | "function" | "procedure" | "aggregate" | "schema" | "extension" | "policy" | "statistics" | "cast",
        ) => matches!(first, "create" | "alter" | "drop") && !says(&["alter", "table"]),
        _ => {
            matches!(first, "create" | "alter" | "drop" | "refresh" | "update")
                || says(&["select", "pg_catalog", "setval"])
                || kind == "operator-class"
                    && own_name(step).is_some_and(|class| operator_members::removes_added(&step.sql, &class))
        }
    };
    let one = statement::split(text).len() == 1;
    begins && one && !matches!(statement::read(text), Reading::Read(read) if destroys(step, kind, &read.effects))
}

/// The last name in the address of the step's object.
fn own_name(step: &Step) -> Option<String> {
    let (path, _) = scope::split_signature(step.object.split_once(' ')?.1);
    reference::split(path).ok()?.last().map(ToString::to_string)
}

/// True if rows or values are lost that do not belong to the step's object.
fn destroys(step: &Step, kind: &str, effects: &[statement::Effect]) -> bool {
    let path = step.object.split_once(' ').map_or("", |(_, path)| path);
    let parts = reference::split(path).unwrap_or_default();
    let part = |from_end: usize| parts.iter().rev().nth(from_end).map_or("", |part| &**part);
    let (name, parent) = (part(0), part(1));
    let on = |effect: &statement::Effect, wanted: &str| effect.on.last().is_some_and(|last| last == wanted);
    effects.iter().any(|effect| match &effect.what {
        What::Inserts | What::Deletes | What::Truncates | What::Sorts | What::Vacuums { .. } => true,
        What::Overwrites(columns) => {
            step.fill.is_none()
                && !(kind == "column" && on(effect, parent) && columns.as_deref() == Some(&[name.to_string()]))
        }
        What::Drops => !on(effect, name),
        What::DropsColumn => kind != "column" || !on(effect, parent) || !drops_only(&step.sql, name),
        _ => false,
    })
}

/// True if the text drops exactly one thing, and that has this name.
fn drops_only(sql: &str, name: &str) -> bool {
    let named = names::find(sql);
    let drops = named.iter().filter(|found| found.parts == ["drop"]).count();
    drops == 1 && named.last().is_some_and(|found| found.last() == name || found.parts == ["cascade"])
}

/// True for exactly the statement that gives an extension its original comment.
fn restores_comment(step: &Step) -> bool {
    let name = step.object.strip_prefix("comment on extension ").and_then(|name| reference::split(name).ok());
    let extension = name
        .zip(kinds::find("extension"))
        .and_then(|(name, room)| Some(ObjectId::new(room.kind(), None, Ident::from(&**name.first()?))));
    extension.is_some_and(|extension| comment::control_file(&extension).sql == step.sql)
}

/// The unquoted words of a text, folded to lower case as PostgreSQL does.
fn words(sql: &str) -> Vec<String> {
    let words = lex::pieces(sql).filter(|piece| piece.kind == lex::Kind::Word);
    words.map(|piece| piece.text.to_ascii_lowercase()).collect()
}
