//! Check constraints of tables and domains: `check orders_total_positive "total >= 0"`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{
    Context, Disturbance, Evaluates, Folded, Heirs, LockMode, Reaction, Room, Statement, domains, generic, inheritance,
};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State,
    Within, attr,
};
use crate::sql;

use super::constraint::{self, NOT_ENFORCED, NOT_VALID, Naming};

const EXPRESSION: Key<Expr> = Key::new("expression");
const NO_INHERIT: Key<bool> = Key::new("no-inherit");

static ATTRS: [Attr; 4] = [
    attr(
        EXPRESSION,
        Shape::Expr,
        Form::Argument,
        OnChange::Replace,
        "The condition that must be true (or NULL) for every row.",
    ),
    attr(NO_INHERIT, Shape::Flag, Form::Flag, OnChange::Replace, "Child tables do not inherit it."),
    attr(NOT_VALID, Shape::Flag, Form::Flag, OnChange::Alter, "Existing rows were not checked."),
    attr(NOT_ENFORCED, Shape::Flag, Form::Flag, OnChange::Replace, "Declared, but never checked (since 18).").since(18),
];

pub static KIND: Kind = Kind {
    word: "check",
    sql: "CONSTRAINT",
    address: Address::NamedOn,
    within: Within::Of(&["table", "foreign-table", "domain", "column"]),
    namespace: Namespace::Constraint,
    attrs: &ATTRS,
    folds: true,
    doc: "A condition that every row, or every value of a domain, must satisfy.",
};

pub struct Check;
pub static ROOM: Check = Check;

