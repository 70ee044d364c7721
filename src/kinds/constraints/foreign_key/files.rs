//! Foreign keys in files: `foreign-key customer { references customers id }`, or `references …` in a column.

use crate::kdl::{Node, Problem};
use crate::kinds::constraint::Naming;
use crate::kinds::key_parts;
use crate::kinds::scope::{Load, NO_SCHEMA, Scope, Turn};
use crate::model::Span;

use super::*;

/// Reads a `foreign-key`, or a `references` in a column.
pub fn parse(node: &Node, scope: &mut Scope<'_>) {
    let short = node.get_child("references").is_none();
    let turn = if node.get_prop("name").is_some() { Turn::NamedReference } else { Turn::UnnamedReference };
    if scope.put_off(turn, &ROOM, node) {
        return;
    }
    let (Some(table), Some(parent)) = (constraint::table_of(scope), scope.parent.clone()) else { return };
    let in_column = parent != table;
    let merged = match (&*node.name, in_column, node.get_child("references")) {
        ("references", true, _) => node.clone(),
        ("foreign-key", false, Some(reference)) => merge(node, reference),
        _ => {
            let help = "write `foreign-key COLUMN { references TABLE COLUMN }` in a table, `references TABLE COLUMN` in a column";
            scope.problem(Problem::new(node.span, format!("`{}` is incomplete", node.name)).help(help));
            return;
        }
    };
    let columns = if short { vec![parent] } else { constraint::columns(&node.args, &table, scope) };
    let Some((target, rest)) = merged.args.split_first() else {
        scope.problem(Problem::new(merged.name_span, "the table is missing").label("write `references TABLE COLUMN`"));
        return;
    };
    let Some(name) = target.as_text().cloned() else {
        scope.problem(Problem::new(target.span, "a table is expected here").help("put its name in quotes"));
        return;
    };
    if let Some(problem) = table_and_column(&name, target.span, scope) {
        return scope.problem(problem);
    }
    let Some(other) = scope.resolve(&["table"], &name, target.span) else { return };
    let theirs =
        if rest.is_empty() { primary_key(scope.load, &other) } else { Some(constraint::columns(rest, &other, scope)) };
    let Some(theirs) = theirs else {
        if scope.is_doubtful(&other) && scope.load.state.has(&other) {
            return;
        }
        let problem = Problem::new(target.span, format!("{other} has no primary key")).label("refer to which columns?");
        scope.problem(problem.help("write the columns after the table, or give it a `primary-key`"));
        return;
    };
    let wanted = if short { 1 } else { node.args.len() };
    let given = if rest.is_empty() { theirs.len() } else { rest.len() };
    if wanted == given && theirs.len() != columns.len() {
        return; // one of them is unknown, which was said
    }
    if wanted != given {
        let message = format!("{} cannot refer to {given}", count(wanted));
        scope.problem(Problem::new(node.span, message).help("name the same number of columns on both sides"));
        return;
    }
    let only = constraint::columns_of_child(&merged, ON_DELETE_COLUMNS.name, &table, scope);
    let said = constraint::said_name(&merged, scope);
    let mut read = Attrs::new();
    let key = key_of(scope.load, &other, &theirs);
    if key.is_none() && ought_to_have_key(&other, scope) {
        let names = theirs.iter().map(|c| c.name().as_str()).collect::<Vec<_>>().join(" ");
        let problem = Problem::new(target.span, format!("{other} has no key of `{names}`")).label("not unique there");
        let help = format!(
            "referenced columns must be unique: add `unique {names}` to the other table, or `primary-key {names}`"
        );
        scope.problem(problem.help(help));
    }
    read.set(UNIQUE_KEY, key);
    read.set(REFERENCES, other).set(ON_DELETE_COLUMNS, only);
    read.set(COLUMNS, columns).set(TARGET, theirs);
    let id = constraint::name(&KIND, &table, said, &naming(&read), node.span, scope);
    let mut scope = Scope { schema: scope.schema.clone(), parent: Some(table), load: &mut *scope.load };
    constraint::put(&id, &merged, &[ON_DELETE_COLUMNS.name], read, &mut scope);
}

