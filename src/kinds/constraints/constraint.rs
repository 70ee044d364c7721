//! What constraints and indexes share: columns of a table, names that files leave out, ALTER TABLE … CONSTRAINT.

use crate::kdl::{Arg, Node, Problem, Prop, Scalar};
use crate::kinds::meant;
use crate::kinds::scope::Scope;
use crate::kinds::{LockMode, Statement, find, generic, inheritance};
use crate::model::{
    Attr, Attrs, Form, Ident, Key, KindRef, Namespace, Object, ObjectId, OnChange, Options, Shape, Span, State, Text,
    Value, attr,
};
use crate::sql;

use super::choose_name;

/// The columns of a key, in order.
pub const COLUMNS: Key<Vec<ObjectId>> = Key::new("columns");
/// Columns that an index only carries.
pub const INCLUDE: Key<Vec<ObjectId>> = Key::new("include");
/// Storage parameters of an index.
pub const WITH: Key<Options> = Key::new("with");
/// The tablespace of an index.
pub const TABLESPACE: Key<Ident> = Key::new("tablespace");
/// The constraint can be checked at the end of a transaction.
pub const DEFERRABLE: Key<bool> = Key::new("deferrable");
/// … and is, unless the transaction says otherwise.
pub const INITIALLY_DEFERRED: Key<bool> = Key::new("initially-deferred");
/// Existing rows were not checked.
pub const NOT_VALID: Key<bool> = Key::new("not-valid");
/// Declared, but never checked (since 18).
pub const NOT_ENFORCED: Key<bool> = Key::new("not-enforced");

/// The row of a table of attributes for `COLUMNS`.
pub const fn columns_attr() -> Attr {
    attr(COLUMNS, Shape::Refs(&["column"]), Form::Custom, OnChange::Replace, "The columns, as arguments.")
}

/// The row for `INCLUDE`.
pub const fn include_attr() -> Attr {
    let doc = "Columns that the index stores but that are not part of the key: `include c d`.";
    attr(INCLUDE, Shape::Refs(&["column"]), Form::Custom, OnChange::Replace, doc)
}

/// The row for `WITH`.
pub const fn with_attr() -> Attr {
    attr(WITH, Shape::Options, Form::Child, OnChange::Alter, "Storage parameters of the index.")
}

/// The row for `TABLESPACE`.
pub const fn tablespace_attr() -> Attr {
    attr(TABLESPACE, Shape::Name, Form::Property, OnChange::Alter, "The tablespace of the index.")
}

/// The row for `DEFERRABLE`.
pub const fn deferrable_attr(on_change: OnChange) -> Attr {
    attr(DEFERRABLE, Shape::Flag, Form::Property, on_change, "A transaction may postpone the check until its end.")
}

/// The row for `INITIALLY_DEFERRED`.
pub const fn initially_deferred_attr(on_change: OnChange) -> Attr {
    let doc = "The check is postponed unless the transaction says otherwise; implies `deferrable`.";
    attr(INITIALLY_DEFERRED, Shape::Flag, Form::Property, on_change, doc)
}

// ---- files --------------------------------------------------------------------------------------------------------

/// The address of a table's column.
pub fn column_id(table: &ObjectId, name: impl Into<Ident>) -> Option<ObjectId> {
    find("column").map(|room| ObjectId::new(room.kind(), Some(table.clone()), name))
}

/// True if the table has the column, by itself or inherited; also where that cannot be known.
pub fn has_column(state: &State, table: &ObjectId, name: &str) -> bool {
    has_column_within(state, table, name, 32)
}

fn has_column_within(state: &State, table: &ObjectId, name: &str, depth: u32) -> bool {
    if !matches!(table.kind().word, "table" | "foreign-table") || !state.has(table) || depth == 0 {
        return true;
    }
    let own = column_id(table, name);
    let object = state.get(table);
    let of = object.and_then(inheritance::type_of);
    if let Some(of) = of {
        let attribute = own.as_ref().and_then(|own| inheritance::attribute(of, own));
        return !state.has(of) || attribute.is_some_and(|attribute| state.has(&attribute));
    }
    own.is_some_and(|id| state.has(&id))
        || parents(state, table).iter().any(|parent| has_column_within(state, parent, name, depth - 1))
}

