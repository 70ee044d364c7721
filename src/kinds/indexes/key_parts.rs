//! The parts of an index or exclusion constraint: columns and expressions with sort order, operator class and collation.

use crate::catalog::{Book, Row};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::collated::{self, COLLATION};
use crate::kinds::scope::Scope;
use crate::kinds::sql_text;
use crate::kinds::{LockMode, Statement, choose_name, constraint, generic};
use crate::model::{
    Attr, Attrs, Expr, Form, Key, MAX_NAME_BYTES, Object, ObjectId, OnChange, Options, Shape, Text, attr,
};
use crate::sql;

/// The parts of a key, in order.
pub const KEY: Key<Vec<Attrs>> = Key::new("key");
/// The predicate of a partial index.
pub const WHERE: Key<Expr> = Key::new("where");
/// The index method.
pub const USING: Key<Text> = Key::new("using");

const COLUMN: Key<ObjectId> = Key::new("column");
const EXPRESSION: Key<Expr> = Key::new("expression");
const ORDER: Key<Text> = Key::new("order");
const NULLS: Key<Text> = Key::new("nulls");
const OPCLASS: Key<Text> = Key::new("opclass");
const OPTIONS: Key<Options> = Key::new("opclass-options");
const OPERATOR: Key<Text> = Key::new("with");
const TARGET: Key<i64> = Key::new("statistics");

/// The statistics targets of the parts, -1 where there is none: they can be altered, which parts cannot.
pub const STATISTICS: Key<Vec<i64>> = Key::new("statistics");

static PART: [Attr; 9] = [
    attr(COLUMN, Shape::Ref(&["column"]), Form::Custom, OnChange::Replace, "The column, as an argument."),
    attr(EXPRESSION, Shape::Expr, Form::Custom, OnChange::Replace, "Or an expression: `(sql)\"lower(email)\"`."),
    attr(ORDER, Shape::Word(&["asc", "desc"]), Form::Property, OnChange::Replace, "The sort order.").default("asc"),
    attr(NULLS, Shape::Word(&["first", "last"]), Form::Property, OnChange::Replace, "Where NULLs are sorted."),
    attr(
        COLLATION,
        Shape::Ref(collated::KINDS),
        Form::Property,
        OnChange::Replace,
        "The collation, if it differs from the column's.",
    ),
    attr(
        OPCLASS,
        Shape::Text,
        Form::Property,
        OnChange::Replace,
        "The operator class, if it is not the default for the type.",
    ),
    attr(OPERATOR, Shape::Text, Form::Property, OnChange::Replace, "The operator of an exclusion constraint: `&&`."),
    attr(TARGET, Shape::Int, Form::Property, OnChange::Alter, "The statistics target of an expression."),
    attr(OPTIONS, Shape::Options, Form::Child, OnChange::Replace, "Parameters of the operator class."),
];

/// The row of a table of attributes for `KEY`.
pub const fn key_attr() -> Attr {
    parts_attr("The parts: arguments, or children `key a order=desc nulls=last` if a part has attributes.")
}

/// The same with other words about it, for what has nothing but columns and expressions.
pub const fn parts_attr(doc: &'static str) -> Attr {
    attr(KEY, Shape::Records(&PART), Form::Custom, OnChange::Replace, doc)
}

/// The row for `STATISTICS`.
pub const fn statistics_attr() -> Attr {
    let doc = "The statistics targets of its expressions; in files, each is given with its expression.";
    attr(STATISTICS, Shape::Int, Form::Custom, OnChange::Alter, doc)
}

/// The row for `WHERE`.
pub const fn where_attr() -> Attr {
    attr(WHERE, Shape::Expr, Form::Child, OnChange::Replace, "Only rows for which this is true are in the index.")
}

/// The row for `USING`.
pub const fn using_attr() -> Attr {
    attr(USING, Shape::Text, Form::Property, OnChange::Replace, "The index method.").default("btree")
}

// ---- files --------------------------------------------------------------------------------------------------------