/// Writes the long form.
pub fn write(id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
    let mut reference = Node::new("references");
    if let Some(other) = object.get(REFERENCES) {
        reference = reference.arg(generic::reference_text(other, id.schema()));
    }
    reference.args.extend(constraint::column_args(&object.get(TARGET).unwrap_or_default()));
    let mut own = object.clone();
    for name in [MATCH.name, ON_DELETE.name, ON_UPDATE.name, PERIOD.name] {
        if let Some(value) = object.value(name) {
            let mut attrs = Attrs::new();
            attrs.put(KIND.attr(name)?.name, value.clone());
            reference = generic::write_record(&ATTRS, &attrs, reference, id.schema());
            own.attrs.remove(name);
        }
    }
    if let Some(only) = object.get(ON_DELETE_COLUMNS) {
        reference.children.push(constraint::columns_node(ON_DELETE_COLUMNS.name, &only));
    }
    let mut node = constraint::write(id, &own, inner, &naming(&object.attrs));
    node.children.insert(0, reference);
    Some(node)
}

/// `2 columns`.
fn count(number: usize) -> String {
    format!("{number} column{}", if number == 1 { "" } else { "s" })
}

/// True if all keys of a table are known: one that inherits may have them from elsewhere.
fn ought_to_have_key(table: &ObjectId, scope: &Scope<'_>) -> bool {
    !scope.is_doubtful(table) && constraint::parents(&scope.load.state, table).is_empty()
}

/// `references customers.id`, which is not a table `id` in a schema `customers` but a table and its column.
fn table_and_column(text: &str, span: Span, scope: &Scope<'_>) -> Option<Problem> {
    let parts = sql::reference::split(text).ok()?;
    let [table, column] = parts.as_slice() else { return None };
    let own = ObjectId::new(find("table")?.kind(), Some(scope.schema.clone()), table.clone());
    let column = constraint::column_id(&own, column.clone())?;
    let schema = scope.load.declared.contains_key(&(NO_SCHEMA.into(), table.clone()));
    if schema || !scope.load.state.has(&column) {
        return None;
    }
    let problem = Problem::new(span, format!("there is no table `{text}`")).label("a table and its column");
    Some(problem.help(format!("write `references {table} {}`", column.name().as_str())))
}

/// `foreign-key` and its `references` as one node: the table and columns referred to, all properties, all children.
fn merge(node: &Node, reference: &Node) -> Node {
    let mut merged = node.clone();
    merged.args.clone_from(&reference.args);
    merged.props.extend(reference.props.iter().cloned());
    merged.children.retain(|c| &*c.name != "references");
    merged.children.extend(reference.children.iter().cloned());
    merged
}

pub(super) fn naming(attrs: &Attrs) -> Naming<'static> {
    let columns: Vec<ObjectId> = attrs.get(COLUMNS).unwrap_or_default().into_iter().cloned().collect();
    Naming { addition: Some(constraint::joined(&columns)), label: "fkey" }
}

/// The keys of a table that a foreign key can rely on, with their columns.
fn keys<'a>(load: &'a Load, table: &ObjectId) -> impl Iterator<Item = (&'a ObjectId, Vec<&'a ObjectId>)> {
    load.keys.get(table).into_iter().flatten().filter_map(|id| {
        let object = load.state.get(id)?;
        let columns = match id.kind().word {
            "primary-key" | "unique" => object.get(COLUMNS)?,
            "index" if object.value("unique").is_some() && object.get(key_parts::WHERE).is_none() => {
                key_parts::plain_columns(&object.attrs)?
            }
            _ => return None,
        };
        Some((id, columns))
    })
}

fn primary_key(load: &Load, table: &ObjectId) -> Option<Vec<ObjectId>> {
    let (_, columns) = keys(load, table).find(|(id, _)| id.kind().word == "primary-key")?;
    Some(columns.into_iter().cloned().collect())
}

/// The key of exactly these columns, in any order; the primary key before others.
fn key_of(load: &Load, table: &ObjectId, columns: &[ObjectId]) -> Option<ObjectId> {
    let same = |key: &Vec<&ObjectId>| key.len() == columns.len() && columns.iter().all(|c| key.contains(&c));
    let found = keys(load, table).filter(|(_, key)| same(key));
    let best = found.min_by_key(|(id, _)| match id.kind().word {
        "primary-key" => 0,
        "unique" => 1,
        _ => 2,
    });
    best.map(|(id, _)| id.clone())
}
