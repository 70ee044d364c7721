//! Columns of tables. A column that a table inherits stands in its node only where it differs from the parent's.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Arg, Node, Problem};
use crate::model::{
    Address, Attr, Attrs, Error, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options,
    Result, Shape, SqlType, State, Text, Value, Within, attr,
};
use crate::sql;

use super::collated::{self, COLLATION, collation_attr};
use super::scope::{Scope, Turn};
use super::{
    Context, Disturbance, Folded, LockMode, Reaction, Room, Statement, constraint, find, foreign_options, generic,
    inheritance, short,
};

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
    attr(TYPE, Shape::Type, Form::Argument, OnChange::Alter, "The type; left out where the column is inherited."),
    attr(NOT_NULL, Shape::Flag, Form::Flag, OnChange::Alter, "NULL is refused."),
    attr(VIRTUAL, Shape::Flag, Form::Flag, OnChange::Replace, "Generated when read instead of stored (from 18 on)."),
    collation_attr(OnChange::Alter),
    attr(
        GENERATED,
        Shape::Expr,
        Form::Property,
        OnChange::Replace,
        "The expression that the column is generated from.",
    ),
    attr(
        STORAGE,
        Shape::Word(&["plain", "external", "extended", "main"]),
        Form::Property,
        OnChange::Alter,
        "How long values are stored, where it is not the type's way.",
    ),
    attr(
        COMPRESSION,
        Shape::Word(&["pglz", "lz4"]),
        Form::Property,
        OnChange::Alter,
        "How long values are compressed.",
    ),
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
    doc: "A column of a table. A view's column stands here only with a comment, a default, rights or settings of its own.",
};

pub struct Column;
pub static ROOM: Column = Column;

