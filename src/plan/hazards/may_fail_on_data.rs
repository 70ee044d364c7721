//! `may-fail-on-data`: existing rows have to satisfy a new rule.

use super::{Finding, Hazard, Subject, data_loss, finding, table_rewrite, values, work};
use crate::kinds::{self, filling, inheritance};
use crate::model::{Object, ObjectId, Value};
use crate::plan::Action;
use crate::sql;
use crate::sql::conversion::{self, Verdict};

/// A change that makes PostgreSQL check every existing row.
pub(super) struct Look<'a> {
    /// The tables whose rows it checks.
    pub tables: Vec<&'a ObjectId>,
    /// What must be true of them.
    pub reason: String,
}

/// A change that makes the step check every existing row.
pub(super) fn looks_at_rows<'a>(subject: &Subject<'a>) -> Option<Look<'a>> {
    joins(subject)
        .or_else(|| of_domain(subject))
        .or_else(|| Some(Look { tables: vec![subject.id.root()], reason: new_rule(subject)? }))
}

/// A partition that comes to a table, or gets other bounds: its own rows have to be within them, and those of the default
/// partition without.
fn joins<'a>(subject: &Subject<'a>) -> Option<Look<'a>> {
    let (id, after) = (subject.id, subject.after);
    let (parent, _) = inheritance::partition_of(subject.new?)?;
    let moves = subject.action == Action::Alter && subject.changed.contains(&"partition-of");
    if !moves && subject.action != Action::Create {
        return None;
    }
    let own = (moves && subject.on_existing && !data_loss::foreign(id)).then_some(id);
    let default = inheritance::default_partition(after, parent).filter(|default| *default != id);
    let default = default.filter(|default| subject.before.has(default) && !data_loss::foreign(default));
    let reason = match (own, default) {
        (Some(own), None) => format!("every row of {own} must be within its bounds"),
        (None, Some(default)) => format!("no row of {default} may be within the bounds of {id}"),
        (Some(own), Some(default)) => {
            format!("every row of {own} must be within its bounds, and no row of {default} may be")
        }
        (None, None) => return None,
    };
    Some(Look { tables: own.into_iter().chain(default).collect(), reason })
}

/// A partition that leaves a table to which foreign keys refer, or a table above it: no row may refer to one of its own.
fn leaves(subject: &Subject<'_>) -> Option<String> {
    let (id, before) = (subject.id, subject.before);
    let (parent, _) = inheritance::partition_of(subject.old?)?;
    let stays = subject.new.and_then(inheritance::partition_of).is_some_and(|(now, _)| now == parent);
    if subject.action != Action::Alter || !subject.changed.contains(&"partition-of") || stays {
        return None;
    }
    let wholes: Vec<&ObjectId> =
        std::iter::successors(Some(parent), |table| Some(inheritance::partition_of(before.get(table)?)?.0))
            .take(64)
            .collect();
    let refers = |key: &Object| matches!(key.value("references"), Some(Value::Ref(to)) if wholes.contains(&to));
    let (key, _) = before.of_kind("foreign-key").find(|(key, object)| refers(object) && subject.after.has(key))?;
    Some(format!("no row of {} may refer to a row of {id}", key.root()))
}

/// A domain's new rule: PostgreSQL looks at every table that has a column of it, or of what is made of it.
fn of_domain<'a>(subject: &Subject<'a>) -> Option<Look<'a>> {
    let domain = Some(subject.id.root()).filter(|root| subject.on_existing && root.kind().word == "domain")?;
    let reason = match (subject.action, subject.id.kind().word) {
        (Action::Alter, "domain")
            if subject.changed.contains(&"not-null") && subject.new?.value("not-null").is_some() =>
        {
            format!("no value of {domain} may be NULL")
        }
        (Action::Create, "check") if subject.new?.value("not-valid").is_none() => {
            format!("every value of {domain} must satisfy {}", subject.id)
        }
        _ => return None,
    };
    let mut tables: Vec<&ObjectId> =
        kinds::values::columns_of(subject.before, domain).into_iter().map(ObjectId::root).collect();
    tables.sort();
    tables.dedup();
    (!tables.is_empty()).then_some(Look { tables, reason })
}

