//! Options of foreign-data wrappers, servers, user mappings and foreign tables. Of options that hold secrets only the names are kept: their
//! values are never read from a catalog or written to a file, plan or message; they come from the environment of whoever runs a plan.

use std::borrow::Cow;

use crate::kdl::Problem;
use crate::kinds::Statement;
use crate::kinds::scope::Scope;
use crate::model::painted::TELLING;
use crate::model::{Attr, Attrs, Form, Ident, Key, Object, ObjectId, OnChange, Options, Shape, Span, Text, attr};
use crate::sql::{self, lex};

/// What is not a secret, as `name=value`.
pub const OPTIONS: Key<Options> = Key::new("options");
/// What is: a record with the name, and with the variable that holds the value.
pub const SECRET: Key<Vec<Attrs>> = Key::new("secret");
const NAME: Key<Ident> = Key::new("name");
const ENV: Key<Text> = Key::new("env");

/// Variables that plans may read; nothing else of the environment ever reaches a server.
pub const PREFIX: &str = "SETPOINT_SECRET_";

pub const SECRET_ATTR: Attr = attr(
    SECRET,
    Shape::Records(&[
        attr(NAME, Shape::Name, Form::Argument, OnChange::AlterIfSaid, "The option."),
        attr(
            ENV,
            Shape::Text,
            Form::Property,
            OnChange::CreationOnly,
            "The environment variable, `SETPOINT_SECRET_…`, that holds the value when a plan sets it.",
        ),
    ]),
    Form::Repeated,
    // Whether one is there is compared (`same`), never what it is.
    OnChange::AlterIfSaid,
    "A secret option. With `env=` it is set if it is missing; without, its value is left to others. An existing value is never \
     read, changed or removed.",
);

/// The row for `OPTIONS`.
pub const fn options_attr(on_change: OnChange, doc: &'static str) -> Attr {
    attr(OPTIONS, Shape::Options, Form::Child, on_change, doc)
}

/// True for the name of an option whose value is a secret, judging by its name. `mapping`: in a user mapping, where all are that
/// are not known as harmless.
pub fn is_secret(name: &str, mapping: bool) -> bool {
    const HARMLESS: &[&str] = &[
        "user",
        "username",
        "user_name",
        "password_required",
        "sslcert",
        "sslkey",
        "use_scram_passthrough",
        "gssdelegation",
        "dbname",
        "database",
        "schema",
        "fetch_size",
    ];
    let name = name.to_lowercase();
    // An identifier of a secret that is kept elsewhere is not a secret.
    let points_to_one = ["_id", "_name", "_required", "_file", "_path"].iter().any(|end| name.ends_with(end));
    match mapping {
        true => !HARMLESS.contains(&&*name),
        false => !points_to_one && TELLING.iter().any(|part| name.contains(part)),
    }
}

/// Takes the options of a catalog's row, the secret ones by name alone.
pub fn read(list: Vec<String>, mapping: bool, attrs: &mut Attrs) {
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_string();
    let (secrets, open): (Vec<String>, Vec<String>) = list.into_iter().partition(|o| is_secret(&name(o), mapping));
    attrs.set(OPTIONS, Options::some(open));
    let mut names: Vec<String> = secrets.iter().map(|option| name(option)).collect();
    names.sort();
    let records = names.into_iter().map(|name| Attrs::new().with(NAME, Ident::from(name)));
    let records: Vec<Attrs> = records.collect();
    attrs.set(SECRET, (!records.is_empty()).then_some(records));
}

