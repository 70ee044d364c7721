//! Turns nodes into objects: arguments, properties and child nodes, as a kind's table of attributes says.

use rustc_hash::FxHashSet;

use crate::kdl::{Arg, Node, Problem, Prop};
use crate::kinds::meant::{nearest, stray_argument, stray_property};
use crate::kinds::scope::{Scope, rooms_in};
use crate::kinds::{find, room};
use crate::model::{Address, Attr, Attrs, Form, Ident, Kind, Object, ObjectId, Options, Shape, Text, Value, Within};

use super::value::{many, name_of, one, option_text};
use super::{NAME, is_default};

/// Reads a node as one object of `kind`, and its child nodes by their rooms. The object, if there was none of its address.
pub fn parse<'a>(kind: &'static Kind, node: &Node, scope: &'a mut Scope<'_>) -> Option<&'a mut Object> {
    let named = !(kind.address == Address::Facet);
    let name = if named { take_name(node, scope)? } else { Ident::from("") };
    let id = scope.id(room(kind), name);
    if !named {
        arguments_missing(kind.attrs, kind.word, node, scope);
    }
    parse_as(id, node, usize::from(named), scope)
}

/// Reads a node as the object `id`; its arguments from `first` on are attributes. The object, if there was none of that address.
pub fn parse_as<'a>(id: ObjectId, node: &Node, first: usize, scope: &'a mut Scope<'_>) -> Option<&'a mut Object> {
    let kind = id.kind();
    // Two declarations are told apart by their names, not by all that follows.
    let place = node.args.first().filter(|_| first > 0).map_or(node.name_span, |arg| arg.span);
    if scope.is_taken(&id, place) {
        return None;
    }
    let mut object = Object { place: Some(node.span), ..Object::default() };
    object.attrs = record(kind.attrs, kind.word, node, first, scope, &mut |prop, scope| {
        if &*prop.name == "was" {
            object.was = name_of(&prop.value, scope);
            return true;
        }
        // `default="…"` on a column is its child `default "…"`.
        if rooms_in(kind.word).any(|room| room.kind().word == &*prop.name && room.kind().address == Address::Facet) {
            let child = Node {
                name: prop.name.clone(),
                args: vec![prop.value.clone()],
                span: prop.value.span,
                name_span: prop.name_span,
                ..Node::default()
            };
            scope.child(&child, &id);
            return true;
        }
        false
    });
    let own = child_attrs(kind.attrs);
    scope.put(id.clone(), object, place);
    scope.children(&node.children, &id, &own);
    scope.load.state.objects_mut().get_mut(&id)
}

