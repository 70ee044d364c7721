//! CREATE and CREATE OR REPLACE of routines.

use crate::kinds::Statement;
use crate::kinds::rights::{self, Demand};
use crate::model::{Attrs, Ident, Object, ObjectId};
use crate::sql::{self, reference};

use super::*;

/// CREATE FUNCTION or PROCEDURE.
pub fn create(id: &ObjectId, object: &Object) -> Vec<Statement> {
    vec![Statement::new(definition("CREATE", id, object))]
}

/// CREATE OR REPLACE, which sets everything that ALTER could set and keeps owner, privileges and dependents.
pub fn alter(id: &ObjectId, new: &Object) -> Vec<Statement> {
    vec![Statement::new(definition("CREATE OR REPLACE", id, new))]
}

/// What either of them needs: it always says everything.
pub fn rights(id: &ObjectId, object: &Object, replaces: bool) -> Vec<Demand> {
    let mut out = rights::of_attrs(id.kind(), object, None);
    out.push(rights::language(language(object)));
    out.extend((object.is(LEAKPROOF) || object.get(SUPPORT).is_some()).then(rights::superuser));
    if replaces {
        out.extend(rights::create_beside(id));
        // The language's validator asks for it (src/backend/utils/fmgr/fmgr.c, CheckFunctionValidatorAccess).
        out.push(rights::execute(id));
    }
    out
}

fn language(object: &Object) -> &str {
    object.get(LANGUAGE).map_or("sql", |language| language)
}

fn definition(verb: &str, id: &ObjectId, object: &Object) -> String {
    let (columns, arguments): (Vec<&Attrs>, Vec<&Attrs>) = args(object).into_iter().partition(|a| mode(a) == "table");
    let list = |args: &[&Attrs]| args.iter().map(|a| argument(a)).collect::<Vec<_>>().join(", ");
    let name = sql::schema_path(id, id.name());
    let mut text = format!("{verb} {} {name}({})", id.kind().sql, list(&arguments));
    if !columns.is_empty() {
        text.push_str(&format!(" RETURNS TABLE({})", list(&columns)));
    } else if let Some(returns) = object.get(RETURNS) {
        let setof = if object.is(SETOF) { "SETOF " } else { "" };
        text.push_str(&format!(" RETURNS {setof}{}", returns.as_str()));
    }
    text.push_str(&format!("\n    LANGUAGE {}", sql::name(&Ident::from(language(object)))));
    for word in words(object) {
        text.push(' ');
        text.push_str(&word);
    }
    for setting in object.get(SET).unwrap_or_default() {
        text.push_str(&format!("\n    {}", config::clause(setting)));
    }
    text.push_str(&format!("\n    {}", body(object)));
    text
}

fn argument(arg: &Attrs) -> String {
    let mut out = match mode(arg) {
        "out" => "OUT ".to_string(),
        "inout" => "INOUT ".to_string(),
        "variadic" => "VARIADIC ".to_string(),
        _ => String::new(),
    };
    if let Some(name) = arg.get(ARG_NAME) {
        out.push_str(&format!("{} ", sql::name(&Ident::new(name.clone()))));
    }
    out.push_str(arg.get(ARG_TYPE).map_or("", |t| t.as_str()));
    if let Some(default) = arg.get(ARG_DEFAULT) {
        out.push_str(&format!(" DEFAULT {}", default.as_str()));
    }
    out
}

/// The words between the language and the settings.
fn words(object: &Object) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    if let Some(types) = object.get(TRANSFORM) {
        let types: Vec<String> = types.into_iter().map(|t| format!("FOR TYPE {t}")).collect();
        out.push(format!("TRANSFORM {}", types.join(", ")));
    }
    for (flag, word) in
        [(WINDOW, "WINDOW"), (STRICT, "STRICT"), (SECURITY_DEFINER, "SECURITY DEFINER"), (LEAKPROOF, "LEAKPROOF")]
    {
        if object.is(flag) {
            out.push(word.into());
        }
    }
    out.extend(object.get(VOLATILITY).map(|v| v.to_uppercase()));
    out.extend(object.get(PARALLEL).map(|p| format!("PARALLEL {}", p.to_uppercase())));
    out.extend(object.get(COST).map(|c| format!("COST {}", number(c))));
    out.extend(object.get(ROWS).map(|r| format!("ROWS {}", number(r))));
    out.extend(object.get(SUPPORT).map(|s| match reference::split(s) {
        Ok(parts) => {
            let parts: Vec<String> = parts.into_iter().map(|p| sql::name(&Ident::new(p)).to_string()).collect();
            format!("SUPPORT {}", parts.join("."))
        }
        Err(_) => format!("SUPPORT {}", sql::name(&Ident::new(s.clone()))),
    }));
    out
}

/// Estimates are text in the model; whatever is not a number is left to PostgreSQL to refuse, as a literal.
fn number(text: &str) -> String {
    if text.parse::<f64>().is_ok() { text.to_string() } else { sql::literal(text) }
}

fn body(object: &Object) -> String {
    if let Some(body) = object.get(SQL_BODY) {
        return body.as_str().to_string();
    }
    match (object.get(OBJECT_FILE), object.get(LINK_SYMBOL)) {
        (Some(file), Some(symbol)) => format!("AS {}, {}", sql::literal(file), sql::literal(symbol)),
        (Some(file), None) => format!("AS {}", sql::literal(file)),
        (None, Some(symbol)) => format!("AS {}", sql::literal(symbol)),
        (None, None) => format!("AS {}", dollar_quoted(object.get(BODY).map_or("", |b| b))),
    }
}

/// The body between two dollar quotes that do not occur in it, also not where it meets the closing one.
fn dollar_quoted(body: &str) -> String {
    let tags = ["", "_", "function", "body"].into_iter().map(String::from).chain((1..).map(|n| format!("function{n}")));
    for tag in tags {
        let quote = format!("${tag}$");
        let closed = format!("{body}{quote}");
        if closed.find(&quote) == Some(body.len()) {
            return format!("{quote}{closed}");
        }
    }
    sql::literal(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_quotes_do_not_meet_the_body() {
        assert_eq!(dollar_quoted("SELECT 1"), "$$SELECT 1$$");
        assert_eq!(dollar_quoted("SELECT $$a$$"), "$_$SELECT $$a$$$_$");
        assert_eq!(dollar_quoted("a$"), "$_$a$$_$");
        assert_eq!(dollar_quoted("$$ $_"), "$function$$$ $_$function$");
        assert_eq!(dollar_quoted("$$ $_$ $function$ $body"), "$function1$$$ $_$ $function$ $body$function1$");
    }

    #[test]
    fn tags_are_tried_until_one_is_free() {
        let body = "$$ $_$ $function$ $body$";
        assert!(dollar_quoted(body).starts_with("$function1$"));
    }
}