/// The tables that a table gets columns from.
pub fn parents(state: &State, table: &ObjectId) -> Vec<ObjectId> {
    fn collect(value: &Value, out: &mut Vec<ObjectId>) {
        match value {
            Value::Ref(id) if matches!(id.kind().word, "table" | "foreign-table") => out.push(id.clone()),
            Value::List(list) => list.iter().for_each(|v| collect(v, out)),
            Value::Record(record) => record.iter().for_each(|(_, v)| collect(v, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    if let Some(object) = state.get(table) {
        object.attrs.iter().for_each(|(_, v)| collect(v, &mut out));
    }
    out
}

/// True if a column that a table only inherits is NOT NULL in a parent.
pub fn inherits_not_null(state: &State, column: &ObjectId) -> bool {
    let origins = inheritance::origins(state, column);
    origins.iter().filter_map(|id| state.get(id)).any(|object| object.value("not-null").is_some())
}

/// An argument as a column of the table; an unknown one is a problem.
pub fn column(arg: &Arg, table: &ObjectId, scope: &mut Scope<'_>) -> Option<ObjectId> {
    if arg.annotation.is_some() {
        let problem = Problem::new(arg.span, "only columns are allowed here").label("an expression");
        scope.problem(problem.help("an expression can be a part of an index: `index NAME (sql)\"…\" unique=#true`"));
        return None;
    }
    let name = generic::name_of(arg, scope)?;
    if !has_column(&scope.load.state, table, name.as_str()) {
        let mut problem =
            Problem::new(arg.span, format!("{table} has no column `{}`", name.as_str())).label("unknown column");
        problem.help = candidates(&scope.load.state, table, name.as_str());
        scope.problem(problem);
        return None;
    }
    column_id(table, name)
}

/// The column that may have been meant, or all that the table has.
pub fn candidates(state: &State, table: &ObjectId, name: &str) -> Option<String> {
    const SHOWN: usize = 12;
    let columns = state.iter().map(|(id, _)| id).filter(|id| id.kind().word == "column" && id.parent() == Some(table));
    let known: Vec<&str> = columns.map(|id| id.name().as_str()).collect();
    match meant::nearest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => Some(format!(
            "it is declared without columns; if it is not yours, declare only what you add to it, in `on {} {{ … }}`",
            table.path()
        )),
        None => {
            let more = if known.len() > SHOWN { ", …" } else { "" };
            Some(format!("its columns: {}{more}", known.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ")))
        }
    }
}

/// Arguments as columns.
pub fn columns(args: &[Arg], table: &ObjectId, scope: &mut Scope<'_>) -> Vec<ObjectId> {
    args.iter().filter_map(|arg| column(arg, table, scope)).collect()
}

/// The columns of the child node `word`, if there is one.
pub fn columns_of_child(node: &Node, word: &str, table: &ObjectId, scope: &mut Scope<'_>) -> Option<Vec<ObjectId>> {
    let child = node.get_child(word)?;
    Some(columns(&child.args, table, scope)).filter(|list| !list.is_empty())
}

/// The table in whose node (or in whose column's node) a node is.
pub fn table_of(scope: &Scope<'_>) -> Option<ObjectId> {
    let parent = scope.parent.as_ref()?;
    if parent.kind().word == "column" { parent.parent().cloned() } else { Some(parent.clone()) }
}

/// The name given by `name=`.
pub fn said_name(node: &Node, scope: &mut Scope<'_>) -> Option<Ident> {
    node.get_prop("name").and_then(|arg| generic::name_of(arg, scope))
}

/// What a constraint without a name is named after.
pub struct Naming<'a> {
    /// Its columns, joined.
    pub addition: Option<String>,
    /// `pkey`, `key`, `fkey` …
    pub label: &'a str,
}

/// The address of a constraint on `table` (or an index beside it), under the given name, or else PostgreSQL's.
pub fn name(
    kind: KindRef,
    table: &ObjectId,
    said: Option<Ident>,
    naming: &Naming<'_>,
    span: Span,
    scope: &mut Scope<'_>,
) -> ObjectId {
    let home = table.schema().cloned().unwrap_or_else(|| scope.schema.clone());
    let mut spaces = Vec::new();
    if kind.namespace != Namespace::Relation {
        spaces.push(table.clone());
    }
    if kind.namespace != Namespace::Constraint {
        spaces.push(home.clone());
    }
    let load = &mut *scope.load;
    let taken = |name: &str| {
        let name = Text::from(name);
        spaces.iter().any(|space| {
            load.taken.contains(&(space.clone(), name.clone()))
                || (*space == home
                    && load.declared.get(&(home.name().text(), name.clone())).is_some_and(|words| is_relation(words)))
        })
    };
    let chosen = match said {
        Some(name) => name,
        None => choose_name::choose(table.name().as_str(), naming.addition.as_deref(), naming.label, taken),
    };
    let id = ObjectId::new(kind, Some(table.clone()), chosen.clone());
    let free: Vec<bool> = spaces.into_iter().map(|space| load.taken.insert((space, chosen.text()))).collect();
    if free.contains(&false) && !load.state.has(&id) {
        let message = format!("the name `{}` is taken by another constraint or index", chosen.as_str());
        scope.problem(Problem::new(span, message).label("second one").help("give one of them another name"));
    }
    id
}

fn is_relation(words: &[&str]) -> bool {
    words.iter().any(|w| ["table", "view", "materialized-view", "sequence", "foreign-table", "type"].contains(w))
}

/// The label under which an unnamed constraint would go, if nothing else had the name: writing leaves it out then.
pub fn is_default_name(id: &ObjectId, naming: &Naming<'_>) -> bool {
    let table = id.parent().map_or("", |t| t.name().as_str());
    choose_name::choose(table, naming.addition.as_deref(), naming.label, |_| false) == *id.name()
}

/// Columns joined as in a constraint's name.
pub fn joined(columns: &[ObjectId]) -> String {
    choose_name::addition(columns.iter().map(|c| c.name().as_str()))
}

/// Puts an object whose arguments and children `own` were read by the room (`read`); the kind's table reads the rest.
/// A flag may be a property (`deferrable=#true`) or an empty child (`{ deferrable }`).
pub fn put(id: &ObjectId, node: &Node, own: &[&str], read: Attrs, scope: &mut Scope<'_>) {
    let is_flag =
        |name: &str| id.kind().attr(name).is_some_and(|a| matches!(a.shape, Shape::Flag) && a.form == Form::Property);
    let mut rest = Node { args: Vec::new(), ..node.clone() };
    rest.props.retain(|p| &*p.name != "name");
    rest.children.retain(|c| !own.contains(&&*c.name));
    for child in rest.children.iter().filter(|c| is_flag(&c.name) && c.args.is_empty()) {
        let value = Arg { value: Scalar::Bool(true), annotation: None, span: child.span };
        rest.props.push(Prop { name: child.name.clone(), value, name_span: child.name_span });
    }
    rest.children.retain(|c| !(is_flag(&c.name) && c.args.is_empty()));
    let Some(object) = generic::parse_as(id.clone(), &rest, 0, scope) else { return };
    for (name, value) in read.iter() {
        object.attrs.put(name, value.clone());
    }
    if object.is(INITIALLY_DEFERRED) {
        object.attrs.set(DEFERRABLE, true);
    }
    if let Some(table) = id.parent().filter(|_| id.kind().namespace != Namespace::Constraint) {
        scope.load.keys.entry(table.clone()).or_default().push(id.clone());
    }
}

/// The node of a constraint: its columns as arguments, `name=` where PostgreSQL would choose another name.
pub fn write(id: &ObjectId, object: &Object, inner: Vec<Node>, naming: &Naming<'_>) -> Node {
    let mut object = object.clone();
    if object.is(INITIALLY_DEFERRED) {
        object.attrs.remove(DEFERRABLE.name);
    }
    let mut node = generic::write(id, &object, inner);
    node.args.clear();
    node.args.extend(column_args(&object.get(COLUMNS).unwrap_or_default()));
    if !is_default_name(id, naming) {
        let value = Arg::text(id.name().text());
        node.props.insert(0, Prop::new("name", value));
    }
    if let Some(include) = object.get(INCLUDE) {
        node.children.insert(0, columns_node("include", &include));
    }
    node
}

/// Columns as arguments.
pub fn column_args<'a>(columns: &'a [&'a ObjectId]) -> impl Iterator<Item = Arg> {
    columns.iter().map(|c| Arg::text(c.name().text()))
}

/// A child node with columns as arguments.
pub fn columns_node(word: &str, columns: &[&ObjectId]) -> Node {
    let mut node = Node::new(word);
    node.args.extend(column_args(columns));
    node
}

// ---- catalog ------------------------------------------------------------------------------------------------------

/// The ids of columns by their numbers; `None` if one is not in the book.
pub fn columns_by_number(book: &crate::catalog::Book, relation: u32, numbers: &[i16]) -> Option<Vec<ObjectId>> {
    numbers.iter().map(|number| book.column(relation, *number).cloned()).collect()
}

/// A name in a schema as stored in plain text: what PostgreSQL finds by itself or in `public` has no schema.
pub fn in_schema(schema: &str, name: &str) -> Text {
    match schema {
        "pg_catalog" | "public" => sql::reference::join(&[name]).into(),
        _ => sql::reference::join(&[schema, name]).into(),
    }
}

/// The same for a name in a file; `word` is the kind that the project may declare it as.
pub fn normal_name(text: &str, word: &str, scope: &Scope<'_>) -> Text {
    match sql::reference::split(text).as_deref() {
        Ok([name]) => {
            let own = scope.schema.name().text();
            let declared = scope.load.declared.get(&(own.clone(), name.clone()));
            let home = if declared.is_some_and(|words| words.contains(&word)) { own } else { "public".into() };
            in_schema(&home, name)
        }
        Ok([home, name]) => in_schema(home, name),
        _ => text.into(),
    }
}

/// Such a name in SQL.
pub fn name_sql(text: &str) -> String {
    let parts = sql::reference::split(text).unwrap_or_else(|_| vec![text.into()]);
    parts.into_iter().map(|p| sql::name(&Ident::new(p)).to_string()).collect::<Vec<_>>().join(".")
}

// ---- DDL ----------------------------------------------------------------------------------------------------------

/// Columns with commas between.
pub fn column_list<'a>(columns: impl IntoIterator<Item = &'a ObjectId>) -> String {
    sql::name_list(columns.into_iter().map(|c| c.name()))
}

/// ` INCLUDE (…)`.
pub fn include_sql(object: &Object) -> String {
    object.get(INCLUDE).map_or_else(String::new, |list| format!(" INCLUDE ({})", column_list(list)))
}

/// ` WITH (…)`.
pub fn with_sql(object: &Object) -> String {
    object.get(WITH).map_or_else(String::new, |list| format!(" WITH ({})", sql::options(list.into_iter())))
}

/// ` DEFERRABLE INITIALLY DEFERRED`.
pub fn deferrable_sql(object: &Object) -> &'static str {
    match (object.is(DEFERRABLE), object.is(INITIALLY_DEFERRED)) {
        (_, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        (false, false) => "",
    }
}

/// `CONSTRAINT name definition`.
pub fn clause(id: &ObjectId, definition: &str) -> String {
    format!("CONSTRAINT {} {definition}", sql::name(id.name()))
}

/// `ALTER TABLE … what`, with its lock on the table; on a domain, without.
pub fn alter_parent(id: &ObjectId, mode: LockMode, what: &str) -> Statement {
    let Some(parent) = id.parent() else { return Statement::new(what) };
    let statement = Statement::new(format!("ALTER {} {} {what}", parent.kind().sql, sql::path(parent)));
    if parent.kind().word == "domain" { statement } else { statement.locks(mode, parent) }
}

/// `ALTER TABLE … ADD CONSTRAINT …`.
pub fn add(id: &ObjectId, mode: LockMode, definition: &str) -> Vec<Statement> {
    vec![alter_parent(id, mode, &format!("ADD {}", clause(id, definition)))]
}

/// `ALTER TABLE … DROP CONSTRAINT …`.
pub fn drop(id: &ObjectId) -> Vec<Statement> {
    vec![alter_parent(id, LockMode::AccessExclusive, &format!("DROP CONSTRAINT {}", sql::name(id.name())))]
}

/// `ALTER TABLE … RENAME CONSTRAINT …`.
pub fn rename(from: &ObjectId, to: &ObjectId) -> Vec<Statement> {
    let what = format!("RENAME CONSTRAINT {} TO {}", sql::name(from.name()), sql::name(to.name()));
    vec![alter_parent(from, LockMode::AccessExclusive, &what)]
}

/// Storage parameters and tablespace of an index, or of the index of a constraint.
pub fn alter_index(id: &ObjectId, old: &Object, new: &Object, changed: &[&'static str]) -> Vec<Statement> {
    let path = sql::schema_path(id, id.name());
    let table = id.parent().unwrap_or(id);
    let mut out = Vec::new();
    if changed.contains(&WITH.name) {
        let (old, new) = (old.get(WITH).unwrap_or_default(), new.get(WITH).unwrap_or_default());
        let changes = sql::option_changes(&old, &new).into_iter();
        out.extend(changes.map(|change| {
            Statement::new(format!("ALTER INDEX {path} {change}")).locks(LockMode::ShareUpdateExclusive, table)
        }));
    }
    if changed.contains(&TABLESPACE.name) {
        let space = new.get(TABLESPACE).map_or_else(|| "pg_default".to_string(), |s| sql::name(&s).to_string());
        let sql = format!("ALTER INDEX {path} SET TABLESPACE {space}");
        out.push(Statement::new(sql).locks(LockMode::AccessExclusive, table));
    }
    out
}

/// `ALTER TABLE … VALIDATE CONSTRAINT …`: reads all rows, but lets others read and write.
pub fn validate(id: &ObjectId) -> Statement {
    alter_parent(id, LockMode::ShareUpdateExclusive, &format!("VALIDATE CONSTRAINT {}", sql::name(id.name()))).scans()
}