/// The parts that arguments and `key` children say.
pub fn parse(args: &[Arg], node: &Node, table: &ObjectId, scope: &mut Scope<'_>) -> Vec<Attrs> {
    let mut out: Vec<Attrs> = args.iter().filter_map(|arg| part(arg, table, scope)).collect();
    for child in node.children.iter().filter(|c| &*c.name == KEY.name) {
        let [arg] = child.args.as_slice() else {
            let problem = Problem::new(child.name_span, "a `key` has one column or expression");
            scope.problem(problem.help("write `key COLUMN` or `key (sql)\"EXPRESSION\"`"));
            continue;
        };
        let Some(mut record) = part(arg, table, scope) else { continue };
        let bare = Node { args: Vec::new(), ..child.clone() };
        let read = generic::record(&PART, KEY.name, &bare, 0, scope, &mut |_, _| false);
        for unknown in child.children.iter().filter(|c| &*c.name != OPTIONS.name) {
            let problem = Problem::new(unknown.name_span, format!("`{}` is not allowed in `key`", unknown.name));
            scope.problem(problem.label("unknown here"));
        }
        read.iter().for_each(|(name, value)| record.put(name, value.clone()));
        if record.get(OPTIONS).is_some() && record.get(OPCLASS).is_none() {
            let problem = Problem::new(child.span, "`opclass-options` belong to an operator class");
            scope.problem(problem.help("name it: `opclass=…`, even if it is the default one"));
        }
        normalise(&mut record, scope);
        let of_column =
            record.get(COLUMN).and_then(|column| scope.load.state.get(column)).and_then(|c| c.get(COLLATION));
        if of_column.is_some() && of_column == record.get(COLLATION) {
            record.remove(COLLATION.name);
        }
        out.push(record);
    }
    out
}

/// A column, or an expression: `(sql)"lower(email)"`.
pub fn part(arg: &Arg, table: &ObjectId, scope: &mut Scope<'_>) -> Option<Attrs> {
    match arg.annotation.as_deref() {
        Some("sql") => {
            let text = arg.as_text()?;
            sql_text::check(text, arg.span, EXPRESSION.name, scope);
            Some(Attrs::new().with(EXPRESSION, Expr::new(text.trim())))
        }
        Some(other) => {
            let problem = Problem::new(arg.span, format!("`({other})` has no meaning here")).label("annotated");
            scope.problem(problem.help("write `(sql)` before an expression"));
            None
        }
        None if arg.as_text().is_some_and(|t| t.contains('(')) && !is_column(arg, table, scope) => {
            let problem = Problem::new(arg.span, format!("{table} has no such column")).label("an expression?");
            scope.problem(problem.help("write `(sql)` before an expression: `(sql)\"lower(email)\"`"));
            None
        }
        None => constraint::column(arg, table, scope).map(|id| Attrs::new().with(COLUMN, id)),
    }
}

fn is_column(arg: &Arg, table: &ObjectId, scope: &Scope<'_>) -> bool {
    arg.as_text().is_some_and(|name| constraint::has_column(&scope.load.state, table, name))
}

/// True if there is an expression among the parts, or a predicate.
pub fn computes(object: &Object) -> bool {
    let parts = object.get(KEY).unwrap_or_default();
    object.get(WHERE).is_some() || parts.iter().any(|part| part.get(EXPRESSION).is_some())
}

/// True if the part names an operator class, and says no more about it.
pub fn names_class(part: &Attrs) -> bool {
    part.get(OPCLASS).is_some() && part.get(OPTIONS).is_none()
}

/// The operator class that a part names.
pub fn class(part: &Attrs) -> Option<&Text> {
    part.get(OPCLASS)
}

/// The column, if the part is one.
pub fn column(part: &Attrs) -> Option<&ObjectId> {
    part.get(COLUMN)
}

/// Takes out the operator class.
pub fn forget_class(part: &mut Attrs) {
    part.remove(OPCLASS.name);
}

/// The operator class of that address as the parts of an index name it.
pub fn class_text(class: &ObjectId) -> Text {
    constraint::in_schema(class.schema().map_or("", |schema| schema.name().as_str()), class.name().as_str())
}

/// Follows the rename of an operator class.
pub fn follow(object: &mut Object, from: &ObjectId, to: &ObjectId) {
    let method = object.get(USING).map_or("btree", |method| &**method);
    if from.kind().word != crate::kinds::operator_members::CLASS || from.signature().map(|m| &**m) != Some(method) {
        return;
    }
    let (old, new) = (class_text(from), class_text(to));
    let mut key: Vec<Attrs> = object.get(KEY).unwrap_or_default().into_iter().cloned().collect();
    for part in key.iter_mut().filter(|part| part.get(OPCLASS) == Some(&old)) {
        part.set(OPCLASS, new.clone());
    }
    if !key.is_empty() {
        object.attrs.set(KEY, key);
    }
}

