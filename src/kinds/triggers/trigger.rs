//! Triggers: `trigger touch before update for-each=row function=set_updated`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem, Prop};
use crate::kinds::constraint::{self, DEFERRABLE, INITIALLY_DEFERRED, column_list, deferrable_sql};
use crate::kinds::meant;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Context, Evaluates, Folded, Heirs, LockMode, Need, Room, Statement, find, generic};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape,
    Text, Within, attr,
};
use crate::sql;

use super::firing::{self, ENABLED, function_id, function_of};

const TIMING: Key<Text> = Key::new("timing");
const EVENTS: Key<Vec<Text>> = Key::new("events");
const OF: Key<Vec<ObjectId>> = Key::new("of");
const FOR_EACH: Key<Text> = Key::new("for-each");
const CONSTRAINT: Key<bool> = Key::new("constraint");
const FROM: Key<ObjectId> = Key::new("from");
const OLD_TABLE: Key<Ident> = Key::new("old-table");
const NEW_TABLE: Key<Ident> = Key::new("new-table");
const WHEN: Key<Expr> = Key::new("when");
const FUNCTION: Key<ObjectId> = Key::new("function");
const ARGS: Key<Vec<Text>> = Key::new("args");

const TIMINGS: &[&str] = &["before", "after", "instead-of"];
/// In the order in which PostgreSQL prints them.
const EVENT_WORDS: &[&str] = &["insert", "delete", "update", "truncate"];

static ATTRS: [Attr; 14] = [
    attr(TIMING, Shape::Word(TIMINGS), Form::Argument, OnChange::Replace, "When it fires, relative to the change."),
    attr(
        EVENTS,
        Shape::Texts,
        Form::Arguments,
        OnChange::Replace,
        "What it fires on: insert, delete, update, truncate.",
    ),
    attr(FOR_EACH, Shape::Word(&["statement", "row"]), Form::Property, OnChange::Replace, "How often it fires.")
        .default("statement"),
    attr(
        FUNCTION,
        Shape::Ref(&["function"]),
        Form::Custom,
        OnChange::Replace,
        "The function that it calls, as a property.",
    ),
    attr(CONSTRAINT, Shape::Flag, Form::Property, OnChange::Replace, "A constraint trigger, which can be deferred."),
    constraint::deferrable_attr(OnChange::Replace),
    constraint::initially_deferred_attr(OnChange::Replace),
    attr(FROM, Shape::Ref(&["table"]), Form::Property, OnChange::Replace, "The other table of a constraint trigger."),
    attr(OLD_TABLE, Shape::Name, Form::Property, OnChange::Replace, "The transition table of rows before the change."),
    attr(NEW_TABLE, Shape::Name, Form::Property, OnChange::Replace, "The transition table of rows after the change."),
    firing::enabled_attr(),
    attr(OF, Shape::Refs(&["column"]), Form::Custom, OnChange::Replace, "The columns whose update fires it: `of a b`."),
    attr(WHEN, Shape::Expr, Form::Child, OnChange::Replace, "It fires only if this is true."),
    attr(ARGS, Shape::Texts, Form::Child, OnChange::Replace, "Strings that are passed to the function."),
];

