//! Rewrite rules: `rule protect delete instead`. The rule that implements a view belongs to the view.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::kinds::firing::{self, ENABLED};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, LockMode, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State,
    Text, Within, attr,
};
use crate::sql;
use crate::sql::lex;

use super::query;

const EVENT: Key<Text> = Key::new("event");
const INSTEAD: Key<bool> = Key::new("instead");
const WHERE: Key<Expr> = Key::new("where");
const DO: Key<Vec<Expr>> = Key::new("do");

static ATTRS: [Attr; 5] = [
    attr(
        EVENT,
        Shape::Word(&["insert", "update", "delete"]),
        Form::Argument,
        OnChange::Alter,
        "The command that it applies to.",
    ),
    attr(INSTEAD, Shape::Flag, Form::Flag, OnChange::Alter, "Its commands replace the original one."),
    firing::enabled_attr(),
    attr(
        WHERE,
        Shape::Expr,
        Form::Child,
        OnChange::Alter,
        "Applies only to rows for which this is true; the rows are called `old` and `new`.",
    ),
    attr(
        DO,
        Shape::Expr,
        Form::Repeated,
        OnChange::Alter,
        "A command; one `do` for each. Without any, nothing is done.",
    ),
];

pub static KIND: Kind = Kind {
    word: "rule",
    sql: "RULE",
    address: Address::NamedOn,
    within: Within::Of(&["table", "view"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Rewrites a command on the table or view.",
};

pub struct Rule;
pub static ROOM: Rule = Rule;

impl Room for Rule {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(name) = generic::take_name(node, scope) else { return };
        let id = scope.id(&ROOM, name);
        let Some(object) = generic::parse_as(id, node, 1, scope) else { return };
        let commands: Vec<Expr> =
            object.get(DO).unwrap_or_default().into_iter().map(|c| Expr::new(query::trimmed(c))).collect();
        let some = commands.first().is_some_and(|first| !first.as_str().eq_ignore_ascii_case("nothing"));
        object.attrs.set(DO, some.then_some(commands));
    }

    fn lacks(&self, id: &ObjectId, object: &Object, _: &State) -> Option<String> {
        if object.get(EVENT).is_none() {
            return Some("say what it is for: `rule NAME insert|update|delete`".into());
        }
        let on_view = id.parent().is_some_and(|parent| parent.kind().word == "view");
        (on_view && object.get(ENABLED).is_some())
            .then(|| "PostgreSQL enables all rules of views: leave out `enabled`".into())
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT r.oid, r.ev_class, r.rulename, r.ev_type, r.is_instead, r.ev_enabled, r.ev_qual::text <> '<>', {} \
             FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE r.rulename <> '_RETURN' AND r.oid >= 16384 ORDER BY r.ev_class, r.rulename",
            query::RULE
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, relation, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_REWRITE, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.relation(relation)?.clone()), name);
        book.add(class::PG_REWRITE, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let event = match row.char() {
            '2' => "update",
            '3' => "insert",
            _ => "delete",
        };
        let mut attrs = Attrs::new();
        attrs.set(EVENT, Text::from(event));
        attrs.set(INSTEAD, row.next::<bool>());
        attrs.set(ENABLED, firing::enabled(row.char()));
        let conditional: bool = row.next();
        let definition = row.text();
        let (condition, commands) = cut(&definition, conditional, attrs.is(INSTEAD));
        attrs.set(WHERE, condition.map(Expr::new));
        attrs.set(DO, (!commands.is_empty()).then(|| commands.into_iter().map(Expr::new).collect::<Vec<_>>()));
        Some(Object::new(attrs))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = define("CREATE", id, object);
        if object.get(ENABLED).is_some() {
            out.extend(enable(id, object));
        }
        Ok(out)
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut out = Vec::new();
        if changed.iter().any(|name| *name != ENABLED.name) {
            out.extend(define("CREATE OR REPLACE", id, new)); // which keeps it enabled or disabled
        }
        if changed.contains(&ENABLED.name) {
            out.extend(enable(id, new));
        }
        Ok(out)
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let statement = Statement::new(format!("ALTER {} RENAME TO {}", sql::target(from), sql::name(to.name())));
        Ok(vec![statement.locks(LockMode::AccessExclusive, from.parent().unwrap_or(from))])
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let statement = Statement::new(format!("DROP {}", sql::target(id)));
        Ok(vec![statement.locks(LockMode::AccessExclusive, id.parent().unwrap_or(id))])
    }
}

