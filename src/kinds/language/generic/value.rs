//! Reads one value of an attribute, as the attribute's shape says.

use crate::kdl::{Arg, Problem, Scalar};
use crate::kinds::meant::nearest;
use crate::kinds::scope::Scope;
use crate::kinds::sql_text;
use crate::model::{Attr, Expr, Form, Ident, MAX_NAME_BYTES, Shape, Text, Value};

/// An argument as a name of at most 63 bytes.
pub fn name_of(arg: &Arg, scope: &mut Scope<'_>) -> Option<Ident> {
    let Some(text) = arg.as_text() else {
        let problem = Problem::new(arg.span, "a name is expected here, not a number or a keyword").label("not a name");
        scope.problem(problem.help(format!("put it in quotes: {}", in_quotes(&arg.value))));
        return None;
    };
    plain(arg, "", scope);
    if text.is_empty() {
        let problem = Problem::new(arg.span, "a name must have at least one character").label("empty");
        scope.problem(problem.help("write the name"));
        return None;
    }
    if text.len() > MAX_NAME_BYTES {
        let message = format!("a name can have at most {MAX_NAME_BYTES} bytes, this one has {}", text.len());
        scope.problem(
            Problem::new(arg.span, message)
                .label("too long")
                .help("PostgreSQL would silently truncate it; choose a shorter name"),
        );
        return None;
    }
    Some(Ident::new(text.clone()))
}

/// A value as a text in quotes.
fn in_quotes(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) | Scalar::Number(text) => format!("`\"{text}\"`"),
        Scalar::Int(number) => format!("`\"{number}\"`"),
        Scalar::Bool(value) => format!("`\"{value}\"`"),
        Scalar::Null => "`\"null\"`".into(),
    }
}

/// One value; `name` is what people call the attribute.
pub(super) fn one(attr: &'static Attr, name: &str, arg: &Arg, scope: &mut Scope<'_>) -> Option<Value> {
    let wrong = |scope: &mut Scope<'_>, wanted: &str, help: Option<String>| {
        let mut problem = Problem::new(arg.span, format!("`{name}` must be {wanted}")).label(format!("not {wanted}"));
        problem.help = help;
        scope.problem(problem);
        None
    };
    plain(arg, attr.name, scope);
    match (attr.shape, &arg.value) {
        (Shape::Flag, Scalar::Bool(b)) => Some(Value::Bool(*b)),
        (Shape::Flag, _) if attr.form == Form::Flag => {
            wrong(scope, "#true or #false", Some(format!("or write the bare word `{name}`")))
        }
        (Shape::Flag, _) => wrong(scope, "#true or #false", Some(format!("write `{name}=#true`, or leave it out"))),
        (Shape::Int, Scalar::Int(i)) => Some(Value::Int(*i)),
        (Shape::Int, _) => wrong(scope, "a whole number", None),
        (Shape::Number, Scalar::Int(i)) => Some(Value::Text(i.to_string().into())),
        (Shape::Number, Scalar::Number(n)) => Some(Value::Text(n.clone())),
        (Shape::Number, _) => wrong(scope, "a number", None),
        (Shape::Options, _) => {
            wrong(scope, "a child node with properties", Some(format!("write `{{ {name} NAME=VALUE }}`")))
        }
        (Shape::Expr, Scalar::Int(i)) => Some(text_value(attr, i.to_string().into())),
        (Shape::Expr, Scalar::Number(n)) => Some(text_value(attr, n.clone())),
        (Shape::Expr, Scalar::Bool(b)) => Some(text_value(attr, b.to_string().into())),
        (_, Scalar::Text(text)) => match attr.shape {
            Shape::Word(words) if !words.contains(&&**text) => {
                let mut problem = Problem::new(arg.span, format!("`{}` is one of {}", attr.name, words.join(", ")))
                    .label("none of them");
                if let Some(near) = nearest(text, words.iter().copied()) {
                    problem = problem.help(format!("did you mean `{near}`?"));
                }
                scope.problem(problem);
                None
            }
            Shape::Expr | Shape::Query => {
                sql_text::check(text, arg.span, name, scope);
                Some(text_value(attr, text.clone()))
            }
            Shape::Type => Some(Value::Type(scope.sql_type(text, arg.span))),
            Shape::Ref(kinds) => scope.resolve(kinds, text, arg.span).map(Value::Ref),
            Shape::Name => name_of(arg, scope).map(|n| Value::Text(n.text())),
            Shape::Names | Shape::Texts | Shape::Refs(_) => many(attr, std::slice::from_ref(arg), scope),
            Shape::Record(_) | Shape::Records(_) => {
                wrong(scope, "a child node", Some(format!("write `{{ {name} … }}`")))
            }
            _ => Some(text_value(attr, text.clone())),
        },
        (Shape::Name | Shape::Names | Shape::Word(_), _) => {
            scope.problem(
                Problem::new(arg.span, format!("`{name}` must be a name"))
                    .label("not a name")
                    .help(format!("put it in quotes: {}", in_quotes(&arg.value))),
            );
            None
        }
        (Shape::Expr | Shape::Query, _) => {
            wrong(scope, "SQL in quotes", Some("leave it out if there is no value".into()))
        }
        // A number is refused even where its digits would do as text: `1.10` and `1.1` are one number and two versions.
        (_, value) => wrong(scope, "a string in quotes", Some(format!("write {}", in_quotes(value)))),
    }
}

/// An annotation that is not read is a mistake; `(name)` before an argument that would otherwise be taken for a flag is not.
fn plain(arg: &Arg, allowed: &str, scope: &mut Scope<'_>) {
    if let Some(annotation) = arg.annotation.as_ref().filter(|a| &***a != allowed) {
        let problem = Problem::new(arg.span, format!("`({annotation})` has no meaning here"));
        scope.problem(problem.label("annotated").help("leave out what is in parentheses"));
    }
}

fn text_value(attr: &Attr, text: Text) -> Value {
    match attr.shape {
        Shape::Expr | Shape::Query => Value::Expr(Expr::new(text.trim())),
        _ => Value::Text(text),
    }
}

pub(super) fn many(attr: &'static Attr, args: &[Arg], scope: &mut Scope<'_>) -> Option<Value> {
    let list = args.iter().filter_map(|arg| match (attr.shape, arg.as_text()) {
        (Shape::Refs(kinds), Some(text)) => scope.resolve(kinds, text, arg.span).map(Value::Ref),
        (Shape::Texts, Some(text)) => {
            plain(arg, attr.name, scope);
            Some(Value::Text(text.clone()))
        }
        (Shape::Names, Some(_)) => name_of(arg, scope).map(|n| Value::Text(n.text())),
        _ => {
            scope.problem(
                Problem::new(arg.span, format!("`{}` must be followed by names", attr.name))
                    .label("not a name")
                    .help("put it in quotes"),
            );
            None
        }
    });
    Some(Value::List(list.collect()))
}

pub(super) fn option_text(name: &str, arg: &Arg) -> Text {
    match &arg.value {
        Scalar::Text(t) | Scalar::Number(t) => format!("{name}={t}").into(),
        Scalar::Int(i) => format!("{name}={i}").into(),
        Scalar::Bool(b) => format!("{name}={b}").into(),
        Scalar::Null => name.into(),
    }
}