/// What must be true of every row from now on.
fn new_rule(subject: &Subject<'_>) -> Option<String> {
    if !subject.on_existing || data_loss::foreign(subject.id) || subject.id.root().kind().word == "domain" {
        return None;
    }
    let id = subject.id;
    match (subject.action, id.kind().word) {
        (Action::Create, "primary-key" | "unique" | "exclude" | "check" | "foreign-key")
            if subject.new?.value("not-valid").is_none() =>
        {
            Some(format!("every row of {} must satisfy {id}", id.root()))
        }
        (Action::Create, "index") if subject.new?.value("unique").is_some() => {
            Some(format!("every row of {} must be unique in {id}", id.root()))
        }
        (Action::Alter, "column")
            if subject.changed.contains(&"not-null") && subject.new?.value("not-null").is_some() =>
        {
            Some(format!("no row of {} may have NULL in {id}", id.root()))
        }
        (Action::Create, "column") if subject.new?.value("type").is_none() => {
            let refuses = subject.new?.value("not-null").is_some() && !work::gets_not_null(subject);
            refuses.then(|| format!("no row of {} may have NULL in {id}", id.root()))
        }
        (Action::Create, "column") if needs_a_value(subject) => {
            Some(format!("rows of {} need a value for {id}", id.root()))
        }
        (Action::Alter, "column") if equality_changes(subject) && in_key(subject) => {
            Some(format!("rows of {} must differ under the new equality of {id}", id.root()))
        }
        _ => None,
    }
}

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if let Some(look) = looks_at_rows(subject) {
        return finding(Hazard::MayFailOnData, look.reason);
    }
    if let Some(reason) = leaves(subject) {
        return finding(Hazard::MayFailOnData, reason);
    }
    let fate = subject.on_existing.then(|| values::fate(subject)).flatten()?;
    match fate.verdict {
        Verdict::Keeps if !gets_rules(subject) => None,
        Verdict::Looks => finding(
            Hazard::MayFailOnData,
            format!("every value of {} must convert back from the new type unchanged", subject.id),
        ),
        _ => finding(Hazard::MayFailOnData, format!("every value of {} must fit the new type", subject.id)),
    }
}

/// True if the new type involves domains, which may have rules of their own.
fn gets_rules(subject: &Subject<'_>) -> bool {
    let Some((old, new)) = table_rewrite::changed_type(subject) else { return false };
    let domains = |state, sql_type| {
        let through = kinds::values::through(state, sql_type).into_iter();
        through.filter(|id| id.kind().word == "domain").collect::<Vec<_>>()
    };
    let had = domains(subject.before, &old);
    domains(subject.after, &new).iter().any(|domain| !had.contains(domain))
}

/// True for a new column for which existing rows may have no value.
fn needs_a_value(subject: &Subject<'_>) -> bool {
    let (id, after) = (subject.id, subject.after);
    let Some(column) = subject.new else { return false };
    let facet = |word: &str| kinds::find(word).map(|room| ObjectId::facet(room.kind(), id.clone()));
    let default_of = |object: &Object| match object.value("default").or_else(|| object.value("value")) {
        Some(Value::Expr(text)) => Some(text.clone()),
        _ => None,
    };
    let domains: Vec<ObjectId> = match column.value("type") {
        Some(Value::Type(sql_type)) => kinds::values::through(after, sql_type),
        _ => Vec::new(),
    };
    let domains: Vec<&Object> =
        domains.iter().filter(|id| id.kind().word == "domain").filter_map(|id| after.get(id)).collect();
    let refuses_null = |object: &Object| object.value("not-null").is_some();
    if !refuses_null(column) && !domains.iter().any(|domain| refuses_null(domain)) {
        return false;
    }
    if facet("identity").is_some_and(|identity| after.has(&identity)) {
        return filling::above_heirs(id, after);
    }
    let own = facet("default").and_then(|default| after.get(&default)).and_then(default_of);
    let default = own.or_else(|| domains.iter().find_map(|domain| default_of(domain)));
    !default.is_some_and(|text| never_null(text.as_str()))
}

/// True for an expression that certainly gives a value: constants, and functions that return the time or count.
fn never_null(expression: &str) -> bool {
    const GIVE_VALUES: &[&str] = &[
        "now",
        "clock_timestamp",
        "statement_timestamp",
        "transaction_timestamp",
        "gen_random_uuid",
        "uuidv4",
        "uuidv7",
        "uuid_generate_v1",
        "uuid_generate_v4",
        "nextval",
        "random",
        "array",
        "row",
    ];
    let mut words = sql::lex::pieces(expression).filter(|piece| piece.kind == sql::lex::Kind::Word);
    if words.any(|word| ["null", "nullif", "case", "select"].contains(&&*word.text.to_lowercase())) {
        return false;
    }
    let gives = |name: &str| GIVE_VALUES.contains(&name) || sql::types::is_built_in(name); // a type with its length
    sql::names::find(expression).iter().filter(|name| name.call).all(|name| gives(name.last()))
}

/// True if values that were not equal may be equal from now on, although none of them changes.
fn equality_changes(subject: &Subject<'_>) -> bool {
    if subject.changed.contains(&"collation") {
        return true;
    }
    let types = table_rewrite::changed_type(subject).filter(|_| subject.changed.contains(&"type"));
    types.is_some_and(|(old, new)| {
        let (old, new) = (kinds::values::stands(subject.before, &old), kinds::values::stands(subject.after, &new));
        conversion::other_equality(&old, &new)
    })
}

/// True if rows must differ, or agree with others, in the column.
fn in_key(subject: &Subject<'_>) -> bool {
    subject.edges.iter().any(|(id, needs)| {
        let key = match id.kind().word {
            "primary-key" | "unique" | "exclude" | "foreign-key" | "check" => true,
            "index" => subject.before.get(id).is_some_and(|index| index.value("unique").is_some()),
            _ => false,
        };
        key && subject.after.has(id) && needs.contains(subject.id)
    })
}
