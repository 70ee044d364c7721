//! Turns objects into nodes, as a kind's table of attributes says.

use crate::kdl::{Arg, Node, Prop, Scalar};
use crate::kinds::{find, room};
use crate::model::{Address, Attr, Attrs, Form, KindRef, Object, ObjectId, Shape, SqlType, Value, Within};
use crate::sql::{reference, types};

use super::NAME;

/// Marks a name as one that has a dot, unless the node is a part of another one, where nobody expects a schema before it.
pub fn dotted(mut node: Node, kind: KindRef) -> Node {
    let name = node.args.first_mut().filter(|_| matches!(kind.within, Within::Schema | Within::Top));
    if let Some(name) = name.filter(|arg| arg.as_text().is_some_and(|name| name.contains('.'))) {
        name.annotation = Some(NAME.into());
    }
    node
}

/// Writes an object by its kind's table; `inner` are its children, already written.
pub fn write(id: &ObjectId, object: &Object, inner: Vec<Node>) -> Node {
    let kind = id.kind();
    let mut node = Node::new(kind.word);
    if kind.address != Address::Facet {
        node = dotted(node.arg(id.name().text()), kind);
    }
    let mut node = write_record(kind.attrs, &object.attrs, node, id.schema());
    if let Some(was) = &object.was {
        node = node.prop("was", was.text());
    }
    for part in &object.parts {
        node = node.child(Node::new(part.id.kind().word).arg(part.id.name().text()).prop("was", part.was.text()));
    }
    for child in inner {
        // A facet that is one text is a property of its parent: `default="…"`.
        if as_property(&child) {
            let value = child.args[0].clone();
            node.props.push(Prop::new(child.name.clone(), value));
        } else {
            node.children.push(child);
        }
    }
    node
}

fn as_property(child: &Node) -> bool {
    let plain = child.args.len() == 1 && child.props.is_empty() && child.children.is_empty();
    plain
        && find(&child.name).is_some_and(|r| r.kind().folds && r.kind().address == Address::Facet)
        && !child.args[0].as_text().is_some_and(|t| t.contains('\n'))
}

/// Writes attributes by a table into a node.
pub fn write_record(table: &'static [Attr], attrs: &Attrs, mut node: Node, schema: Option<&ObjectId>) -> Node {
    let has_arguments = table.iter().any(|a| a.form == Form::Arguments);
    let mut gap = false;
    for attr in table {
        let Some(value) = attrs.value(attr.name) else {
            gap |= attr.form == Form::Argument;
            continue;
        };
        match (attr.form, value) {
            (Form::Custom, _) => {}
            (Form::Flag, _) if !has_arguments => node = node.arg(attr.name),
            (Form::Arguments, Value::List(list)) => node.args.extend(list.iter().map(|v| arg_of(v, schema))),
            (Form::Argument | Form::Arguments, value) if !gap => {
                let mut arg = arg_of(value, schema);
                // A type called `virtual` is not a flag.
                let flag = arg.as_text().is_some_and(|t| table.iter().any(|a| a.form == Form::Flag && a.name == &**t));
                arg.annotation = flag.then(|| attr.name.into());
                node.args.push(arg);
            }
            (Form::Property | Form::Flag | Form::Argument | Form::Arguments, value) => {
                let mut value = arg_of(value, schema);
                if let (Shape::Number, Scalar::Text(digits)) = (attr.shape, &value.value) {
                    value.value = digits.parse().map_or_else(|_| Scalar::Number(digits.clone()), Scalar::Int);
                }
                node.props.push(Prop::new(attr.name, value));
            }
            (Form::Child, value) => node.children.push(child_of(attr, value, schema)),
            (Form::Repeated, Value::List(list)) => node.children.extend(list.iter().map(|v| child_of(attr, v, schema))),
            (Form::Repeated, value) => node.children.push(child_of(attr, value, schema)),
        }
    }
    node
}

fn child_of(attr: &'static Attr, value: &Value, schema: Option<&ObjectId>) -> Node {
    let mut node = Node::new(attr.name);
    match (attr.shape, value) {
        (Shape::Record(table) | Shape::Records(table), Value::Record(record)) => {
            write_record(table, record, node, schema)
        }
        (Shape::Options, Value::Options(list)) => {
            for text in &list.0 {
                let Some((name, value)) = text.split_once('=') else {
                    node = node.arg(text.clone());
                    continue;
                };
                node = match value.parse::<i64>() {
                    Ok(number) if number.to_string() == value => node.int_prop(name, number),
                    _ => node.prop(name, value),
                };
            }
            node
        }
        (Shape::Flag, _) => node,
        (_, Value::List(list)) => {
            node.args.extend(list.iter().map(|v| arg_of(v, schema)));
            node
        }
        (_, value) => {
            node.args.push(arg_of(value, schema));
            node
        }
    }
}

/// A single value as an argument.
pub fn arg_of(value: &Value, schema: Option<&ObjectId>) -> Arg {
    match value {
        Value::Bool(b) => Arg::new(Scalar::Bool(*b)),
        Value::Int(i) => Arg::new(Scalar::Int(*i)),
        Value::Text(t) => Arg::text(t.clone()),
        Value::Type(t) => Arg::text(type_text(t, schema)),
        Value::Expr(e) => Arg::text(e.0.clone()),
        Value::Ref(id) => Arg::text(reference_text(id, schema)),
        Value::List(list) => list.first().map_or_else(|| Arg::text(""), |v| arg_of(v, schema)),
        Value::Options(options) => Arg::text(options.0.first().cloned().unwrap_or_default()),
        Value::Record(_) => Arg::text(""),
    }
}

/// A type as files say it: short names, schema `public` and the object's own left out.
pub fn type_text(t: &SqlType, schema: Option<&ObjectId>) -> String {
    types::friendly(t.as_str(), schema.map(|s| s.name().as_str()))
}

/// A reference as files say it: the schema left out where it is the object's own or, from elsewhere, `public` is meant.
pub fn reference_text(id: &ObjectId, schema: Option<&ObjectId>) -> String {
    let (name, built_ins) = (id.name().as_str(), room(id.kind()).built_ins());
    let built_in = |home: &ObjectId| home.name().as_str() == "pg_catalog" && built_ins.have(name);
    let own = id.schema().is_none_or(built_in) || (id.schema() == schema && !built_ins.hide(name));
    let parts: Vec<&str> = if own {
        vec![id.name().as_str()]
    } else {
        vec![id.schema().map_or("", |s| s.name().as_str()), id.name().as_str()]
    };
    let Some(signature) = id.signature() else { return reference::join(&parts) };
    // The reader takes the first parenthesis outside of quotes for the types' one.
    let quoted = |part: &&str| match part.contains('(') {
        true => format!("\"{}\"", part.replace('"', "\"\"")),
        false => reference::join(&[part]),
    };
    format!("{}({signature})", parts.iter().map(quoted).collect::<Vec<_>>().join("."))
}