impl Room for Column {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let in_view = scope.parent.as_ref().is_some_and(|p| matches!(p.kind().word, "view" | "materialized-view"));
        if in_view && node.props.is_empty() && node.children.is_empty() {
            let problem = Problem::new(node.name_span, "a view's columns come from its query");
            return scope.problem(
                problem.label("says nothing").help("leave it out, or give it a comment, a default or a grant"),
            );
        }
        if &*node.name == short::NUMBERS {
            let Some(column) = scope.parent.clone() else { return };
            let Some(table) = column.parent().cloned() else { return };
            return short::number(node, &table, &column, scope);
        }
        let serial = short::is_serial(node);
        let node = &short::unfold(node);
        generic::parse(&KIND, node, scope);
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
            scope.problem(problem.label("not here").help("what the planner is told stands in `with`"));
        }
        let identity = find(IDENTITY).map(|room| ObjectId::facet(room.kind(), id.clone()));
        // An identity column is never NULL, and that stays when it becomes an ordinary one.
        if identity.is_some_and(|facet| scope.load.state.has(&facet))
            && let Some(object) = scope.load.state.objects.get_mut(&id)
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
                Some(_) => object.get(TYPE).map(|_| format!("its type stands in {of}: leave it out here")),
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
        Some(generic::write(id, &shown, inner))
    }

    fn query(&self, server: Version) -> Option<String> {
        let (compression, how) = (compression(server), how(server));
        let collation = collated::columns("a.attcollation", "t.typcollation");
        let generated = expression("a", "d.adrelid");
        // Debian's builds keep a version of theirs among the options, which pg_dump leaves out as well.
        Some(format!(
            "SELECT a.attrelid, a.attnum, a.attname, {how}, \
             format_type(a.atttypid, a.atttypmod), a.attnotnull, \
             {collation}, \
             a.attgenerated, CASE WHEN a.attgenerated <> '' THEN {generated} END, \
             CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END, {compression}, nullif(a.attstattarget, -1)::int8, \
             CASE WHEN cardinality(a.attoptions) > 1 OR a.attoptions[1] NOT LIKE 'pg\\_attver=%' THEN a.attoptions END, a.attfdwoptions \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
             WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' \
             ORDER BY a.attrelid, a.attnum"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (relation, number, name) = (row.oid(), row.next::<i16>(), row.text());
        let id = ObjectId::new(&KIND, Some(book.relation(relation)?.clone()), name);
        book.add_column(relation, number, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let how = row.text();
        if &*how == "inherited" {
            return None;
        }
        let mut attrs = Attrs::new();
        let sql_type = row.text();
        attrs.set(TYPE, (&*how != "override").then(|| SqlType::new(sql_type)));
        attrs.set(NOT_NULL, row.next::<bool>());
        attrs.set(COLLATION, collated::read(row).filter(|_| &*how != "override"));
        let generated = row.char();
        let expression = row.text_opt().map(Expr::new);
        if &*how != "override" {
            attrs.set(GENERATED, expression);
            attrs.set(VIRTUAL, generated == 'v');
        }
        let storage = row.next_opt::<i8>().map(|c| match c as u8 {
            b'p' => "plain",
            b'e' => "external",
            b'm' => "main",
            _ => "extended",
        });
        attrs.set(STORAGE, storage.map(Text::from));
        attrs.set(COMPRESSION, row.next_opt::<i8>().map(|c| Text::from(if c as u8 == b'l' { "lz4" } else { "pglz" })));
        attrs.set(STATISTICS, row.next_opt::<i64>());
        let options = row.next::<Vec<String>>().into_iter().filter(|o| !o.starts_with("pg_attver="));
        attrs.set(WITH, Options::some(options));
        attrs.set(OPTIONS, Options::some(row.next::<Vec<String>>()));
        Some(Object::new(attrs))
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

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = match self.clause(id, object, folded, cx).filter(|_| object.get(TYPE).is_some()) {
            Some(clause) => vec![alter_table(id, &format!("ADD COLUMN {clause}"))],
            None if object.is(NOT_NULL) => {
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
        // A new type or collation resets how values are stored: it comes first, and what is not the type's way is said again.
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
                let old_type = old.get(TYPE).filter(|_| !is_foreign(id));
                let using = old_type
                    .and_then(|old_type| using(&column, old_type, new_type))
                    .map_or_else(String::new, |u| format!(" USING {u}"));
                format!("ALTER COLUMN {column} TYPE {}{collation}{using}", new_type.as_str())
            } else if *name == NOT_NULL.name {
                format!("ALTER COLUMN {column} {} NOT NULL", if new.is(NOT_NULL) { "SET" } else { "DROP" })
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
                for change in sql::option_changes(&old, &new) {
                    out.push(alter_table(id, &format!("ALTER COLUMN {column} {change}")));
                }
                continue;
            } else if *name == OPTIONS.name {
                let (old, new) = (old.get(OPTIONS).unwrap_or_default(), new.get(OPTIONS).unwrap_or_default());
                format!("ALTER COLUMN {column} OPTIONS ({})", sql::foreign_option_changes(&old, &new).join(", "))
            } else {
                continue;
            };
            out.push(alter_table(id, &what));
        }
        Ok(out)
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![alter_table(from, &format!("RENAME COLUMN {} TO {}", sql::name(from.name()), sql::name(to.name())))])
    }

    fn retype(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Option<Result<Statement>> {
        let sql_type = object.get(TYPE)?.as_str();
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
        let through = if sql_type.ends_with("[]") { "text[]" } else { "text" };
        let collation = collated::clause(object.get(COLLATION));
        Some(Ok(alter_table(
            id,
            &format!("ALTER COLUMN {column} TYPE {sql_type}{collation} USING {column}::{through}::{sql_type}"),
        )))
    }

    /// An inherited column stays, and becomes what its parents say again.
    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        if object.get(TYPE).is_some() {
            return Ok(vec![alter_table(id, &format!("DROP COLUMN {}", sql::name(id.name())))]);
        }
        let said = object.attrs.iter().map(|(name, _)| name);
        let said: Vec<&'static str> =
            said.filter(|name| *name != NOT_NULL.name || !constraint::inherits_not_null(cx.state, id)).collect();
        self.alter(id, object, &Object::default(), &said, cx)
    }
}

/// Whether a column is an object of its own: an inherited one, or a view's, is one only where it says something of its own.
fn how(server: Version) -> String {
    let (own, theirs, compression) = (expression("a", "0"), expression("p", "0"), compression(server));
    format!(
        "CASE WHEN a.attinhcount = 0 AND c.relkind NOT IN ('v', 'm') AND c.reloftype = 0 THEN 'own' WHEN a.attislocal AND a.attinhcount > 0 AND NOT c.relispartition THEN 'merged' \
              WHEN a.attinhcount > 0 AND EXISTS (SELECT FROM pg_inherits i JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname \
                   WHERE i.inhrelid = a.attrelid AND (p.attnotnull <> a.attnotnull OR p.atthasdef <> a.atthasdef OR CASE WHEN a.atthasdef AND a.attgenerated = '' AND p.attgenerated = '' THEN \
                         {theirs} <> {own} END)) THEN 'override' \
              WHEN a.attacl IS NOT NULL OR a.attfdwoptions IS NOT NULL OR (c.relkind IN ('v', 'm') OR c.reloftype <> 0) AND (a.atthasdef OR a.attnotnull OR nullif(a.attstattarget, -1) IS NOT NULL \
                   OR cardinality(a.attoptions) > 1 OR a.attoptions[1] NOT LIKE 'pg\\_attver=%' OR a.attstorage <> t.typstorage OR {compression} IS NOT NULL) \
                   OR EXISTS (SELECT FROM pg_description d WHERE d.classoid = 1259 AND d.objoid = a.attrelid AND d.objsubid = a.attnum) THEN 'override' \
              ELSE 'inherited' END"
    )
}

fn expression(of: &str, relation: &str) -> String {
    format!(
        "(SELECT pg_get_expr(d.adbin, {relation}) FROM pg_attrdef d WHERE d.adrelid = {of}.attrelid AND d.adnum = {of}.attnum)"
    )
}

fn compression(server: Version) -> &'static str {
    if server.at_least(14) { "nullif(a.attcompression, '')" } else { "NULL::\"char\"" }
}

