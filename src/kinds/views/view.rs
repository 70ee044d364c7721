//! Views: `view open_orders { sql "SELECT …" }`.

use crate::catalog::{Book, Row, Version};
use crate::kdl::Node;
use crate::kinds::generic;
use crate::kinds::held::{self, Held};
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, LockMode, Room, Statement};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options, Result,
    Shape, State, Text, Within, attr,
};
use crate::sql;

use super::query::{stored, trimmed};

const SECURITY_BARRIER: Key<bool> = Key::new("security-barrier");
const SECURITY_INVOKER: Key<bool> = Key::new("security-invoker");
const CHECK_OPTION: Key<Text> = Key::new("check-option");
const WITH: Key<Options> = Key::new("with");
const SQL: Key<Expr> = Key::new("sql");

static ATTRS: [Attr; 5] = [
    attr(
        SECURITY_BARRIER,
        Shape::Flag,
        Form::Flag,
        OnChange::Alter,
        "The view's conditions are evaluated before those of its users, so that no row leaks.",
    ),
    attr(
        SECURITY_INVOKER,
        Shape::Flag,
        Form::Flag,
        OnChange::Alter,
        "Access is checked with the privileges of the user of the view, not of its owner (since 15).",
    )
    .since(15),
    attr(
        CHECK_OPTION,
        Shape::Word(&["local", "cascaded"]),
        Form::Property,
        OnChange::Alter,
        "Rows written through the view must be visible in it.",
    ),
    attr(
        WITH,
        Shape::Options,
        Form::Child,
        OnChange::Alter,
        "Options with another value than the words above give them: `security_barrier=on`, `security_invoker=false`.",
    ),
    attr(SQL, Shape::Query, Form::Child, OnChange::Replace, "The query."),
];

pub static KIND: Kind = Kind {
    word: "view",
    sql: "VIEW",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Relation,
    attrs: &ATTRS,
    folds: false,
    doc: "A named query.",
};

pub struct View;
pub static ROOM: View = View;

impl Room for View {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_CLASS)
    }

    fn rights(&self, id: &ObjectId, _: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        let replaces = changed.is_some_and(|changed| changed.contains(&SQL.name));
        rights::create_beside(id).filter(|_| replaces).into_iter().collect()
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(object) = generic::parse(&KIND, node, scope) else { return };
        let with = object.get(WITH).unwrap_or_default().into_iter().cloned().collect();
        say(with, &mut object.attrs);
    }

    fn since(&self, object: &Object) -> Option<(u32, String)> {
        let with = object.get(WITH).unwrap_or_default();
        with.iter().any(|option| option.starts_with("security_invoker")).then(|| (15, "security_invoker".to_string()))
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(SQL).is_none().then(|| "it has no query: `view NAME { sql \"SELECT …\" }`".to_string())
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT c.oid, r.oid, c.reltype, t.typarray, c.relnamespace, c.relname, c.reloptions, pg_get_viewdef(c.oid) \
             FROM pg_class c JOIN pg_type t ON t.oid = c.reltype JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename = '_RETURN' \
             WHERE c.relkind = 'v' AND c.oid >= 16384 AND c.relpersistence <> 't' ORDER BY c.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        super::query::name(&KIND, row, book)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let options: Vec<String> = row.next();
        let mut attrs = Attrs::new();
        say(options.into_iter().map(Text::from).collect(), &mut attrs);
        attrs.set(SQL, stored(&row.text()));
        Some(Object::new(attrs))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(format!("CREATE VIEW {}", definition(id, object)))])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let alter = |sql: String| Statement::new(sql).locks(LockMode::AccessExclusive, id);
        if changed.contains(&SQL.name) {
            // The whole definition, options included.
            return Ok(vec![alter(format!("CREATE OR REPLACE VIEW {}", definition(id, new)))]);
        }
        let check = |object: &Object| object.get(CHECK_OPTION).map(|value| Text::from(format!("check_option={value}")));
        let all = |object: &Object| options(object).chain(check(object)).collect::<Vec<_>>();
        let changes = sql::option_changes(&all(old).iter().collect::<Vec<_>>(), &all(new).iter().collect::<Vec<_>>());
        Ok(changes.into_iter().map(|what| alter(format!("ALTER VIEW {} {what}", sql::path(id)))).collect())
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(format!("DROP {}", sql::target(id))).locks(LockMode::AccessExclusive, id)])
    }
}

/// What follows `CREATE VIEW`.
fn definition(id: &ObjectId, object: &Object) -> String {
    let options: Vec<Text> = options(object).collect();
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", sql::options(options.iter())) };
    let query = object.get(SQL).map_or("", trimmed);
    // On a separate line: the query may end with a comment.
    let check =
        object.get(CHECK_OPTION).map_or_else(String::new, |o| format!("\nWITH {} CHECK OPTION", o.to_uppercase()));
    format!("{}{with} AS\n{query}{check}", sql::path(id))
}