/// True if every part has an operator.
pub fn have_operators(key: &[Attrs]) -> bool {
    key.iter().all(|part| part.get(OPERATOR).is_some())
}

/// Leaves out what is the default anyway, and schemas that need no mention.
fn normalise(record: &mut Attrs, scope: &Scope<'_>) {
    let descending = record.get(ORDER).is_some_and(|o| &**o == "desc");
    if record.get(NULLS).is_some_and(|n| (&**n == "first") == descending) {
        record.remove(NULLS.name);
    }
    for (key, word) in [(OPCLASS, "operator-class"), (OPERATOR, "operator")] {
        if let Some(text) = record.get(key).cloned() {
            record.set(key, constraint::normal_name(&text, word, scope));
        }
    }
}

/// Takes the statistics targets out of parts.
pub fn take_statistics(key: &mut [Attrs]) -> Option<Vec<i64>> {
    let targets: Vec<i64> = key.iter().map(|part| part.get(TARGET).unwrap_or(-1)).collect();
    key.iter_mut().for_each(|part| part.remove(TARGET.name));
    targets.iter().any(|target| *target != -1).then_some(targets)
}

/// The parts of an object, with their statistics targets.
fn with_statistics(object: &Attrs) -> Vec<Attrs> {
    let mut key: Vec<Attrs> = object.get(KEY).unwrap_or_default().into_iter().cloned().collect();
    for (part, target) in key.iter_mut().zip(object.get(STATISTICS).unwrap_or_default()) {
        part.set(TARGET, (target != -1).then_some(target));
    }
    key
}

/// Writes the parts of an object.
pub fn write_all(node: &mut Node, object: &Attrs, schema: Option<&ObjectId>) {
    write(node, &with_statistics(object).iter().collect::<Vec<_>>(), schema);
}

/// Writes the parts: arguments while there is no more to say about any of them, children otherwise.
pub fn write(node: &mut Node, key: &[&Attrs], schema: Option<&ObjectId>) {
    let plain = key.iter().all(|part| part.iter().count() == 1);
    let mut children = Vec::new();
    for part in key {
        let arg = match (part.get(COLUMN), part.get(EXPRESSION)) {
            (Some(column), _) => Arg::text(column.name().text()),
            (None, Some(expression)) => Arg { annotation: Some("sql".into()), ..Arg::text(expression.0.clone()) },
            (None, None) => continue,
        };
        if plain {
            node.args.push(arg);
        } else {
            let mut child = Node::new(KEY.name);
            child.args.push(arg);
            children.push(generic::write_record(&PART, part, child, schema));
        }
    }
    children.append(&mut node.children);
    node.children = children;
}

/// What PostgreSQL calls the columns of the index, for a name that is left out.
pub fn part_names(attrs: &Attrs) -> String {
    let parts = attrs.get(KEY).unwrap_or_default().into_iter().map(|part| match part.get(COLUMN) {
        Some(column) => column.name().as_str().to_string(),
        None => part.get(EXPRESSION).map_or_else(|| "expr".into(), |e| choose_name::of_expression(e.as_str())),
    });
    let include = attrs.get(constraint::INCLUDE).unwrap_or_default().into_iter().map(|c| c.name().as_str().to_string());
    // No more of them fit into a name.
    let first = parts.chain(include).take(MAX_NAME_BYTES);
    choose_name::addition(choose_name::distinct(first).iter().map(String::as_str))
}

/// The columns, if the key has nothing but columns.
pub fn plain_columns(attrs: &Attrs) -> Option<Vec<&ObjectId>> {
    attrs.get(KEY)?.into_iter().map(|part| part.get(COLUMN)).collect()
}

// ---- catalog ------------------------------------------------------------------------------------------------------

