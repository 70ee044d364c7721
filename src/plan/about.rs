//! What a step does to an object, in a few words for people: `bigint not-null`, or `type integer → bigint`.

use crate::kinds::foreign_options;
use crate::model::{Address, Attr, Attrs, Form, Object, ObjectId, OnChange, Shape, State, Value};

use super::graph::Placeholder;

/// Longer texts are truncated.
const LONG: usize = 80;

/// Describes an object that is created.
pub fn made(id: &ObjectId, object: &Object) -> String {
    let parts: Vec<String> = id.kind().attrs.iter().filter_map(|attr| part(attr, object.value(attr.name)?)).collect();
    short(&parts.join(" "))
}

/// How an object changes.
pub fn altered(id: &ObjectId, before: &Object, after: &Object, changed: &[&'static str]) -> String {
    let attrs = changed.iter().filter_map(|name| id.kind().attr(name));
    let parts: Vec<String> =
        attrs.map(|attr| change(id, attr, before.value(attr.name), after.value(attr.name))).collect();
    short(&parts.join(", "))
}

/// What a type becomes that is made again: its own attributes, or those of the parts that come with it.
pub fn rebuilt(id: &ObjectId, own: String, before: &State, after: &State) -> String {
    let parts = |state: &State| -> Vec<ObjectId> {
        let inside = |part: &&ObjectId| part.parent() == Some(id) && part.kind().folds;
        state.iter().map(|(part, _)| part).filter(inside).cloned().collect()
    };
    let mut all = parts(before);
    all.extend(parts(after).into_iter().filter(|part| !before.has(part)));
    let one = |part: &ObjectId| {
        let name = format!("{} {}", part.kind().word, part.name().as_str());
        match (before.get(part), after.get(part)) {
            (Some(old), Some(new)) if old != new => {
                let attrs = part.kind().attrs.iter().map(|attr| attr.name);
                let changed: Vec<&'static str> = attrs.filter(|attr| old.value(attr) != new.value(attr)).collect();
                Some(format!("{name} {}", altered(part, old, new, &changed)))
            }
            (None, Some(new)) => Some(format!("+ {name} {}", made(part, new))),
            (Some(_), None) => Some(format!("- {name}")),
            _ => None,
        }
    };
    let texts = (!own.is_empty()).then_some(own).into_iter().chain(all.iter().filter_map(one));
    texts.collect::<Vec<_>>().join("; ")
}

/// Why there is a placeholder on one side of a step. All steps of the object say the same, since together they are what happens to it.
pub fn stands_in(placeholder: &Placeholder) -> String {
    let why = match placeholder.circle.as_slice() {
        [] => "it names itself".to_string(),
        [other] => format!("it and {other} need each other"),
        [other, more @ ..] => format!("it, {other} and {} more need each other", more.len()),
    };
    format!("a temporary placeholder, because {why}")
}

/// One attribute of an object that is created. Whole queries and bodies, and derived attributes, are left out.
fn part(attr: &Attr, value: &Value) -> Option<String> {
    let derived = matches!(attr.shape, Shape::Flag | Shape::Text) || attr.on_change == OnChange::CreationOnly;
    if long(attr) || (attr.form == Form::Custom && derived) {
        return None;
    }
    Some(match (value, attr.form) {
        (Value::Bool(false), _) => return None,
        (Value::Bool(true), _) => attr.name.to_string(),
        (_, Form::Argument | Form::Arguments) => text(value),
        (Value::List(_), Form::Custom) if matches!(attr.shape, Shape::Refs(_) | Shape::Records(_)) => {
            // The columns of a key are what it is.
            let names = format!("({})", text(value));
            if matches!(attr.name, "columns" | "key" | "target") { names } else { format!("{} {names}", attr.name) }
        }
        _ => format!("{} {}", attr.name, text(value)),
    })
}

fn change(id: &ObjectId, attr: &Attr, before: Option<&Value>, after: Option<&Value>) -> String {
    let name = attr.name;
    // The only thing that a facet says needs no name.
    let prefix = if id.kind().address == Address::Facet && id.kind().attrs.len() == 1 {
        String::new()
    } else {
        format!("{name} ")
    };
    match (before, after) {
        _ if long(attr) => format!("another {name}"),
        (None | Some(Value::Bool(false)), Some(Value::Bool(true))) => format!("now {name}"),
        (Some(Value::Bool(true)), None | Some(Value::Bool(false))) => format!("no longer {name}"),
        (Some(Value::List(old)), Some(Value::List(new))) => format!("{prefix}{}", items(&texts(old), &texts(new))),
        (Some(Value::Options(old)), Some(Value::Options(new))) => {
            let list = |options: &crate::model::Options| options.0.iter().map(|o| clean(o)).collect::<Vec<_>>();
            format!("{prefix}{}", items(&list(old), &list(new)))
        }
        (old, new) => {
            let end = |value: Option<&Value>| value.map_or_else(|| attr.default.unwrap_or("none").to_string(), text);
            format!("{prefix}{} → {}", end(old), end(new))
        }
    }
}

/// What came and what went between two lists.
fn items(old: &[String], new: &[String]) -> String {
    let came = new.iter().filter(|item| !old.contains(item)).map(|item| format!("+ {item}"));
    let went = old.iter().filter(|item| !new.contains(item)).map(|item| format!("- {item}"));
    let all: Vec<String> = went.chain(came).collect();
    if all.is_empty() { "in another order".into() } else { all.join(" ") }
}

/// True for what is too long to be shown, or should not be.
fn long(attr: &Attr) -> bool {
    matches!(attr.shape, Shape::Query | Shape::Body) || attr.name == foreign_options::SECRET.name
}

fn texts(list: &[Value]) -> Vec<String> {
    list.iter().map(text).collect()
}

/// A value on one line.
fn text(value: &Value) -> String {
    match value {
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) if text.is_empty() || text.contains(char::is_whitespace) => format!("\"{}\"", clean(text)),
        Value::Text(text) => clean(text),
        Value::Type(sql_type) => clean(sql_type.as_str().strip_prefix("public.").unwrap_or(sql_type.as_str())),
        Value::Expr(expression) => clean(expression.as_str()),
        Value::Ref(id) => reference(id),
        Value::List(list) => texts(list).join(", "),
        Value::Options(options) => options.0.iter().map(|o| clean(o)).collect::<Vec<_>>().join(", "),
        Value::Record(record) => words(record),
    }
}

