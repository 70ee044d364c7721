//! Columns of tables. An inherited column is listed in a table's node only if it differs from the parent's.

mod catalog;
pub mod convert;
mod inherited;

pub use catalog::unlike_parent;
pub use inherited::settle;

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::collated::{self, COLLATION, collation_attr};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{
    Context, Disturbance, Evaluates, Folded, Heirs, LockMode, Reaction, Room, Statement, constraint, find,
    foreign_options, generic, short, values,
};
use crate::model::{
    Address, Attr, Error, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options, Result,
    Shape, SqlType, State, Text, Value, Within, attr,
};
use crate::sql;
use crate::sql::conversion;

use super::{filling, inheritance};

/// The type; an inherited column may have none of its own.
pub const TYPE: Key<SqlType> = Key::new("type");
const NOT_NULL: Key<bool> = Key::new("not-null");
const GENERATED: Key<Expr> = Key::new("generated");
const VIRTUAL: Key<bool> = Key::new("virtual");
const STORAGE: Key<Text> = Key::new("storage");
const COMPRESSION: Key<Text> = Key::new("compression");
const STATISTICS: Key<i64> = Key::new("statistics");
const WITH: Key<Options> = Key::new("with");
const OPTIONS: Key<Options> = foreign_options::OPTIONS;

/// The kind whose columns have options, and no rows of their own to convert.
const FOREIGN_TABLE: &str = "foreign-table";

/// The kind whose columns are never NULL, without saying so.
const IDENTITY: &str = "identity";

static ATTRS: [Attr; 10] = [
    attr(TYPE, Shape::Type, Form::Argument, OnChange::Alter, "The type; omitted if the column is inherited."),
    attr(NOT_NULL, Shape::Flag, Form::Flag, OnChange::Alter, "NULL is not allowed."),
    attr(VIRTUAL, Shape::Flag, Form::Flag, OnChange::Replace, "Generated when read instead of stored (since 18).")
        .since(18),
    collation_attr(OnChange::Alter),
    attr(GENERATED, Shape::Expr, Form::Property, OnChange::Replace, "The expression that generates the column."),
    attr(
        STORAGE,
        Shape::Word(&["plain", "external", "extended", "main"]),
        Form::Property,
        OnChange::Alter,
        "How long values are stored, if it differs from the type's default.",
    ),
    attr(
        COMPRESSION,
        Shape::Word(&["pglz", "lz4"]),
        Form::Property,
        OnChange::Alter,
        "How long values are compressed (since 14).",
    )
    .since(14),
    attr(STATISTICS, Shape::Int, Form::Property, OnChange::Alter, "The statistics target."),
    attr(WITH, Shape::Options, Form::Child, OnChange::Alter, "Planner options: `n_distinct`, `n_distinct_inherited`."),
    foreign_options::options_attr(OnChange::Alter, "Options of a foreign table's column, such as `column_name`."),
];