/// The parts of all indexes about which there is more to say than a column or expression: few. The type that an operator class works on
/// is the index column's own, unless the class stores another, or the method does: a hash index (OID 405) holds hashes.
pub const ODD_PARTS: &str = "SELECT p.indexrelid, p.n, CASE WHEN p.odd_class THEN cn.nspname::text END, \
    CASE WHEN p.odd_class THEN p.opcname::text END, CASE WHEN p.odd_collation THEN ln.nspname::text END, \
    CASE WHEN p.odd_collation THEN l.collname::text END, p.attoptions, nullif(p.target, -1)::int8 \
    FROM (SELECT i.indexrelid, x.attnum AS n, i.indcollation[x.attnum - 1] AS coll, x.attoptions, c.opcname, c.opcnamespace, \
            coalesce(x.attstattarget, -1) AS target, \
            NOT c.opcdefault OR x.attoptions IS NOT NULL OR c.opckeytype = 0 AND d.oid IS NOT NULL AS odd_class, \
            i.indcollation[x.attnum - 1] <> 0 AND (CASE WHEN i.indkey[x.attnum - 1] <> 0 \
                THEN i.indcollation[x.attnum - 1] <> (SELECT a.attcollation FROM pg_attribute a \
                    WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[x.attnum - 1]) \
                ELSE i.indcollation[x.attnum - 1] <> t.typcollation AND strpos(pg_get_indexdef(i.indexrelid), \
                    pg_get_indexdef(i.indexrelid, x.attnum::int, false) || ' COLLATE ') > 0 END) AS odd_collation \
        FROM pg_index i JOIN pg_attribute x ON x.attrelid = i.indexrelid AND x.attnum BETWEEN 1 AND i.indnkeyatts \
        JOIN pg_type t ON t.oid = x.atttypid JOIN pg_opclass c ON c.oid = i.indclass[x.attnum - 1] \
        LEFT JOIN pg_opclass d ON d.opcdefault AND d.opcmethod = c.opcmethod \
            AND d.oid <> c.oid AND d.opcintype = CASE WHEN c.opcmethod <> 405 THEN coalesce(nullif(t.typbasetype, 0), t.oid) \
                ELSE (SELECT coalesce(nullif(y.typbasetype, 0), y.oid) FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid \
                    WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[x.attnum - 1]) END \
        WHERE i.indrelid >= 16384 OFFSET 0) p \
    JOIN pg_namespace cn ON cn.oid = p.opcnamespace \
    LEFT JOIN pg_collation l ON l.oid = p.coll LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace \
    WHERE p.odd_class OR p.odd_collation OR p.target <> -1";

/// Notes a row of `ODD_PARTS`: it is read before any index.
pub fn note(row: &mut Row, book: &mut Book) {
    let (index, number) = (row.oid(), row.next::<i16>());
    let class = row.text_opt().zip(row.text_opt()).map(|(schema, name)| constraint::in_schema(&schema, &name));
    let collation = row.text_opt().zip(row.text_opt()).and_then(|(schema, name)| collated::id(&schema, &name));
    let options = Options::some(row.next::<Vec<String>>());
    let target = row.next_opt::<i64>();
    let part = Attrs::new().with(OPCLASS, class).with(COLLATION, collation).with(OPTIONS, options).with(TARGET, target);
    book.add_odd_part(index, number, part);
}

/// The columns of a query with `pg_index i` that `read` takes.
pub const COLUMNS: &str = "i.indrelid, i.indkey::int2[], i.indnkeyatts, i.indoption::int2[], \
    CASE WHEN i.indexprs IS NOT NULL THEN pg_get_expr(i.indexprs, i.indrelid) END";

/// The key and the included columns of an index.
pub fn read(row: &mut Row, index: u32, book: &Book) -> Option<(Vec<Attrs>, Vec<ObjectId>)> {
    let relation = row.oid();
    let (numbers, keys): (Vec<i16>, i16) = (row.next(), row.next());
    let sorting: Vec<i16> = row.next();
    let mut expressions = row.text_opt().map_or_else(Vec::new, |text| split(&text)).into_iter();
    let mut key = Vec::with_capacity(numbers.len());
    let mut include = Vec::new();
    for (at, number) in (1_i16..).zip(&numbers) {
        if at > keys {
            include.push(book.column(relation, *number)?.clone());
            continue;
        }
        let mut part = Attrs::new();
        match number {
            0 => part.set(EXPRESSION, Expr::new(expressions.next()?)),
            _ => part.set(COLUMN, book.column(relation, *number)?.clone()),
        };
        let flags = sorting.get(key.len()).copied().unwrap_or_default();
        let (descending, first) = (flags & 1 != 0, flags & 2 != 0);
        part.set(ORDER, descending.then(|| "desc".into()));
        part.set(NULLS, (first != descending).then(|| if first { "first".into() } else { "last".into() }));
        for (name, value) in book.odd_part(index, at).into_iter().flat_map(Attrs::iter) {
            part.put(name, value.clone());
        }
        key.push(part);
    }
    Some((key, include))
}

