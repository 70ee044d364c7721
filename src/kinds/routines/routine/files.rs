//! Routines in files: `function add returns=integer language=sql { arg a integer; body … }`.

use crate::kdl::{Arg, Node, Problem, Prop, Scalar};
use crate::kinds::generic;
use crate::kinds::scope::{Scope, rooms_in};
use crate::model::{Address, Attrs, Form, Ident, KindRef, Object, ObjectId, Text};

use super::*;

const BODY_EXACT: &str = "body-exact";

/// Reads a routine's node; its address is known only after its arguments are.
pub fn parse(kind: KindRef, node: &Node, scope: &mut Scope<'_>) {
    let Some(name) = generic::take_name(node, scope) else { return };
    let mut node = node.clone();
    node.children.iter_mut().filter(|c| &*c.name == ARGS.name).for_each(turn_argument);
    let setof = take_setof(&mut node);
    let (mut attrs, head) = head(kind, &node, scope);
    attrs.set(SETOF, setof);
    attrs.set(BODY, body(&node, scope));
    let settings = settings(&node);
    attrs.set(SET, (!settings.is_empty()).then_some(settings));
    normalise(&mut attrs);
    check(kind, &node, &attrs, scope);
    let id = ObjectId::routine(kind, Some(scope.schema.clone()), name, signature(&attrs));
    put(id, attrs, head, &node, &[BODY.name, BODY_EXACT, SET.name], scope);
}

/// What a node contains besides its attributes.
pub struct Head {
    was: Option<Ident>,
    facets: Vec<Prop>,
}

/// The attributes of a node whose address follows from them.
pub fn head(kind: KindRef, node: &Node, scope: &mut Scope<'_>) -> (Attrs, Head) {
    let mut head = Head { was: None, facets: Vec::new() };
    let attrs = generic::record(kind.attrs, kind.word, node, 1, scope, &mut |prop, _| {
        if &*prop.name == "was" {
            head.was = prop.value.as_text().map(|t| Ident::new(t.clone()));
            return true;
        }
        let mut rooms = rooms_in(kind.word).map(crate::kinds::Room::kind);
        let facet = rooms.any(|k| k.word == &*prop.name && k.address == Address::Facet);
        if facet {
            head.facets.push(prop.clone());
        }
        facet
    });
    (attrs, head)
}

/// Enters the object once its address is known, and what is in its node; `own` are attributes that the table does not read.
pub fn put(id: ObjectId, attrs: Attrs, head: Head, node: &Node, own: &[&str], scope: &mut Scope<'_>) {
    let object = Object { place: Some(node.span), was: head.was, ..Object::new(attrs) };
    scope.put(id.clone(), object, node.span);
    for prop in head.facets {
        let (span, name_span) = (prop.value.span, prop.name_span);
        scope.child(&Node { name: prop.name, args: vec![prop.value], span, name_span, ..Node::default() }, &id);
    }
    let attributes = id.kind().attrs.iter().filter(|a| matches!(a.form, Form::Child | Form::Repeated)).map(|a| a.name);
    let own: Vec<&str> = attributes.chain(own.iter().copied()).collect();
    scope.children(&node.children, &id, &own);
}

/// `arg a integer` is read as `arg integer name=a`, so that `arg integer` is an argument without a name.
pub fn turn_argument(arg: &mut Node) {
    if arg.args.len() >= 2 {
        let value = arg.args.remove(0);
        let name_span = value.span;
        arg.props.push(Prop { name: ARG_NAME.name.into(), value, name_span });
    }
}

/// Takes `SETOF` off the property `returns`.
fn take_setof(node: &mut Node) -> bool {
    let Some(prop) = node.props.iter_mut().find(|p| &*p.name == RETURNS.name) else { return false };
    let Scalar::Text(text) = &prop.value.value else { return false };
    match text.trim_start().split_once(char::is_whitespace) {
        Some((word, rest)) if word.eq_ignore_ascii_case("setof") => {
            prop.value.value = Scalar::Text(rest.trim().into());
            true
        }
        _ => false,
    }
}

/// The reverse of `turn_argument`.
pub fn turn_back(arg: &mut Node) {
    if let Some(at) = arg.props.iter().position(|p| &*p.name == ARG_NAME.name) {
        let name = arg.props.remove(at).value;
        arg.args.insert(0, name);
    }
}