/// A record's values, named where the name is not plain: `customer`, `lower(email) order desc`.
fn words(record: &Attrs) -> String {
    let one = |(name, value): (&'static str, &Value)| match value {
        Value::Bool(true) => name.to_string(),
        Value::Ref(_) | Value::Expr(_) | Value::Type(_) => text(value),
        _ if name == "name" => text(value),
        _ => format!("{name} {}", text(value)),
    };
    record.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A column by its own name, anything else by its path, without `public`.
fn reference(id: &ObjectId) -> String {
    if id.kind().address == Address::MemberOf {
        return clean(id.name().as_str());
    }
    let path = id.path();
    clean(path.strip_prefix("public.").unwrap_or(&path))
}

/// On one line, without what a terminal would obey.
fn clean(text: &str) -> String {
    let words: Vec<String> =
        text.split_whitespace().map(|word| word.chars().filter(|c| !c.is_control()).collect()).collect();
    short(&words.join(" "))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default().trim_end()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, scope::schema_id};
    use crate::model::{Key, SqlType, Text};

    fn of(word: &str, name: &str) -> ObjectId {
        ObjectId::new(find(word).unwrap().kind(), Some(schema_id("public")), name)
    }

    #[test]
    fn objects_in_a_few_words() {
        let table = of("table", "orders");
        let column = ObjectId::new(find("column").unwrap().kind(), Some(table), "total");
        let (key, not_null) = (Key::<SqlType>::new("type"), Key::<bool>::new("not-null"));
        let old = Object::new(Attrs::new().with(key, SqlType::new("integer")));
        let new = Object::new(Attrs::new().with(key, SqlType::new("bigint")).with(not_null, true));
        assert_eq!(made(&column, &new), "bigint not-null");
        assert_eq!(altered(&column, &old, &new, &["type", "not-null"]), "type integer → bigint, now not-null");
        assert_eq!(altered(&column, &new, &old, &["not-null"]), "no longer not-null");
        let comment = ObjectId::facet(find("comment").unwrap().kind(), column);
        let said = |text: &str| Object::new(Attrs::new().with(Key::<Text>::new("text"), Text::from(text)));
        assert_eq!(altered(&comment, &said("a\u{1b}[31m b"), &said("c"), &["text"]), "\"a[31m b\" → c");
        assert!(made(&comment, &said(&"long ".repeat(50))).ends_with('…'));
    }

    #[test]
    fn lists_show_what_came_and_went() {
        let values = Key::<Vec<Text>>::new("values");
        let status = of("enum", "status");
        let with = |list: &[&str]| {
            Object::new(Attrs::new().with(values, list.iter().map(|v| Text::from(*v)).collect::<Vec<_>>()))
        };
        let between = |a: &[&str], b: &[&str]| altered(&status, &with(a), &with(b), &["values"]);
        assert_eq!(between(&["a", "b"], &["a", "b", "c d"]), "values + \"c d\"");
        assert_eq!(between(&["a", "b"], &["c", "a"]), "values - b + c");
        assert_eq!(between(&["a", "b"], &["b", "a"]), "values in another order");
        assert_eq!(made(&status, &with(&["a", "b"])), "a, b");
    }

    #[test]
    fn queries_and_secrets_say_nothing() {
        let view = of("view", "v");
        let sql = Key::<crate::model::Expr>::new("sql");
        let query = |text: &str| Object::new(Attrs::new().with(sql, crate::model::Expr::new(text)));
        assert_eq!(made(&view, &query("SELECT 1")), "");
        assert_eq!(altered(&view, &query("SELECT 1"), &query("SELECT 2"), &["sql"]), "another sql");
    }
}