pub static KIND: Kind = Kind {
    word: "column",
    sql: "COLUMN",
    address: Address::MemberOf,
    within: Within::Of(&["table", "foreign-table", "view", "materialized-view"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: true,
    doc: "A column of a table. A view's column is listed only if it has a comment, a default, privileges or settings of its own.",
};

pub struct Column;
pub static ROOM: Column = Column;

impl Room for Column {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let in_view = scope.parent.as_ref().is_some_and(|p| matches!(p.kind().word, "view" | "materialized-view"));
        if in_view && node.props.is_empty() && node.children.is_empty() {
            let problem = Problem::new(node.name_span, "a view's columns come from its query");
            return scope
                .problem(problem.label("no effect").help("leave it out, or give it a comment, a default or a grant"));
        }
        if &*node.name == short::NUMBERS {
            let Some(column) = scope.parent.clone() else { return };
            let Some(table) = column.parent().cloned() else { return };
            return short::number(node, &table, &column, scope);
        }
        let serial = short::is_serial(node);
        let mut node = short::unfold(node);
        let by = convert::take(&mut node, scope);
        let node = &node;
        if let Some(object) = generic::parse(&KIND, node, scope) {
            object.by = by;
        }
        let Some(name) = node.args.first().and_then(Arg::as_text) else { return };
        let id = scope.id(self, name.clone());
        if serial {
            let sql_type = scope
                .load
                .state
                .get(&id)
                .and_then(|column| column.get(TYPE))
                .map_or_else(Text::default, |t| t.as_str().into());
            let numbers =
                Node { span: node.span, name_span: node.name_span, ..Node::new(short::NUMBERS).arg(sql_type) };
            scope.inside(&id).put_off(Turn::Unnamed, &ROOM, &numbers);
        }
        if let Some(options) = node.get_child(OPTIONS.name).filter(|_| !is_foreign(&id)) {
            let problem = Problem::new(options.name_span, "only columns of foreign tables have options");
            scope.problem(problem.label("not here").help("planner options belong in `with`"));
        }
        let identity = find(IDENTITY).map(|room| ObjectId::facet(room.kind(), id.clone()));
        // An identity column is never NULL, and that stays when it becomes an ordinary one.
        if identity.is_some_and(|facet| scope.load.state.has(&facet))
            && let Some(object) = scope.load.state.objects_mut().get_mut(&id)
        {
            object.attrs.set(NOT_NULL, true);
        }
    }

    fn lacks(&self, id: &ObjectId, object: &Object, state: &State) -> Option<String> {
        let table = id
            .parent()
            .filter(|p| ["table", FOREIGN_TABLE].contains(&p.kind().word))
            .and_then(|table| state.get(table))?;
        if let Some(of) = inheritance::type_of(table) {
            let attribute = inheritance::attribute(of, id).filter(|attribute| state.has(attribute) || !state.has(of));
            return match attribute {
                None => Some(format!("{of} has no attribute of that name")),
                Some(_) => object.get(TYPE).map(|_| format!("its type is declared in {of}: leave it out here")),
            };
        }
        let has_parents = ["partition-of", "inherits"].iter().any(|name| table.value(name).is_some());
        (object.get(TYPE).is_none() && !has_parents).then(|| "it has no type: `column NAME TYPE`".to_string())
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut shown = object.clone();
        if inner.iter().any(|child| &*child.name == IDENTITY) {
            shown.attrs.remove(NOT_NULL.name);
        }
        Some(convert::write(generic::write(id, &shown, inner), object))
    }

    fn query(&self, server: Version) -> Option<String> {
        Some(catalog::query(server))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (relation, number, name) = (row.oid(), row.next::<i16>(), row.text());
        let id = ObjectId::new(&KIND, Some(book.relation(relation)?.clone()), name);
        book.add_column(relation, number, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        catalog::read(row)
    }

    fn inherited_from(&self, id: &ObjectId, state: &State) -> Vec<ObjectId> {
        inheritance::origins(state, id)
    }

    fn reaction(&self, _: &ObjectId, object: &Object, disturbance: &Disturbance) -> Reaction {
        match disturbance {
            _ if object.get(GENERATED).is_some() => Reaction::Replace,
            Disturbance::Replaced(on) if on.kind().word == "column" => Reaction::Replace,
            Disturbance::Replaced(_) => Reaction::Retype,
            Disturbance::Retyped(_) => Reaction::Survives,
        }
    }

    fn clause(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Option<String> {
        let typed = || {
            id.parent().and_then(|table| cx.state.get(table)).is_some_and(|table| inheritance::type_of(table).is_some())
        };
        let mut text = match object.get(TYPE) {
            Some(sql_type) => format!("{} {}", sql::name(id.name()), sql_type.as_str()),
            None if typed() => format!("{} WITH OPTIONS", sql::name(id.name())),
            None => return None, // an inherited column is altered after its table was created
        };
        if let Some(options) = object.get(OPTIONS) {
            text.push_str(&format!(" OPTIONS ({})", sql::foreign_options(options).join(", ")));
        }
        text.push_str(&collated::clause(object.get(COLLATION)));
        for child in folded {
            text.push_str(&format!(" {}", child.clause));
        }
        if let Some(expression) = object.get(GENERATED) {
            let how = if object.is(VIRTUAL) { "VIRTUAL" } else { "STORED" };
            text.push_str(&format!(" GENERATED ALWAYS AS ({}) {how}", expression.as_str()));
        }
        if object.is(NOT_NULL) {
            text.push_str(" NOT NULL");
        }
        Some(text)
    }

    /// Settings that only ALTER TABLE has (on all versions).
    fn rest(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let settings = [STORAGE.name, COMPRESSION.name, STATISTICS.name, WITH.name];
        // The clause has the options of a column; one that is inherited has no clause.
        let settings = settings.into_iter().chain(object.get(TYPE).is_none().then_some(OPTIONS.name));
        let said: Vec<&'static str> = settings.filter(|name| object.value(name).is_some()).collect();
        self.alter(id, &Object::default(), object, &said, cx)
    }

    /// What was generated and stored stays where the column becomes a plain one; what was only computed was never there.
    fn on_change(&self, attr: &'static Attr, old: &Object, new: &Object) -> OnChange {
        let becomes_plain = new.get(GENERATED).is_none() && !old.is(VIRTUAL);
        if attr.name == GENERATED.name && becomes_plain { OnChange::Alter } else { attr.on_change }
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Rows
    }

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let there = id.parent().is_some_and(|table| cx.across().is_some_and(|other| other.has(table)));
        let mut out = match self.clause(id, object, folded, cx).filter(|_| object.get(TYPE).is_some()) {
            Some(_) if there && filling::lacks_value(id, object, folded, cx.state) => {
                self.create_filled(id, object, folded, cx)
            }
            Some(clause) => vec![alter_table(id, &format!("ADD COLUMN {clause}"))],
            None if object.is(NOT_NULL) && !constraint::inherits_not_null(cx.state, id) => {
                vec![alter_table(id, &format!("ALTER COLUMN {} SET NOT NULL", sql::name(id.name())))]
            }
            None => vec![],
        };
        out.extend(self.rest(id, object, cx)?);
        Ok(out)
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let column = sql::name(id.name()).to_string();
        let mut out = Vec::new();
        // A new type or collation resets how values are stored: it comes first, and storage that differs from the type's default is set again.
        let retypes = |name: &&'static str| [TYPE.name, COLLATION.name].contains(name);
        let mut order: Vec<&'static str> = changed.iter().copied().filter(|name| retypes(name)).collect();
        let again =
            [STORAGE.name, COMPRESSION.name].into_iter().filter(|name| !order.is_empty() && new.value(name).is_some());
        let again: Vec<&'static str> = again.filter(|name| !changed.contains(name)).collect();
        order.extend(changed.iter().copied().filter(|name| !retypes(name)).chain(again));
        for name in &order {
            let what = if *name == TYPE.name || (*name == COLLATION.name && !changed.contains(&TYPE.name)) {
                let Some(new_type) = new.get(TYPE) else { continue };
                let collation = collated::clause(new.get(COLLATION));
                let using = match old.get(TYPE).filter(|_| !is_foreign(id)) {
                    Some(old_type) => converted(id, (old, old_type), (new, new_type), None, cx.other, cx.state)?,
                    None => String::new(),
                };
                format!("ALTER COLUMN {column} TYPE {}{collation}{using}", new_type.as_str())
            } else if *name == NOT_NULL.name {
                format!("ALTER COLUMN {column} {} NOT NULL", if new.is(NOT_NULL) { "SET" } else { "DROP" })
            } else if *name == GENERATED.name && new.get(GENERATED).is_none() {
                format!("ALTER COLUMN {column} DROP EXPRESSION")
            } else if *name == STORAGE.name {
                format!(
                    "ALTER COLUMN {column} SET STORAGE {}",
                    new.get(STORAGE).map_or_else(|| usual_storage(new, cx.server), |s| s.to_uppercase().into())
                )
            } else if *name == COMPRESSION.name {
                format!("ALTER COLUMN {column} SET COMPRESSION {}", new.get(COMPRESSION).map_or("default", |s| s))
            } else if *name == STATISTICS.name {
                format!("ALTER COLUMN {column} SET STATISTICS {}", new.get(STATISTICS).unwrap_or(-1))
            } else if *name == WITH.name {
                let (old, new) = (old.get(WITH).unwrap_or_default(), new.get(WITH).unwrap_or_default());
                let changes = sql::option_changes(&old, &new).into_iter();
                out.extend(changes.map(|change| {
                    let statement = alter_table(id, &format!("ALTER COLUMN {column} {change}"));
                    statement.locks(LockMode::ShareUpdateExclusive, id.parent().unwrap_or(id))
                }));
                continue;
            } else if *name == OPTIONS.name {
                let (old, new) = (old.get(OPTIONS).unwrap_or_default(), new.get(OPTIONS).unwrap_or_default());
                format!("ALTER COLUMN {column} OPTIONS ({})", sql::foreign_option_changes(&old, &new).join(", "))
            } else {
                continue;
            };
            let mut statement = alter_table(id, &what);
            if let (true, Some(table)) = (*name == STATISTICS.name, id.parent()) {
                statement = statement.locks(LockMode::ShareUpdateExclusive, table);
            }
            out.push(statement);
        }
        Ok(out)
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![alter_table(from, &format!("RENAME COLUMN {} TO {}", sql::name(from.name()), sql::name(to.name())))])
    }

    fn retype(
        &self,
        id: &ObjectId,
        object: &Object,
        aside: (&ObjectId, &ObjectId),
        cx: &Context<'_>,
    ) -> Option<Result<Statement>> {
        let new_type = object.get(TYPE)?;
        let sql_type = new_type.as_str();
        let table = id.parent()?;
        let key = cx.state.get(table).and_then(|t| t.value("partition-by"));
        if let Some(Value::Expr(key)) = key
            && sql::names::find(key.as_str()).iter().any(|n| n.parts.last().is_some_and(|p| p == id.name().as_str()))
        {
            let why = format!("{id} is part of the partition key of {table}, whose type PostgreSQL does not change");
            return Some(Err(Error::refused(why).remedy("make a new partitioned table and move the rows")));
        }
        let column = sql::name(id.name());
        if is_foreign(id) {
            return Some(Ok(alter_table(id, &format!("ALTER COLUMN {column} TYPE {sql_type}"))));
        }
        let collation = collated::clause(object.get(COLLATION));
        let old_type = cx.state.get(id).and_then(|object| object.get(TYPE)).unwrap_or(new_type);
        let plain = Object::default();
        let using = match converted(id, (&plain, old_type), (&plain, new_type), Some(aside), cx.state, cx.other) {
            Ok(using) => using,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(alter_table(id, &format!("ALTER COLUMN {column} TYPE {sql_type}{collation}{using}"))))
    }

    /// An inherited column stays, and becomes what its parents say again.
    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        if object.get(TYPE).is_some() {
            return Ok(inherited::drop(id, cx));
        }
        let said = object.attrs.iter().map(|(name, _)| name);
        let said: Vec<&'static str> =
            said.filter(|name| *name != NOT_NULL.name || !constraint::inherits_not_null(cx.state, id)).collect();
        self.alter(id, object, &Object::default(), &said, cx)
    }
}