/// Adds the operators of an exclusion constraint.
pub fn set_operators(key: &mut [Attrs], schemas: &[String], names: &[String]) {
    for (part, (schema, name)) in key.iter_mut().zip(schemas.iter().zip(names)) {
        part.set(OPERATOR, constraint::in_schema(schema, name));
    }
}

/// Columns, in the order of their names, and expressions as PostgreSQL prints a list of them.
pub fn unordered(mut columns: Vec<ObjectId>, expressions: Option<&str>) -> Vec<Attrs> {
    columns.sort();
    let columns = columns.into_iter().map(|id| Attrs::new().with(COLUMN, id));
    let expressions = expressions.map(split).unwrap_or_default();
    columns.chain(expressions.into_iter().map(|text| Attrs::new().with(EXPRESSION, Expr::new(text)))).collect()
}

/// Puts parts in the order of `unordered`: columns by name, then expressions as they came.
pub fn settle_order(parts: &mut [Attrs]) {
    parts.sort_by_key(|part| (part.get(COLUMN).is_none(), part.get(COLUMN).cloned()));
}

/// The single expressions of a list as PostgreSQL prints it.
fn split(text: &str) -> Vec<Text> {
    sql::lex::split(text, ",").into_iter().map(Text::from).collect()
}

// ---- DDL ----------------------------------------------------------------------------------------------------------

/// `a, lower(b) COLLATE "C" text_ops DESC NULLS LAST WITH &&`.
pub fn sql(key: &[&Attrs]) -> String {
    key.iter().map(|part| part_sql(part)).collect::<Vec<_>>().join(", ")
}

fn part_sql(part: &Attrs) -> String {
    let mut out = match (part.get(COLUMN), part.get(EXPRESSION)) {
        (Some(column), _) => sql::name(column.name()).to_string(),
        (None, expression) => format!("({})", expression.map_or("", |e| e.as_str())),
    };
    out.push_str(&collated::clause(part.get(COLLATION)));
    if let Some(class) = part.get(OPCLASS) {
        out.push_str(&format!(" {}", constraint::name_sql(class)));
    }
    if let Some(options) = part.get(OPTIONS) {
        out.push_str(&format!(" ({})", sql::options(options.into_iter())));
    }
    if let Some(order) = part.get(ORDER) {
        out.push_str(&format!(" {}", order.to_uppercase()));
    }
    if let Some(nulls) = part.get(NULLS) {
        out.push_str(&format!(" NULLS {}", nulls.to_uppercase()));
    }
    if let Some(operator) = part.get(OPERATOR) {
        out.push_str(&format!(" WITH {}", operator_sql(operator)));
    }
    out
}

/// `=` or `OPERATOR(app.=)`.
pub fn operator_sql(text: &str) -> String {
    match sql::reference::split(text).as_deref() {
        Ok([schema, operator]) => {
            format!("OPERATOR({}.{operator})", constraint::name_sql(&sql::reference::join(&[schema])))
        }
        _ => text.to_string(),
    }
}

/// What makes statistics targets another.
pub fn alter_statistics(id: &ObjectId, old: &Attrs, new: &Attrs) -> Vec<Statement> {
    let (old, new) = (old.get(STATISTICS).unwrap_or_default(), new.get(STATISTICS).unwrap_or_default());
    let target = |list: &[i64], at: usize| list.get(at).copied().unwrap_or(-1);
    let changed = (0..old.len().max(new.len())).filter(|at| target(&old, *at) != target(&new, *at));
    let path = sql::schema_path(id, id.name());
    let alter = |at: usize| format!("ALTER INDEX {path} ALTER COLUMN {} SET STATISTICS {}", at + 1, target(&new, at));
    let table = id.parent().unwrap_or(id);
    changed.map(|at| Statement::new(alter(at)).locks(LockMode::ShareUpdateExclusive, table)).collect()
}

/// Names in the parts that are kept as text, in which the machinery finds nothing by itself.
pub fn refers(key: &[&Attrs], refs: &mut crate::kinds::refs::Refs) {
    for part in key {
        if let Some(class) = part.get(OPCLASS) {
            refs.names_in(constraint::name_sql(class).into());
        }
        if let Some(operator) = part.get(OPERATOR) {
            refs.names_in(operator.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_expressions_are_split() {
        let parts = split("lower(a), (b || ', '::text), ARRAY[a, b], \"x,y\"");
        let parts: Vec<&str> = parts.iter().map(|p| &**p).collect();
        assert_eq!(parts, ["lower(a)", "(b || ', '::text)", "ARRAY[a, b]", "\"x,y\""]);
    }
}