impl Room for Check {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let is_flag = |arg: &Arg| {
            let word = arg.as_text().map_or("", |t| t);
            ATTRS.iter().any(|a| a.form == Form::Flag && a.name == word)
        };
        let texts = node.args.iter().take_while(|arg| !is_flag(arg)).count();
        let named = texts > 1 || node.get_prop("name").is_some();
        if scope.put_off(if named { Turn::Named } else { Turn::Unnamed }, &ROOM, node) {
            return;
        }
        let Some(table) = constraint::table_of(scope) else { return };
        let said = match (node.args.first(), texts) {
            (Some(arg), 2..) => generic::name_of(arg, scope),
            (Some(_), 1) => constraint::said_name(node, scope),
            _ => {
                let problem = Problem::new(node.name_span, "this check has no condition");
                scope.problem(problem.label("write `check \"CONDITION\"` or `check NAME \"CONDITION\"`"));
                return;
            }
        };
        let first = texts.saturating_sub(1).min(1);
        let condition = node.args.get(first).and_then(Arg::as_text).map_or("", |t| t);
        let naming = naming(condition, &table, &scope.load.state);
        let id = constraint::name(&KIND, &table, said, &naming, node.span, scope);
        let mut rest = node.clone();
        rest.props.retain(|p| &*p.name != "name");
        generic::parse_as(id, &rest, first, scope);
    }

    fn named_after(&self, id: &ObjectId, object: &Object, state: &State) -> Option<Naming<'static>> {
        Some(naming(object.get(EXPRESSION)?.as_str(), id.parent()?, state))
    }

    fn query(&self, server: Version) -> Option<String> {
        let enforced = if server.at_least(18) { "c.conenforced" } else { "true" };
        Some(format!(
            "SELECT c.oid, c.conrelid, c.contypid, c.conname, pg_get_expr(c.conbin, c.conrelid), c.connoinherit, \
             c.convalidated, {enforced} FROM pg_constraint c \
             WHERE c.contype = 'c' AND c.oid >= 16384 AND (c.conislocal OR c.contypid <> 0) AND c.conparentid = 0 \
             ORDER BY c.conrelid, c.contypid, c.conname"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, relation, domain, name) = (row.oid(), row.oid(), row.oid(), row.text());
        let parent = if relation != 0 { book.relation(relation)? } else { book.get(class::PG_TYPE, domain)? };
        let id = ObjectId::new(&KIND, Some(parent.clone()), name);
        book.add(class::PG_CONSTRAINT, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, id: &ObjectId, _: &Book) -> Option<Object> {
        let mut attrs = Attrs::new();
        attrs.set(EXPRESSION, Expr::new(row.text()));
        let no_inherit: bool = row.next();
        let (valid, enforced): (bool, bool) = (row.next(), row.next());
        attrs.set(NO_INHERIT, no_inherit && id.parent().is_some_and(|p| p.kind().word != "domain"));
        attrs.set(NOT_VALID, !valid && enforced);
        attrs.set(NOT_ENFORCED, !enforced);
        Some(Object::new(attrs))
    }

    fn on_change(&self, attr: &'static Attr, _: &Object, new: &Object) -> OnChange {
        if attr.name == NOT_VALID.name && new.is(NOT_VALID) { OnChange::Replace } else { attr.on_change }
    }

    fn inherited_from(&self, id: &ObjectId, state: &State) -> Vec<ObjectId> {
        inheritance::origins(state, id)
            .into_iter()
            .filter(|origin| state.get(origin).is_some_and(|check| !check.is(NO_INHERIT)))
            .collect()
    }

    fn is_held(&self, id: &ObjectId, _: &[&'static str], state: &State) -> bool {
        let domain = id.parent().filter(|parent| parent.kind().word == "domain");
        domain.is_some_and(|domain| domains::is_within_others(state, domain))
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn computes(&self, _: &Object) -> bool {
        true
    }

    fn clause(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Option<String> {
        (!object.is(NOT_VALID)).then(|| constraint::clause(id, &definition(object)))
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Rows
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let looks = !object.is(NOT_VALID) && !object.is(NOT_ENFORCED);
        let statements = constraint::add(id, LockMode::AccessExclusive, &definition(object)).into_iter();
        Ok(statements.map(|statement| if looks { of_values(statement, id, cx) } else { statement }).collect())
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let validate = changed.contains(&NOT_VALID.name) && !new.is(NOT_VALID);
        Ok(validate.then(|| of_values(constraint::validate(id), id, cx)).into_iter().collect())
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::rename(from, to))
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::drop(id))
    }
}

/// A domain's check is looked at in all tables that have columns of it.
fn of_values(statement: Statement, id: &ObjectId, cx: &Context<'_>) -> Statement {
    match id.parent().filter(|parent| parent.kind().word == "domain") {
        Some(domain) => domains::looks_at_values(statement, cx.state, domain),
        None => statement,
    }
}

fn definition(object: &Object) -> String {
    let mut out = format!("CHECK ({})", object.get(EXPRESSION).map_or("", |e| e.as_str()));
    for (flag, words) in [(NO_INHERIT, " NO INHERIT"), (NOT_VALID, " NOT VALID"), (NOT_ENFORCED, " NOT ENFORCED")] {
        if object.is(flag) {
            out.push_str(words);
        }
    }
    out
}

fn naming(condition: &str, table: &ObjectId, state: &State) -> Naming<'static> {
    Naming { addition: only_column(condition, table, state), label: "check" }
}

/// The one column that a condition is about: PostgreSQL puts it into the name of an unnamed check.
fn only_column(condition: &str, table: &ObjectId, state: &State) -> Option<String> {
    if table.kind().word == "domain" {
        return None;
    }
    let names = sql::names::find(condition);
    let mut columns: Vec<&str> = names.iter().filter(|n| !n.call).map(sql::names::Name::last).collect();
    columns.retain(|name| constraint::has_column(state, table, name));
    columns.sort_unstable();
    columns.dedup();
    match columns.as_slice() {
        [column] => Some((*column).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn unnamed_checks_get_the_name_that_postgresql_gives() {
        let (state, problems) = load(
            "table t {\n    check \"a > 0\"\n    check \"a > lower(1) AND 'b' <> ''\"\n    check \"a > b\"\n    check \"1 > 0\" no-inherit\n    check t_check1 \"true\"\n    column a integer\n    column b integer\n}\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let mut names: Vec<String> =
            state.iter().filter(|(id, _)| id.is(&KIND)).map(|(id, _)| id.name().as_str().to_string()).collect();
        names.sort();
        assert_eq!(names, ["t_a_check", "t_a_check1", "t_check", "t_check1", "t_check2"]);
    }

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer\n    check c1 \"a > 0\" no-inherit\n    check c2 \"a > 1\" not-valid\n}\n",
        );
        assert_eq!(
            create(&state, "check"),
            [
                "ALTER TABLE public.t ADD CONSTRAINT c1 CHECK (a > 0) NO INHERIT",
                "ALTER TABLE public.t ADD CONSTRAINT c2 CHECK (a > 1) NOT VALID",
            ]
        );
    }

    #[test]
    fn a_check_is_validated_in_place() {
        let file = |flag: &str| format!("table t {{\n    column a integer\n    check c \"a > 0\" {flag}\n}}\n");
        assert_eq!(alter(&file("not-valid"), &file(""), "check"), ["ALTER TABLE public.t VALIDATE CONSTRAINT c"]);
        assert_eq!(alter(&file(""), &file("not-valid"), "check"), ["replace because of not-valid"]);
    }
}