/// The USING clause that converts a column's values, if one is needed. `aside` is a type that is rebuilt, and what it is called meanwhile.
fn converted(
    id: &ObjectId,
    (from, old_type): (&Object, &SqlType),
    (to, new_type): (&Object, &SqlType),
    aside: Option<(&ObjectId, &ObjectId)>,
    before: &State,
    after: &State,
) -> Result<String> {
    // What is generated is converted as it is computed: PostgreSQL accepts no USING there.
    if after.get(id).or_else(|| before.get(id)).is_some_and(|column| column.get(GENERATED).is_some()) {
        return Ok(String::new());
    }
    let (mut old, new) = (values::stands(before, old_type), values::stands(after, new_type));
    let is_domain = old.text() != old_type.as_str();
    if let Some((name, now)) = aside {
        old = old.called(name, now);
    }
    if let Some(said) = convert::said(from, to) {
        return Ok(format!(" USING ({})", said.as_str()));
    }
    let verdict = conversion::verdict(&old, &new);
    convert::possible(id, &verdict, (from, to), [old_type.as_str(), new_type.as_str()])?;
    let place = id.parent().map_or_else(String::new, |table| format!("{}.{}", sql::path(table), id.name().as_str()));
    let using = conversion::using(&sql::name(id.name()).to_string(), is_domain, &place, &old, &new);
    Ok(using.map_or_else(String::new, |using| format!(" USING {using}")))
}

