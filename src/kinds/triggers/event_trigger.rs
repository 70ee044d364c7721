//! Event triggers: `event-trigger audit ddl_command_end function=log_ddl`.

use rustc_hash::FxHashSet;

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem, Prop};
use crate::kinds::held::Held;
use crate::kinds::scope::{Scope, schema_id};
use crate::kinds::{Context, Folded, Need, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State, Text,
    Within, attr,
};
use crate::sql;

use super::firing::{self, ENABLED, function_id, function_of};

const EVENT: Key<Text> = Key::new("event");
const FUNCTION: Key<ObjectId> = Key::new("function");
const TAGS: Key<Vec<Text>> = Key::new("tags");

const EVENTS: &[&str] = &["ddl_command_start", "ddl_command_end", "sql_drop", "table_rewrite", "login"];

static ATTRS: [Attr; 4] = [
    attr(
        EVENT,
        Shape::Word(EVENTS),
        Form::Argument,
        OnChange::Replace,
        "The event that it fires on; `login` since 17.",
    ),
    attr(
        FUNCTION,
        Shape::Ref(&["function"]),
        Form::Custom,
        OnChange::Replace,
        "The function that it calls, as a property.",
    ),
    firing::enabled_attr(),
    attr(
        TAGS,
        Shape::Texts,
        Form::Child,
        OnChange::Replace,
        "The commands that it fires for; all if none are given: `tags \"CREATE TABLE\"`.",
    ),
];

pub static KIND: Kind = Kind {
    word: "event-trigger",
    sql: "EVENT TRIGGER",
    address: Address::Global,
    within: Within::Top,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "A function that runs when a database's objects change.",
};

static HELD: Held = Held::global(class::PG_EVENT_TRIGGER, "pg_event_trigger", "evt");

pub struct EventTrigger;
pub static ROOM: EventTrigger = EventTrigger;

impl Room for EventTrigger {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn need(&self) -> Need {
        Need::SuperuserToMake
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(name) = generic::take_name(node, scope) else { return };
        let Some(function) = node.get_prop(FUNCTION.name) else {
            let problem = Problem::new(node.name_span, "this event trigger calls no function");
            scope.problem(problem.label("write `function=NAME`"));
            return;
        };
        let function = function.as_text().cloned().and_then(|name| function_of(&name, function.span, scope));
        let id = scope.id(&ROOM, name);
        let mut rest = node.clone();
        rest.props.retain(|p| &*p.name != FUNCTION.name);
        let Some(object) = generic::parse_as(id, &rest, 1, scope) else { return };
        let tags = object.get(TAGS).unwrap_or_default().into_iter().map(|tag| tag.to_uppercase()).collect();
        object.attrs.set(TAGS, once(tags)).set(FUNCTION, function);
    }

    fn since(&self, object: &Object) -> Option<(u32, String)> {
        object.get(EVENT).filter(|event| &***event == "login").map(|event| (17, format!("event {event}")))
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(EVENT).is_none().then(|| format!("say what it fires on: {}", EVENTS.join(", ")))
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        if let Some(function) = object.get(FUNCTION) {
            let text = generic::reference_text(&function.with_signature(None), Some(&schema_id("public")));
            node.props.insert(0, Prop::new(FUNCTION.name, Arg::text(text)));
        }
        Some(node)
    }

    fn same(&self, attr: &'static Attr, old: &Object, new: &Object) -> bool {
        attr.name == TAGS.name && sorted(old) == sorted(new)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT e.oid, e.evtname, e.evtevent::text, n.nspname, p.proname, e.evtenabled, e.evttags FROM pg_event_trigger e \
             JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_namespace n ON n.oid = p.pronamespace ORDER BY e.evtname"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name) = (row.oid(), row.text());
        if book.is_member(class::PG_EVENT_TRIGGER, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, None, name);
        book.add(class::PG_EVENT_TRIGGER, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut attrs = Attrs::new();
        attrs.set(EVENT, row.text());
        let (schema, name) = (row.text(), row.text());
        attrs.set(FUNCTION, function_id(schema_id(schema), name));
        attrs.set(ENABLED, firing::enabled(row.char()));
        attrs.set(TAGS, once(row.next()));
        Some(Object::new(attrs))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let event = object.get(EVENT).map_or("", |event| event);
        let mut text = format!("CREATE {} ON {event}", sql::target(id));
        if let Some(tags) = object.get(TAGS) {
            let tags: Vec<String> = tags.into_iter().map(|tag| sql::literal(tag)).collect();
            text.push_str(&format!(" WHEN TAG IN ({})", tags.join(", ")));
        }
        let function = object.get(FUNCTION).map_or_else(String::new, |f| sql::schema_path(f, f.name()));
        text.push_str(&format!(" EXECUTE FUNCTION {function}()"));
        let mut out = vec![Statement::new(text)];
        if object.get(ENABLED).is_some() {
            out.push(enable(id, object));
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
        Ok(if changed.contains(&ENABLED.name) { vec![enable(id, new)] } else { vec![] })
    }
}

fn enable(id: &ObjectId, object: &Object) -> Statement {
    Statement::new(format!("ALTER {} {}", sql::target(id), firing::enable(object)))
}

/// Tags, each once, in the order in which they were given, which means nothing.
fn once(tags: Vec<String>) -> Option<Vec<Text>> {
    let mut seen = FxHashSet::default();
    let tags: Vec<Text> = tags.into_iter().map(Text::from).filter(|tag| seen.insert(tag.clone())).collect();
    (!tags.is_empty()).then_some(tags)
}

fn sorted(object: &Object) -> Vec<&Text> {
    let mut tags = object.get(TAGS).unwrap_or_default();
    tags.sort();
    tags
}

/// Takes the order of the tags from the database, where they are the same.
pub fn settle_tags(theirs: &Object, object: &mut Object) {
    if sorted(theirs) == sorted(object) {
        let tags: Option<Vec<Text>> = theirs.get(TAGS).map(|tags| tags.into_iter().cloned().collect());
        object.attrs.set(TAGS, tags);
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    const FUNCTION: &str = "function f returns=event_trigger language=plpgsql {\n    body \"begin end\"\n}\n";

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(&format!(
            "{FUNCTION}\nevent-trigger e1 ddl_command_start function=f\n\nevent-trigger e2 sql_drop function=f enabled=always {{\n    tags \"DROP TABLE\" \"DROP VIEW\"\n}}\n"
        ));
        assert_eq!(
            create(&state, "event-trigger"),
            [
                "CREATE EVENT TRIGGER e1 ON ddl_command_start EXECUTE FUNCTION public.f()",
                "CREATE EVENT TRIGGER e2 ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP VIEW') EXECUTE FUNCTION public.f()",
                "ALTER EVENT TRIGGER e2 ENABLE ALWAYS",
            ]
        );
    }

    #[test]
    fn enabling_alters_and_all_else_replaces() {
        let file = |trigger: &str| format!("{FUNCTION}event-trigger e {trigger} function=f\n");
        let (old, new) = (file("sql_drop"), file("sql_drop enabled=disabled"));
        assert_eq!(alter(&old, &new, "event-trigger"), ["ALTER EVENT TRIGGER e DISABLE"]);
        assert_eq!(alter(&old, &file("table_rewrite"), "event-trigger"), ["replace because of event"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(load("event-trigger e sql_drop").1, ["this event trigger calls no function"]);
        assert_eq!(load("event-trigger e sql_drop function=nope").1, ["there is no function `nope`"]);
    }
}