/// The attributes that may appear as child nodes: flags too where an open-ended list of arguments leaves no room for bare words.
fn child_attrs(attrs: &'static [Attr]) -> Vec<&'static str> {
    let open_ended = attrs.iter().any(|a| a.form == Form::Arguments);
    let stands = |a: &&Attr| matches!(a.form, Form::Child | Form::Repeated) || (open_ended && a.form == Form::Flag);
    attrs.iter().filter(stands).map(|a| a.name).collect()
}

/// The node's first argument as a name; a missing, wrong or overlong one is a problem.
pub fn take_name(node: &Node, scope: &mut Scope<'_>) -> Option<Ident> {
    let Some(arg) = node.args.first() else {
        scope.problem(
            Problem::new(node.name_span, format!("this {} has no name", node.name))
                .label(format!("write `{} NAME`", node.name)),
        );
        return None;
    };
    let dotted = arg.as_text().and_then(|name| name.split_once('.')).filter(|_| scope.parent.is_none());
    match (dotted, arg.annotation.as_deref()) {
        (Some(_), Some(NAME)) => name_of(&Arg { annotation: None, ..arg.clone() }, scope),
        (Some((schema, name)), None) => {
            let message = format!("`{schema}.{name}` would be the whole name, dot and all");
            let problem = Problem::new(arg.span, message).label("not a schema and a name");
            let way = match find(&node.name).filter(|room| room.kind().within == Within::Top) {
                Some(room) if room.kind().address == Address::Schema => format!("write `schema {schema} {{ … }}`"),
                Some(_) => format!("no schema has a {}: write `{} {name}`", node.name, node.name),
                None => format!("write `schema {schema} {{ {} {name} … }}`", node.name),
            };
            let help = format!("{way}; if the name really contains a dot, `({NAME})\"{schema}.{name}\"`");
            scope.problem(problem.help(help));
            None
        }
        _ => name_of(arg, scope),
    }
}

/// Finds properties that a node has twice.
fn said_twice(node: &Node, scope: &mut Scope<'_>) {
    let mut said = FxHashSet::default();
    for prop in node.props.iter().filter(|prop| !said.insert(&prop.name)) {
        scope.problem(Problem::new(prop.name_span, format!("`{}` is given twice", prop.name)).label("second time"));
    }
}

/// Reads arguments (from `first` on), properties and child nodes by a table of attributes. `other` takes the properties that
/// the table does not know; child nodes that it does not know are left to the caller.
pub fn record(
    attrs: &'static [Attr],
    what: &str,
    node: &Node,
    first: usize,
    scope: &mut Scope<'_>,
    other: &mut dyn FnMut(&Prop, &mut Scope<'_>) -> bool,
) -> Attrs {
    let mut out = Attrs::new();
    let mut arguments = attrs.iter().filter(|a| matches!(a.form, Form::Argument | Form::Arguments)).peekable();
    let mut at = first;
    while let Some(arg) = node.args.get(at) {
        at += 1;
        let word = arg.as_text().map_or("", |t| t);
        let takes_all = arguments.peek().is_some_and(|a| a.form == Form::Arguments);
        let bare = arg.annotation.is_none() && !takes_all;
        if let Some(flag) = attrs.iter().find(|a| a.form == Form::Flag && a.name == word && bare) {
            if out.value(flag.name).is_some() {
                scope.problem(Problem::new(arg.span, format!("`{word}` is given twice")).label("second time"));
            }
            out.put(flag.name, Value::Bool(true));
        } else if let Some(attr) = arguments.peek() {
            if attr.form == Form::Arguments {
                put(&mut out, attr, many(attr, &node.args[at - 1..], scope));
                break;
            }
            let value = one(attr, called(attr, what), arg, scope);
            put(&mut out, attr, value);
            arguments.next();
        } else {
            let problem = stray_argument(attrs, what, arg);
            // The words of one mistake are one problem.
            let same = |last: &Problem| last.help.is_some() && last.help == problem.help && node.span.holds(last.span);
            if !scope.load.problems.last().is_some_and(same) {
                scope.problem(problem);
            }
        }
    }
    said_twice(node, scope);
    let mut said = FxHashSet::default();
    for prop in node.props.iter().filter(|prop| said.insert(&prop.name)) {
        if let Some(attr) = attrs.iter().find(|a| {
            // A flag says #true, and an argument whose place is taken its name.
            matches!(a.form, Form::Property | Form::Flag | Form::Argument) && a.name == &*prop.name
        }) {
            if out.value(attr.name).is_some() {
                scope.problem(
                    Problem::new(prop.name_span, format!("`{}` is given twice", attr.name)).label("second time"),
                );
            }
            let value = one(attr, attr.name, &prop.value, scope);
            put(&mut out, attr, value);
        } else if !other(prop, scope) {
            scope.problem(stray_property(attrs, what, prop));
        }
    }
    let children = child_attrs(attrs);
    for attr in attrs.iter().filter(|a| children.contains(&a.name)) {
        let mut found = node.children.iter().filter(|c| &*c.name == attr.name);
        if attr.form == Form::Repeated {
            let list: Vec<Value> = found.filter_map(|child| from_node(attr, child, scope)).collect();
            if !list.is_empty() {
                put(&mut out, attr, Some(Value::List(list)));
            }
        } else if let Some(child) = found.next() {
            if out.value(attr.name).is_some() {
                scope.problem(
                    Problem::new(child.name_span, format!("`{}` is given twice", attr.name)).label("second time"),
                );
            }
            let value = from_node(attr, child, scope);
            put(&mut out, attr, value);
            if let Some(second) = found.next() {
                scope.problem(
                    Problem::new(second.name_span, format!("`{}` is given twice", attr.name)).label("second time"),
                );
            }
        }
    }
    out
}

/// What people call an attribute: what a facet is, and the condition of a check, has the node's own word.
fn called<'a>(attr: &'a Attr, what: &'a str) -> &'a str {
    let facet = find(what).is_some_and(|room| room.kind().address == Address::Facet);
    let own = facet || matches!(attr.shape, Shape::Expr);
    if own && attr.form == Form::Argument { what } else { attr.name }
}

fn put(out: &mut Attrs, attr: &'static Attr, value: Option<Value>) {
    match value {
        Some(value) if !is_default(attr, &value) => out.put(attr.name, value),
        _ => {}
    }
}

fn from_node(attr: &'static Attr, node: &Node, scope: &mut Scope<'_>) -> Option<Value> {
    match attr.shape {
        Shape::Record(table) | Shape::Records(table) => {
            let record = record(table, attr.name, node, 0, scope, &mut |_, _| false);
            arguments_missing(table, attr.name, node, scope);
            let known = child_attrs(table);
            for child in node.children.iter().filter(|c| !known.contains(&&*c.name)) {
                let message = format!("`{}` is not allowed in `{}`", child.name, attr.name);
                let mut problem = Problem::new(child.name_span, message).label("unknown here");
                problem.help =
                    nearest(&child.name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                scope.problem(problem);
            }
            Some(Value::Record(record))
        }
        Shape::Options => {
            nothing_more(attr, &node.children, &[], scope);
            said_twice(node, scope);
            let bare = node.args.iter().filter_map(|arg| name_of(arg, scope)).map(|name| name.text());
            let mut list: Vec<Text> = bare.collect();
            list.extend(node.props.iter().map(|p| option_text(&p.name, &p.value)));
            Some(Value::Options(Options(list)))
        }
        Shape::Flag => {
            nothing_more(attr, &node.children, &node.props, scope);
            if let Some(arg) = node.args.first() {
                scope.problem(
                    Problem::new(arg.span, format!("`{}` takes no argument", attr.name)).label("one too many"),
                );
            }
            Some(Value::Bool(true))
        }
        Shape::Names | Shape::Texts | Shape::Refs(_) => {
            nothing_more(attr, &node.children, &node.props, scope);
            // No texts at all may mean something: a publication of nothing.
            if node.args.is_empty() && !matches!(attr.shape, Shape::Texts) {
                let problem = Problem::new(node.name_span, format!("`{}` names nothing", attr.name));
                scope.problem(problem.label(format!("write `{} NAME …`", attr.name)));
            }
            many(attr, &node.args, scope)
        }
        _ => {
            nothing_more(attr, &node.children, &node.props, scope);
            if let [arg] = node.args.as_slice() {
                return one(attr, attr.name, arg, scope);
            }
            let message = format!("`{}` takes one argument, not {}", attr.name, node.args.len());
            scope.problem(Problem::new(node.name_span, message).label("one argument"));
            None
        }
    }
}

/// Attributes without a default are required.
fn arguments_missing(table: &'static [Attr], what: &str, node: &Node, scope: &mut Scope<'_>) {
    let wanted: Vec<&Attr> = table.iter().filter(|a| a.form == Form::Argument && a.default.is_none()).collect();
    if node.args.len() >= wanted.len() || wanted.iter().all(|a| node.get_prop(a.name).is_some()) {
        return;
    }
    let form = |attr: &&Attr| match attr.shape {
        Shape::Word(words) => words.join("|"),
        Shape::Expr => format!("\"{}\"", attr.name.to_uppercase()),
        _ => attr.name.to_uppercase(),
    };
    let whole = wanted.iter().map(form).collect::<Vec<_>>().join(" ");
    let problem = Problem::new(node.name_span, format!("`{what}` is incomplete"));
    scope.problem(problem.label(format!("write `{what} {whole}`")));
}

/// A child node that is a single value has no properties or children.
fn nothing_more(attr: &Attr, children: &[Node], props: &[Prop], scope: &mut Scope<'_>) {
    let spans = children.iter().map(|c| (c.name_span, &c.name)).chain(props.iter().map(|p| (p.name_span, &p.name)));
    for (span, name) in spans {
        scope.problem(Problem::new(span, format!("`{name}` is not allowed in `{}`", attr.name)).label("unknown here"));
    }
}