impl Column {
    /// Adds a column to a table that may have rows: first without values, which must be supplied, then with them and their constraints.
    fn create_filled(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Vec<Statement> {
        let column = sql::name(id.name()).to_string();
        let mut open = object.clone();
        open.attrs.set(NOT_NULL, false);
        let base = filling::base_of(object, cx.state);
        if let Some(base) = &base {
            open.attrs.set(TYPE, base.clone());
        }
        let clause = self.clause(id, &open, folded, cx).unwrap_or_default();
        let table = id.parent().map_or_else(String::new, sql::path);
        let fill = format!("UPDATE {table} SET {column} = NULL /* or what --fill says */");
        let mut fill = Statement::new(fill).fills(id);
        fill.lock = id.parent().map(|table| (LockMode::AccessExclusive, table.clone()));
        let mut out = vec![alter_table(id, &format!("ADD COLUMN {clause}")), fill];
        if let (Some(_), Some(sql_type)) = (base, object.get(TYPE)) {
            let collation = collated::clause(object.get(COLLATION));
            out.push(alter_table(id, &format!("ALTER COLUMN {column} TYPE {}{collation}", sql_type.as_str())));
        }
        if object.is(NOT_NULL) {
            out.push(alter_table(id, &format!("ALTER COLUMN {column} SET NOT NULL")));
        }
        out
    }
}

/// PostgreSQL accepts no USING for relations without rows of their own.
fn is_foreign(column: &ObjectId) -> bool {
    column.parent().is_some_and(|table| table.kind().word == FOREIGN_TABLE)
}

/// The word for the type's default storage. `DEFAULT` says it from 16 on; before, only two kinds of types have a choice at all.
fn usual_storage(column: &Object, server: Version) -> Text {
    let sql_type = column.get(TYPE);
    let main =
        sql_type.as_ref().is_some_and(|t| ["numeric", "inet", "cidr"].iter().any(|name| t.as_str().starts_with(name)));
    let array = sql_type.is_some_and(|t| t.as_str().ends_with("[]"));
    match (server.at_least(16), main && !array) {
        (true, _) => "DEFAULT".into(),
        (false, true) => "MAIN".into(),
        (false, false) => "EXTENDED".into(),
    }
}

fn alter_table(id: &ObjectId, what: &str) -> Statement {
    match id.parent() {
        Some(table) => Statement::new(format!("ALTER {} {} {what}", table.kind().sql, sql::path(table)))
            .locks(LockMode::AccessExclusive, table),
        None => Statement::new(what),
    }
}