/// Checks what was read from a file: a secret has no value there, and its variable a name that shows its purpose.
pub fn check(id: &ObjectId, mapping: bool, span: Span, scope: &mut Scope<'_>) {
    let Some(object) = scope.load.state.objects_mut().get_mut(id) else { return };
    let span = object.place.unwrap_or(span);
    let mut problems = Vec::new();
    for option in object.get(OPTIONS).unwrap_or_default() {
        let name = option.split('=').next().unwrap_or_default();
        if is_secret(name, mapping) {
            let problem =
                Problem::new(span, format!("option `{name}` may be a secret, and files must not contain secrets"));
            let help = format!("write `secret {name} env={PREFIX}…`, or `secret {name}` to leave its value to others");
            problems.push(problem.help(help));
        }
    }
    let mut secrets: Vec<Attrs> = object.get(SECRET).unwrap_or_default().into_iter().cloned().collect();
    secrets.sort_by_key(|secret| secret.get(NAME));
    for (i, secret) in secrets.iter().enumerate() {
        let name = secret.get(NAME).unwrap_or_else(|| Ident::from(""));
        let name = name.as_str();
        let said = |option: &Text| option.split('=').next() == Some(name);
        let twice = secrets.get(i + 1).and_then(|next| next.get(NAME)).is_some_and(|next| next.as_str() == name);
        if twice || object.get(OPTIONS).unwrap_or_default().into_iter().any(said) {
            problems.push(Problem::new(span, format!("option `{name}` is given twice")));
        }
        let variable = secret.get(ENV).filter(|env| {
            let own = env.strip_prefix(PREFIX).unwrap_or_default();
            own.is_empty() || !own.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        if let Some(env) = variable {
            let message = format!("`{env}` is not a variable that a secret may come from");
            let help =
                format!("its name is `{PREFIX}` and letters, digits or `_`; no other variable is passed to a server");
            problems.push(Problem::new(span, message).help(help));
        }
    }
    if !secrets.is_empty() {
        object.attrs.set(SECRET, secrets);
    }
    problems.into_iter().for_each(|problem| scope.problem(problem));
}

/// True if no secret has to be set or removed between the two.
pub fn same_secrets(old: &Object, new: &Object) -> bool {
    missing(old, new).is_empty() && missing(new, old).is_empty()
}

/// The secrets of `new` that are set from a variable, and that `old` does not have.
fn missing<'a>(old: &Object, new: &'a Object) -> Vec<(Ident, &'a Text)> {
    let there: Vec<Ident> = old.get(SECRET).unwrap_or_default().into_iter().filter_map(|s| s.get(NAME)).collect();
    let said = new.get(SECRET).unwrap_or_default().into_iter().filter_map(|s| Some((s.get(NAME)?, s.get(ENV)?)));
    said.filter(|(name, _)| !there.contains(name)).collect()
}

/// `head OPTIONS (…)`, the statement that makes an object.
pub fn create(head: &str, object: &Object) -> Statement {
    statement(
        head,
        sql::foreign_options(object.get(OPTIONS).unwrap_or_default()),
        "",
        &missing(&Object::default(), object),
    )
}

/// `head OPTIONS (…)`, the statement that alters an object; none if its options stay.
pub fn alter(head: &str, old: &Object, new: &Object, changed: &[&'static str]) -> Option<Statement> {
    let mut entries = Vec::new();
    if changed.contains(&OPTIONS.name) {
        entries =
            sql::foreign_option_changes(&old.get(OPTIONS).unwrap_or_default(), &new.get(OPTIONS).unwrap_or_default());
    }
    let mut secrets = Vec::new();
    if changed.contains(&SECRET.name) {
        secrets = missing(old, new);
        entries.extend(missing(new, old).iter().map(|(name, _)| format!("DROP {}", sql::name(name))));
    }
    (!entries.is_empty() || !secrets.is_empty()).then(|| statement(head, entries, "ADD ", &secrets))
}

/// The setting that carries the value of a variable.
pub fn setting(variable: &str) -> String {
    format!("setpoint.{}", variable.strip_prefix("SETPOINT_").unwrap_or(variable).to_lowercase())
}

/// Secrets are put in by the server, from settings of the session: they are part of no statement that anybody sees, and an error's
/// context, which would show the one that ran, is left behind.
fn statement(head: &str, mut entries: Vec<String>, verb: &str, secrets: &[(Ident, &Text)]) -> Statement {
    let whole = |entries: &[String]| match entries {
        [] => head.to_string(),
        entries => format!("{head} OPTIONS ({})", entries.join(", ")),
    };
    if secrets.is_empty() {
        return Statement::new(whole(&entries));
    }
    entries.iter_mut().for_each(|entry| *entry = entry.replace('%', "%%"));
    entries
        .extend(secrets.iter().map(|(name, _)| format!("{verb}{} %L", sql::name(name).to_string().replace('%', "%%"))));
    let format = whole(&entries).replacen(head, &head.replace('%', "%%"), 1);
    let variables: Vec<Text> = secrets.iter().map(|(_, variable)| (*variable).clone()).collect();
    Statement { secrets: variables.clone(), ..Statement::new(block(&format, &variables)) }
}

/// The block that executes `format` with the values of the variables.
fn block(format: &str, variables: &[Text]) -> String {
    let mut body = String::from("\nBEGIN\n");
    for variable in variables {
        let setting = sql::literal(&setting(variable));
        body.push_str(&format!(
            "    IF pg_catalog.current_setting({setting}, true) IS NULL THEN\n        \
             RAISE EXCEPTION '{UNSET_BEFORE}{variable}{UNSET_BEHIND}';\n    END IF;\n"
        ));
    }
    let values: Vec<String> = variables
        .iter()
        .map(|variable| format!("pg_catalog.current_setting({})", sql::literal(&setting(variable))))
        .collect();
    body.push_str(&format!(
        "{RUN}{}, {});\nEXCEPTION WHEN OTHERS OR query_canceled THEN\n    \
         RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;\nEND\n",
        sql::literal(format),
        values.join(", ")
    ));
    const TAG: &str = "$setpoint$";
    let body = if body.contains(TAG) { sql::literal(&body) } else { format!("{TAG}{body}{TAG}") };
    format!("DO {body}")
}

const UNSET_BEFORE: &str = "the environment variable ";
const UNSET_BEHIND: &str = " is not set";
const RUN: &str = "    EXECUTE pg_catalog.format(";

/// What the server runs in the end, each secret painted over, if the statement is a block that puts secrets in and nothing but that.
pub fn put_in(statement: &str) -> Option<String> {
    let body = lex::strings(statement);
    let strings = lex::strings(body.first()?);
    // Of each variable its setting, the message without it, and its setting again behind the format.
    let count = strings.len().checked_sub(1)? / 3;
    let messages = strings.iter().take(2 * count).skip(1).step_by(2);
    let variables: Option<Vec<Text>> =
        messages.map(|message| Some(message.strip_prefix(UNSET_BEFORE)?.strip_suffix(UNSET_BEHIND)?.into())).collect();
    let format = strings.get(2 * count)?;
    let mut parts = format.split('%').skip(1);
    // `%%` leaves nothing in between, and then the text behind.
    let mut literals = true;
    while let Some(part) = parts.next() {
        literals &= part.starts_with('L') || part.is_empty() && parts.next().is_some();
    }
    let known = count > 0 && literals && only_in_options(format) && statement == block(format, &variables?);
    known.then(|| painted_over(format))
}

/// True if the secrets stand in the OPTIONS with which the statement ends: anywhere else, such as in a default, others could read them.
fn only_in_options(format: &str) -> bool {
    let pieces: Vec<lex::Piece<'_>> = lex::pieces(format).collect();
    let is_options =
        |piece: &lex::Piece<'_>| piece.kind == lex::Kind::Word && piece.text.eq_ignore_ascii_case("options");
    let Some(at) = pieces.iter().rposition(is_options) else { return false };
    let (before, entries) = pieces.split_at(at);
    let entries: String = entries[1..].iter().map(|piece| piece.text).collect();
    let inside = entries.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inside.is_some_and(lex::is_balanced) && !before.iter().any(|piece| piece.text.replace("%%", "").contains('%'))
}

fn painted_over(format: &str) -> String {
    format.split("%%").map(|part| part.replace("%L", "'******'")).collect::<Vec<_>>().join("%")
}

/// A statement that puts secrets in, as people may see it: what the server runs in the end, with each secret painted over. Another
/// statement is what it is.
pub fn shown(statement: &str) -> Cow<'_, str> {
    let lent = format!("pg_catalog.current_setting('{}", setting(PREFIX));
    let run = statement.find(RUN).filter(|_| statement.starts_with("DO $setpoint$") && statement.contains(&lent));
    let Some(rest) = run.and_then(|at| statement.get(at + RUN.len()..)) else { return statement.into() };
    let Some(text) = lex::strings(rest).into_iter().next() else { return statement.into() };
    painted_over(&text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_puts_secrets_in_is_known_by_all_of_its_text() {
        let names = [Ident::from("password"), Ident::from("to%ken")];
        let variables: [Text; 2] = ["SETPOINT_SECRET_A".into(), "SETPOINT_SECRET_B".into()];
        let secrets: Vec<_> = names.into_iter().zip(&variables).collect();
        let block = statement("CREATE SERVER \"50%L\"", vec!["host '100%'".into()], "ADD ", &secrets).sql;
        let whole = "CREATE SERVER \"50%L\" OPTIONS (host '100%', ADD password '******', ADD \"to%ken\" '******')";
        assert_eq!(put_in(&block).as_deref(), Some(whole));
        for (from, to) in [
            ("\nBEGIN\n", "\nBEGIN\n    DELETE FROM t;\n"),
            ("%L, ADD", "%s, ADD"),
            ("'setpoint.secret_a'", "'setpoint.secret_c'"),
            ("CREATE SERVER", "DROP SERVER s; CREATE SERVER '"),
            ("DO ", "DO LANGUAGE l "),
            ("CREATE SERVER", "CREATE SERVER s VERSION %L"),
            ("OPTIONS (", "AS SELECT ("),
        ] {
            let other = block.replacen(from, to, 1);
            assert!(other != block && put_in(&other).is_none(), "{other}");
        }
        assert_eq!(put_in("CREATE SERVER s"), None);
    }

    #[test]
    fn names_tell_secrets() {
        for (name, mapping, secret) in [
            ("password", false, true),
            ("API_KEY", false, true),
            ("api_key_id", false, false),
            ("password_required", true, false),
            ("host", false, false),
            ("host", true, true),
            ("user", true, false),
        ] {
            assert_eq!(is_secret(name, mapping), secret, "{name}");
        }
    }

    #[test]
    fn a_secret_is_put_in_by_the_server() {
        let mut object = Object::default();
        let record = Attrs::new().with(NAME, Ident::from("password")).with(ENV, Text::from("SETPOINT_SECRET_A"));
        object.attrs.set(OPTIONS, Options::some(["host=100%"])).set(SECRET, vec![record]);
        let statement = create("CREATE SERVER s FOREIGN DATA WRAPPER w", &object);
        assert_eq!(statement.secrets, [Text::from("SETPOINT_SECRET_A")]);
        let sql = statement.sql;
        assert!(
            sql.contains("'CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host ''100%%'', password %L)'"),
            "{sql}"
        );
        assert!(sql.contains("current_setting('setpoint.secret_a')"), "{sql}");
        assert_eq!(shown(&sql), "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host '100%', password '******')");
        assert_eq!(shown("DROP SERVER s"), "DROP SERVER s");
        let (nothing, all) = (Object::default(), [OPTIONS.name, SECRET.name]);
        assert!(!same_secrets(&nothing, &object) && same_secrets(&object, &object));
        let back = alter("ALTER SERVER s", &object, &nothing, &all).unwrap();
        assert!(back.secrets.is_empty());
        assert_eq!(back.sql, "ALTER SERVER s OPTIONS (DROP host, DROP password)");
    }
}