fn body(node: &Node, scope: &mut Scope<'_>) -> Option<Text> {
    let mut found: Option<Text> = None;
    for child in node.children.iter().filter(|c| matches!(&*c.name, "body" | BODY_EXACT)) {
        let text = match child.args.as_slice() {
            [arg] if child.props.is_empty() && child.children.is_empty() => arg.as_text(),
            _ => None,
        };
        let Some(text) = text else {
            let problem = Problem::new(child.name_span, format!("`{}` takes one text", child.name)).label("one text");
            scope.problem(problem.help("put the body in quotes"));
            continue;
        };
        if found.is_some() {
            let problem = Problem::new(child.name_span, "there is a second body").label("second one");
            scope.problem(
                problem.help("keep one of `body`, which has a newline before and after its text, and `body-exact`"),
            );
        }
        found = Some(if &*child.name == BODY_EXACT { text.clone() } else { format!("\n{text}\n").into() });
    }
    found
}

/// All settings of all `set` children, in their order.
fn settings(node: &Node) -> Vec<Text> {
    let props = node.children.iter().filter(|c| &*c.name == SET.name).flat_map(|c| &c.props);
    props.map(|prop| format!("{}={}", prop.name, scalar(&prop.value)).into()).collect()
}

fn scalar(arg: &Arg) -> String {
    match &arg.value {
        Scalar::Text(text) | Scalar::Number(text) => text.to_string(),
        Scalar::Int(number) => number.to_string(),
        Scalar::Bool(true) => "on".into(),
        Scalar::Bool(false) => "off".into(),
        Scalar::Null => String::new(),
    }
}

/// What PostgreSQL would refuse, or what would mean nothing.
fn check(kind: KindRef, node: &Node, attrs: &Attrs, scope: &mut Scope<'_>) {
    let said = node.children.iter().any(|c| matches!(&*c.name, "body" | BODY_EXACT));
    let bodies = [said, attrs.get(SQL_BODY).is_some(), attrs.get(LINK_SYMBOL).is_some()];
    let mut wrong = |message: String, help: &str| scope.problem(Problem::new(node.name_span, message).help(help));
    match bodies.iter().filter(|b| **b).count() {
        0 => wrong(format!("this {} has no body", kind.word), "write `body`, `sql-body` or `link-symbol=`"),
        1 => {}
        _ => wrong(format!("this {} has two bodies", kind.word), "keep one of `body`, `sql-body` and `link-symbol=`"),
    }
    if attrs.get(LANGUAGE).is_none() {
        wrong(format!("this {} does not name its language", kind.word), "write `language=plpgsql` or `language=sql`");
    }
    let results = args(attrs).iter().any(|a| is_result(a));
    if kind.attr(RETURNS.name).is_some() && attrs.get(RETURNS).is_none() && !results {
        wrong(
            format!("this {} does not declare what it returns", kind.word),
            "write `returns=TYPE`, `void` for nothing",
        );
    }
}

/// Writes a routine: properties, arguments, settings, its other children, and the body last.
pub fn write(id: &ObjectId, object: &Object, inner: Vec<Node>) -> Node {
    let mut node = generic::write(id, object, vec![]);
    if object.is(SETOF)
        && let Some(prop) = node.props.iter_mut().find(|p| &*p.name == RETURNS.name)
    {
        prop.value = Arg::text(format!("SETOF {}", scalar(&prop.value)));
    }
    for arg in node.children.iter_mut().filter(|c| &*c.name == ARGS.name) {
        turn_back(arg);
    }
    let (sql_body, mut children): (Vec<Node>, Vec<Node>) =
        node.children.into_iter().partition(|c| &*c.name == SQL_BODY.name);
    if let Some(settings) = object.get(SET) {
        let mut set = Node::new(SET.name);
        for setting in settings {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let value = Arg::text(value);
            set.props.push(Prop::new(name, value));
        }
        children.push(set);
    }
    children.extend(inner);
    children.extend(sql_body);
    children.extend(object.get(BODY).map(|body| match framed(body) {
        Some(text) => Node::new(BODY.name).arg(text),
        None => Node::new(BODY_EXACT).arg(body.clone()),
    }));
    node.children = children;
    node
}

/// The text between a first and a last newline.
fn framed(body: &str) -> Option<&str> {
    body.strip_prefix('\n')?.strip_suffix('\n')
}