fn define(how: &str, id: &ObjectId, object: &Object) -> Vec<Statement> {
    let Some(relation) = id.parent() else { return vec![] };
    let event = object.get(EVENT).map_or_else(String::new, |event| event.to_uppercase());
    let mut text = format!("{how} RULE {} AS ON {event} TO {}", sql::name(id.name()), sql::path(relation));
    if let Some(condition) = object.get(WHERE) {
        text.push_str(&format!("\nWHERE {}", condition.as_str()));
    }
    text.push_str(if object.is(INSTEAD) { "\nDO INSTEAD" } else { "\nDO ALSO" });
    match object.get(DO).unwrap_or_default().as_slice() {
        [] => text.push_str(" NOTHING"),
        [command] => text.push_str(&format!("\n{}", command.as_str())),
        commands => {
            let commands: Vec<&str> = commands.iter().map(|c| c.as_str()).collect();
            text.push_str(&format!(" (\n{}\n)", commands.join(";\n")));
        }
    }
    vec![Statement::new(text).locks(LockMode::AccessExclusive, relation)]
}

fn enable(id: &ObjectId, object: &Object) -> Option<Statement> {
    let table = id.parent()?;
    let text = format!("ALTER TABLE {} {} RULE {}", sql::path(table), firing::enable(object), sql::name(id.name()));
    Some(Statement::new(text).locks(LockMode::AccessExclusive, table))
}

/// The condition and the commands of a definition as `pg_get_ruledef` prints it behind the relation's name. `DO` is a reserved word,
/// so that the first one outside of quotes is the rule's.
fn cut(definition: &str, conditional: bool, instead: bool) -> (Option<&str>, Vec<&str>) {
    let text = definition.trim();
    let (condition, rest) = match text.strip_prefix("WHERE").filter(|_| conditional) {
        Some(text) => {
            let at = lex::outside(text).find(|piece| piece.text == "DO").map_or(text.len(), |piece| piece.at);
            (Some(text[..at].trim()), text[at..].trim_start())
        }
        None => (None, text),
    };
    let rest = rest.strip_prefix("DO").unwrap_or(rest).trim_start();
    let rest = if instead { rest.strip_prefix("INSTEAD").unwrap_or(rest) } else { rest };
    let rest = rest.strip_suffix(';').unwrap_or(rest).trim();
    if rest == "NOTHING" {
        return (condition, Vec::new());
    }
    // Several commands are in parentheses, each followed by a semicolon.
    let Some(list) = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).filter(|r| r.trim_end().ends_with(';'))
    else {
        return (condition, vec![rest]);
    };
    let mut commands = lex::split(list, ";");
    commands.pop(); // nothing is behind the last one
    (condition, commands)
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer\n    rule r1 delete instead\n    rule r2 insert enabled=always {\n        where \"new.a > 0\"\n        do \"DELETE FROM u\"\n        do \"INSERT INTO u VALUES (new.a)\"\n    }\n    rule r3 update {\n        do \"NOTIFY t\"\n    }\n}\n",
        );
        assert_eq!(
            create(&state, "rule"),
            [
                "CREATE RULE r1 AS ON DELETE TO public.t\nDO INSTEAD NOTHING",
                "CREATE RULE r2 AS ON INSERT TO public.t\nWHERE new.a > 0\nDO ALSO (\nDELETE FROM u;\nINSERT INTO u VALUES (new.a)\n)",
                "ALTER TABLE public.t ENABLE ALWAYS RULE r2",
                "CREATE RULE r3 AS ON UPDATE TO public.t\nDO ALSO\nNOTIFY t",
            ]
        );
    }

    #[test]
    fn all_is_altered_in_place() {
        let file = |rule: &str| format!("table t {{\n    column a integer\n    {rule}\n}}\n");
        assert_eq!(
            alter(&file("rule r delete instead"), &file("rule r update enabled=disabled"), "rule"),
            [
                "CREATE OR REPLACE RULE r AS ON UPDATE TO public.t\nDO ALSO NOTHING",
                "ALTER TABLE public.t DISABLE RULE r"
            ]
        );
    }

    #[test]
    fn definitions_are_taken_apart() {
        let cut = |text, conditional, instead| super::cut(text, conditional, instead);
        assert_eq!(cut(" DO INSTEAD NOTHING;", false, true), (None, vec![]));
        assert_eq!(
            cut("\n  WHERE\n   (new.a = ' DO x'::text) DO INSTEAD  DELETE FROM t;", true, true),
            (Some("(new.a = ' DO x'::text)"), vec!["DELETE FROM t"])
        );
        assert_eq!(
            cut(" DO ( INSERT INTO a (b)\n  VALUES (';)'::text);\n DELETE FROM a;\n);", false, false),
            (None, vec!["INSERT INTO a (b)\n  VALUES (';)'::text)", "DELETE FROM a"])
        );
        assert_eq!(cut(" DO ( SELECT 1\nUNION\n SELECT 2);", false, false).1, ["( SELECT 1\nUNION\n SELECT 2)"]);
    }
}