pub static KIND: Kind = Kind {
    word: "trigger",
    sql: "TRIGGER",
    address: Address::NamedOn,
    within: Within::Of(&["table", "view", "foreign-table"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "A function that runs when rows change.",
};

pub struct Trigger;
pub static ROOM: Trigger = Trigger;

impl Room for Trigger {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::Partitions
    }

    fn need(&self) -> Need {
        Need::Trigger
    }

    fn rights(&self, id: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        let mut out = rights::of_attrs(&KIND, object, changed);
        let tables = id.parent().into_iter().chain(object.get(FROM)).filter(|_| changed.is_none());
        out.extend(tables.map(rights::trigger));
        out
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Columns are known once all tables are read.
        if scope.put_off(Turn::Named, &ROOM, node) {
            return;
        }
        let Some(table) = scope.parent.clone() else { return };
        let Some(name) = generic::take_name(node, scope) else { return };
        let Some(function) = node.get_prop(FUNCTION.name) else {
            let problem = Problem::new(node.name_span, "this trigger calls no function");
            scope.problem(problem.label("write `function=NAME`"));
            // What it says instead may be a misspelled word.
            let stray = node.props.iter().filter(|prop| KIND.attr(&prop.name).is_none() && &*prop.name != "was");
            for prop in stray {
                scope.problem(meant::stray_property(&ATTRS, KIND.word, prop));
            }
            return;
        };
        let function = function.as_text().cloned().and_then(|name| function_of(&name, function.span, scope));
        let of = constraint::columns_of_child(node, OF.name, &table, scope);
        let id = scope.id(&ROOM, name);
        let mut rest = node.clone();
        rest.props.retain(|p| &*p.name != FUNCTION.name);
        rest.children.retain(|c| &*c.name != OF.name);
        let Some(object) = generic::parse_as(id, &rest, 1, scope) else { return };
        let events: Vec<Text> = object.get(EVENTS).unwrap_or_default().into_iter().cloned().collect();
        let known = ordered(|word| events.iter().any(|e| &**e == word));
        let wrong = events.iter().find(|e| !EVENT_WORDS.contains(&&***e)).cloned();
        object.attrs.set(EVENTS, (!known.is_empty()).then_some(known));
        object.attrs.set(FUNCTION, function).set(OF, of);
        if object.is(INITIALLY_DEFERRED) {
            object.attrs.set(DEFERRABLE, true);
        }
        if object.is(DEFERRABLE) || object.get(FROM).is_some() {
            object.attrs.set(CONSTRAINT, true);
        }
        let help = format!("write `trigger NAME before|after|instead-of {}`", EVENT_WORDS.join("|"));
        match wrong {
            Some(word) => {
                scope.problem(Problem::new(node.span, format!("`{word}` is not an event of a trigger")).help(help))
            }
            None if events.is_empty() => {
                scope.problem(Problem::new(node.name_span, "this trigger never fires").label("no events").help(help));
            }
            None => {}
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut object = object.clone();
        if object.is(INITIALLY_DEFERRED) {
            object.attrs.remove(DEFERRABLE.name);
        }
        if object.is(INITIALLY_DEFERRED) || object.is(DEFERRABLE) || object.get(FROM).is_some() {
            object.attrs.remove(CONSTRAINT.name);
        }
        let mut node = generic::write(id, &object, inner);
        if let Some(function) = object.get(FUNCTION) {
            let value = crate::kdl::Arg::text(generic::reference_text(&function.with_signature(None), id.schema()));
            let at = node.props.iter().position(|p| &*p.name != FOR_EACH.name).unwrap_or(node.props.len());
            node.props.insert(at, Prop::new(FUNCTION.name, value));
        }
        if let Some(of) = object.get(OF) {
            node.children.insert(0, constraint::columns_node(OF.name, &of));
        }
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        // `pg_get_expr` knows no OLD and NEW, so a condition is cut out of the whole definition.
        Some(
            "SELECT t.oid, t.tgrelid, t.tgname, t.tgrelid, t.tgtype, t.tgattr::int2[], t.tgconstraint <> 0, t.tgdeferrable, \
             t.tginitdeferred, t.tgconstrrelid, t.tgoldtable, t.tgnewtable, \
             CASE WHEN t.tgqual IS NOT NULL THEN pg_get_triggerdef(t.oid, false) END, n.nspname, p.proname, t.tgargs, t.tgenabled \
             FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace \
             WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgrelid >= 16384 ORDER BY t.tgrelid, t.tgname"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, relation, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_TRIGGER, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.relation(relation)?.clone()), name);
        book.add(class::PG_TRIGGER, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let (relation, bits): (u32, i16) = (row.oid(), row.next());
        let has = |bit: i16| bits & bit != 0;
        let mut attrs = Attrs::new();
        let timing = if has(64) {
            "instead-of"
        } else if has(2) {
            "before"
        } else {
            "after"
        };
        attrs.set(TIMING, Text::from(timing));
        let event = |word: &str| {
            has(match word {
                "insert" => 4,
                "delete" => 8,
                "update" => 16,
                _ => 32,
            })
        };
        attrs.set(EVENTS, ordered(event));
        attrs.set(FOR_EACH, has(1).then(|| "row".into()));
        let of = constraint::columns_by_number(book, relation, &row.next::<Vec<i16>>())?;
        attrs.set(OF, (!of.is_empty()).then_some(of));
        attrs.set(CONSTRAINT, row.next::<bool>());
        attrs.set(DEFERRABLE, row.next::<bool>());
        attrs.set(INITIALLY_DEFERRED, row.next::<bool>());
        attrs.set(FROM, book.relation(row.oid()).cloned());
        attrs.set(OLD_TABLE, row.text_opt().map(Ident::new));
        attrs.set(NEW_TABLE, row.text_opt().map(Ident::new));
        attrs.set(WHEN, row.text_opt().and_then(|definition| condition(&definition)).map(Expr::new));
        let (schema, name) = (row.text(), row.text());
        let schema = ObjectId::new(find("schema")?.kind(), None, schema);
        attrs.set(FUNCTION, function_id(schema, name));
        let args: Vec<u8> = row.next();
        let args = args.strip_suffix(&[0]).map(|all| all.split(|b| *b == 0).collect::<Vec<_>>()).unwrap_or_default();
        let args: Vec<Text> = args.into_iter().map(|a| String::from_utf8_lossy(a).into()).collect();
        attrs.set(ARGS, (!args.is_empty()).then_some(args));
        attrs.set(ENABLED, firing::enabled(row.char()));
        Some(Object::new(attrs))
    }

    fn evaluates(&self, creates: bool) -> Evaluates {
        if creates { Evaluates::Constants } else { Evaluates::Parses }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let Some(table) = id.parent() else { return Ok(vec![]) };
        let constraint = if object.is(CONSTRAINT) { "CONSTRAINT " } else { "" };
        let timing = object.get(TIMING).map_or("after", |t| t).replace('-', " ").to_uppercase();
        let events: Vec<String> =
            object.get(EVENTS).unwrap_or_default().into_iter().map(|e| event_sql(e, object)).collect();
        let mut text = format!(
            "CREATE {constraint}TRIGGER {} {timing} {} ON {}",
            sql::name(id.name()),
            events.join(" OR "),
            sql::path(table)
        );
        if let Some(from) = object.get(FROM) {
            text.push_str(&format!(" FROM {}", sql::path(from)));
        }
        text.push_str(deferrable_sql(object));
        let tables = [(OLD_TABLE, "OLD"), (NEW_TABLE, "NEW")];
        let tables: Vec<String> = tables
            .into_iter()
            .filter_map(|(key, word)| Some(format!("{word} TABLE AS {}", sql::name(&object.get(key)?))))
            .collect();
        if !tables.is_empty() {
            text.push_str(&format!(" REFERENCING {}", tables.join(" ")));
        }
        text.push_str(&format!(" FOR EACH {}", object.get(FOR_EACH).map_or("STATEMENT".into(), |f| f.to_uppercase())));
        if let Some(condition) = object.get(WHEN) {
            text.push_str(&format!(" WHEN ({})", condition.as_str()));
        }
        let function = object.get(FUNCTION).map_or_else(String::new, |f| sql::schema_path(f, f.name()));
        let args: Vec<String> = object.get(ARGS).unwrap_or_default().into_iter().map(|a| sql::literal(a)).collect();
        text.push_str(&format!(" EXECUTE FUNCTION {function}({})", args.join(", ")));
        let mut out = vec![Statement::new(text).locks(LockMode::ShareRowExclusive, table)];
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
        Ok(if changed.contains(&ENABLED.name) { enable(id, new) } else { vec![] })
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

fn ordered(has: impl Fn(&str) -> bool) -> Vec<Text> {
    EVENT_WORDS.iter().filter(|word| has(word)).map(|word| Text::from(*word)).collect()
}

fn event_sql(event: &str, object: &Object) -> String {
    match object.get(OF).filter(|_| event == "update") {
        Some(columns) => format!("UPDATE OF {}", column_list(columns)),
        None => event.to_uppercase(),
    }
}

fn enable(id: &ObjectId, object: &Object) -> Vec<Statement> {
    let what = format!("{} TRIGGER {}", firing::enable(object), sql::name(id.name()));
    vec![constraint::alter_parent(id, LockMode::ShareRowExclusive, &what)]
}

/// The condition in a definition as `pg_get_triggerdef` prints it.
fn condition(definition: &str) -> Option<Text> {
    let start = ["FOR EACH ROW WHEN (", "FOR EACH STATEMENT WHEN ("]
        .into_iter()
        .filter_map(|words| definition.find(words).map(|at| at + words.len()))
        .min()?;
    let rest = definition.get(start..)?;
    let end = rest.rfind(") EXECUTE FUNCTION ")?;
    rest.get(..end).map(Text::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{alter, create, load, round_trip};

    const FUNCTION_KDL: &str = "function f returns=trigger language=plpgsql {\n    body \"\"\"\n        begin return null; end\n        \"\"\"\n}\n";

    #[test]
    fn every_form_is_created() {
        let (state, problems) = load(&format!(
            "{FUNCTION_KDL}table o {{\n    column a integer\n}}\ntable t {{\n    column a integer\n    column b integer\n\
             \ttrigger g1 before update for-each=row function=f {{\n of a b\n when \"old.a > 1\"\n args \"it's\" x\n }}\n\
             \ttrigger g2 after delete insert function=f old-table=o new-table=n enabled=disabled\n\
             \ttrigger g3 after insert for-each=row function=f from=o initially-deferred=#true\n\
             \ttrigger g4 before update for-each=row function=suppress_redundant_updates_trigger\n}}\n"
        ));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            create(&state, "trigger"),
            [
                "CREATE TRIGGER g1 BEFORE UPDATE OF a, b ON public.t FOR EACH ROW WHEN (old.a > 1) EXECUTE FUNCTION public.f('it''s', 'x')",
                "CREATE TRIGGER g2 AFTER INSERT OR DELETE ON public.t REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION public.f()",
                "ALTER TABLE public.t DISABLE TRIGGER g2",
                "CREATE CONSTRAINT TRIGGER g3 AFTER INSERT ON public.t FROM public.o DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.f()",
                "CREATE TRIGGER g4 BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
            ]
        );
    }

    #[test]
    fn triggers_are_written_as_they_are_read() {
        round_trip(
            "table t {\n    column a integer\n    trigger g1 before update for-each=row function=pg_catalog.suppress_redundant_updates_trigger enabled=always {\n        of a\n        when \"old.a > 1\"\n        args x\n    }\n}\n",
        );
    }

    #[test]
    fn enabling_alters_and_all_else_replaces() {
        let table = |trigger: &str| format!("{FUNCTION_KDL}table t {{\n    column a integer\n    {trigger}\n}}\n");
        let old = table("trigger g after insert function=f");
        let new = table("trigger g after insert function=f enabled=replica");
        assert_eq!(alter(&old, &new, "trigger"), ["ALTER TABLE public.t ENABLE REPLICA TRIGGER g"]);
        assert_eq!(alter(&new, &old, "trigger"), ["ALTER TABLE public.t ENABLE TRIGGER g"]);
        let update = table("trigger g after update function=f");
        assert_eq!(alter(&old, &update, "trigger"), ["replace because of events"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problems =
            |trigger: &str| load(&format!("{FUNCTION_KDL}table t {{\n    column a integer\n    {trigger}\n}}\n")).1;
        assert_eq!(problems("trigger g after insert"), ["this trigger calls no function"]);
        assert_eq!(problems("trigger g after function=f"), ["this trigger never fires"]);
        assert_eq!(problems("trigger g after upsert function=f"), ["`upsert` is not an event of a trigger"]);
        assert_eq!(problems("trigger g after insert function=nope"), ["there is no function `nope`"]);
        assert_eq!(problems("trigger g after update function=f {\n of b\n }"), ["table public.t has no column `b`"]);
    }

    #[test]
    fn conditions_are_cut_out() {
        let text =
            "CREATE TRIGGER g AFTER UPDATE ON public.t FOR EACH ROW WHEN ((old.a > 1)) EXECUTE FUNCTION public.f('x')";
        assert_eq!(condition(text).as_deref(), Some("(old.a > 1)"));
    }
}