/// The flags, and the options that they stand for.
const FLAGS: [(Key<bool>, &str); 2] =
    [(SECURITY_BARRIER, "security_barrier=true"), (SECURITY_INVOKER, "security_invoker=true")];

/// The options of a view as the catalog keeps them, but for its check option.
fn options(object: &Object) -> impl Iterator<Item = Text> + use<> {
    let flags: Vec<Text> =
        FLAGS.iter().filter(|(flag, _)| object.is(*flag)).map(|(_, option)| Text::from(*option)).collect();
    let with: Vec<Text> = object.get(WITH).unwrap_or_default().into_iter().cloned().collect();
    flags.into_iter().chain(with)
}

/// Says each option as files do: in a word of its own, or in `with` if the word would give it another value.
fn say(options: Vec<Text>, attrs: &mut Attrs) {
    let mut with = Vec::new();
    for option in options {
        if let Some((flag, _)) = FLAGS.iter().find(|(_, said)| **said == *option) {
            attrs.set(*flag, true);
        } else if let Some(value @ ("local" | "cascaded")) = option.strip_prefix("check_option=") {
            attrs.set(CHECK_OPTION, Text::from(value));
        } else {
            with.push(option);
        }
    }
    attrs.set(WITH, Options::some(with));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::schema_id;
    use crate::model::State;

    fn view() -> ObjectId {
        ObjectId::new(&KIND, Some(schema_id("public")), "open_orders")
    }

    #[test]
    fn the_check_option_stands_behind_the_query() {
        let (state, query) = (State::default(), "SELECT id FROM orders -- open ones\n;");
        let cx = Context::new(Version(150_000), &state);
        let attrs = Attrs::new()
            .with(SECURITY_BARRIER, true)
            .with(CHECK_OPTION, Text::from("local"))
            .with(SQL, Expr::new(query));
        let sql = ROOM.create(&view(), &Object::new(attrs), &[], &cx).unwrap().remove(0).sql;
        assert_eq!(
            sql,
            "CREATE VIEW public.open_orders WITH (security_barrier='true') AS\nSELECT id FROM orders -- open ones\nWITH LOCAL CHECK OPTION"
        );
    }

    #[test]
    fn a_new_query_takes_the_place_of_the_old_one() {
        let state = State::default();
        let cx = Context::new(Version(150_000), &state);
        let old = Object::new(Attrs::new().with(SQL, Expr::new("SELECT 1 AS a")));
        let new = Object::new(Attrs::new().with(SECURITY_BARRIER, true).with(SQL, Expr::new("SELECT 1 AS a, 2 AS b;")));
        let out = ROOM.alter(&view(), &old, &new, &[SECURITY_BARRIER.name, SQL.name], &cx).unwrap();
        let sql: Vec<&str> = out.iter().map(|s| s.sql.as_str()).collect();
        assert_eq!(
            sql,
            ["CREATE OR REPLACE VIEW public.open_orders WITH (security_barrier='true') AS\nSELECT 1 AS a, 2 AS b"]
        );
    }

    #[test]
    fn an_option_that_a_word_gives_the_same_value_is_that_word() {
        let mut attrs = Attrs::new();
        say(["security_barrier=true", "check_option=local", "security_invoker=off"].map(Text::from).into(), &mut attrs);
        let object = Object::new(attrs);
        assert!(object.is(SECURITY_BARRIER) && !object.is(SECURITY_INVOKER));
        assert_eq!(object.get(CHECK_OPTION).map(|value| value.to_string()).as_deref(), Some("local"));
        assert_eq!(object.get(WITH), Some(vec![&Text::from("security_invoker=off")]));
        assert_eq!(ROOM.since(&object).map(|(major, _)| major), Some(15));
    }

    #[test]
    fn options_are_altered_in_place() {
        let state = State::default();
        let cx = Context::new(Version(150_000), &state);
        let old = Object::new(Attrs::new().with(SECURITY_BARRIER, true));
        let new = Object::new(Attrs::new().with(CHECK_OPTION, Text::from("cascaded")));
        let out = ROOM.alter(&view(), &old, &new, &[SECURITY_BARRIER.name, CHECK_OPTION.name], &cx).unwrap();
        let sql: Vec<&str> = out.iter().map(|s| s.sql.as_str()).collect();
        assert_eq!(
            sql,
            [
                "ALTER VIEW public.open_orders SET (check_option='cascaded')",
                "ALTER VIEW public.open_orders RESET (security_barrier)"
            ]
        );
    }
}