/// A query for what no object says: class, OID, schema and name of columns that are only inherited, and have settings of their own.
/// A new heir is stored as its parent is, but has no statistics target and no options: neither is named where it is so.
pub fn unlike_parent(server: Version) -> String {
    let compression = if server.at_least(14) { "a.attcompression <> p.attcompression" } else { "false" };
    let how = how(server);
    format!(
        "SELECT 1259::oid, c.oid, c.relnamespace, (pg_identify_object(1259, c.oid, a.attnum)).identity \
         FROM (SELECT DISTINCT a.attrelid, a.attnum FROM pg_inherits i JOIN pg_attribute a ON a.attrelid = i.inhrelid \
               JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname \
               WHERE a.attnum > 0 AND a.attinhcount > 0 AND (a.attstorage <> p.attstorage OR {compression} \
               OR a.attstattarget IS DISTINCT FROM p.attstattarget AND nullif(a.attstattarget, -1) IS NOT NULL \
               OR (cardinality(a.attoptions) > 1 OR a.attoptions[1] NOT LIKE 'pg\\_attver=%') AND EXISTS (SELECT FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\\_attver=%' AND o <> ALL (coalesce(p.attoptions, '{{}}'))))) u \
         JOIN pg_attribute a ON a.attrelid = u.attrelid AND a.attnum = u.attnum JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
         WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND {how} = 'inherited'"
    )
}

/// PostgreSQL takes no USING for what it has no rows of.
fn is_foreign(column: &ObjectId) -> bool {
    column.parent().is_some_and(|table| table.kind().word == FOREIGN_TABLE)
}

/// The word for the type's own way of storing. `DEFAULT` says it from 16 on; before, only two kinds of types have a choice at all.
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

/// How existing values get the new type. Nothing where an assignment does it: an explicit cast would cut values short in silence.
fn using(column: &str, old: &SqlType, new: &SqlType) -> Option<String> {
    let (old, new) = (sql::types::parse(old.as_str()).ok()?, sql::types::parse(new.as_str()).ok()?);
    let base = |t: &sql::types::Parsed| (t.schema.clone(), t.name.clone(), t.suffix, t.array);
    if base(&old) == base(&new) {
        return None;
    }
    if old.name == "timestamp" && new.name == "timestamp" && !old.array && !new.array {
        return Some(format!("{column} AT TIME ZONE 'UTC'"));
    }
    let through = match () {
        () if castable(&old, &new) => "",
        () if old.array && new.array => "::text[]",
        () => "::text",
    };
    let modifier = (new.name == "bit").then(|| new.modifier.clone()).flatten();
    let target = sql::types::Parsed { modifier, ..new };
    Some(format!("{column}{through}::{}", target.normalised(|_| None)))
}

/// True if PostgreSQL has a cast from one to the other, built-in or through text on either side (`pg_cast`; what has none
/// goes through its text form, which says no to values that do not fit).
fn castable(old: &sql::types::Parsed, new: &sql::types::Parsed) -> bool {
    let family = |t: &sql::types::Parsed| match (&t.schema, t.name.as_str()) {
        (Some(_), _) => None,
        (None, "text" | "character varying" | "character" | "name") => Some("text"),
        (None, "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "oid") => Some("number"),
        (None, "date" | "timestamp" | "time" | "interval") => Some("time"),
        (None, "json" | "jsonb") => Some("json"),
        (None, "bit" | "bit varying") => Some("bit"),
        (None, "inet" | "cidr") => Some("network"),
        _ => None,
    };
    let (from, to) = (family(old), family(new));
    if old.array != new.array {
        return false;
    }
    match (from, to) {
        (Some("text"), _) | (_, Some("text")) => true,
        (Some("time"), Some("time")) => {
            matches!(
                (old.name.as_str(), new.name.as_str()),
                ("timestamp", _)
                    | ("date", "timestamp")
                    | ("time", "interval")
                    | ("interval", "time")
                    | ("time", "time")
            ) && !(new.name == "interval" && old.name == "timestamp")
        }
        (Some(from), Some(to)) if from == to => true,
        (Some("number"), None) => new.name == "boolean" && old.name == "integer" || new.name == "money",
        (None, Some("number")) => {
            old.name == "boolean" && new.name == "integer" || old.name == "money" && new.name == "numeric"
        }
        (Some("json"), Some("number")) => old.name == "jsonb",
        (Some("number"), Some("bit")) | (Some("bit"), Some("number")) => {
            [old, new].iter().any(|t| matches!(t.name.as_str(), "integer" | "bigint"))
                && [old, new].iter().any(|t| t.name == "bit")
        }
        _ => false,
    }
}

fn alter_table(id: &ObjectId, what: &str) -> Statement {
    match id.parent() {
        Some(table) => Statement::new(format!("ALTER {} {} {what}", table.kind().sql, sql::path(table)))
            .locks(LockMode::AccessExclusive, table),
        None => Statement::new(what),
    }
}
