//! A name in a file means what its author means: another role's function in `public` that matches better is not mistaken for it.

use crate::support::{Sandbox, TestDb};

#[test]
fn a_strangers_function_is_not_taken_for_a_built_in_one() {
    let db = TestDb::with("CREATE TABLE seen (who text)");
    let role = format!("mallory_names_{}", std::process::id());
    let sandbox = Sandbox::new(&db);
    sandbox.write("setpoint.kdl", "manage { exclude \"function public.*\" }\n");
    sandbox.ok(&["pull"]);
    sandbox.write("schema/u.kdl", "table u {\n    column a \"varchar(20)\"\n    check a_low \"lower(a) = a\"\n}\n");
    sandbox.ok(&["plan", "--save", "u"]);
    db.execute(&format!(
        "CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role}; SET SESSION AUTHORIZATION {role}; \
         CREATE FUNCTION public.lower(varchar) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'; RESET SESSION AUTHORIZATION"
    ));
    let planned = sandbox.run(&["plan"]);
    let applied = sandbox.run(&["apply", "--auto-approve", "--allow", "all"]);
    let made = db.value("SELECT to_regclass('public.u') IS NOT NULL");
    db.execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
    for outcome in [planned, applied] {
        assert_eq!(outcome.code, 3, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains("`lower` may mean") && outcome.stderr.contains(&role), "{}", outcome.stderr);
    }
    assert_eq!(made, "f");
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
}

/// What mallory makes in `app`, though something of the name is declared in `public`.
struct Case {
    make: &'static str,
    drop: &'static str,
    /// What uses the name: a condition of a check, or the query of a view.
    text: &'static str,
    /// What the message calls what mallory made.
    told: &'static str,
    /// PostgreSQL prints it with its schema, so that the way back is safe.
    printed_whole: bool,
}

const CASES: &[Case] = &[
    Case {
        make: "CREATE FUNCTION app.lower(varchar) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'",
        drop: "DROP FUNCTION app.lower(varchar)",
        text: "lower(a) = a",
        told: "`lower` may mean function app.lower(character varying) of",
        printed_whole: false,
    },
    Case {
        make: "CREATE FUNCTION app.differ(varchar, varchar) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'; \
            CREATE OPERATOR app.<> (FUNCTION = app.differ, LEFTARG = varchar, RIGHTARG = varchar)",
        drop: "DROP FUNCTION app.differ(varchar, varchar) CASCADE",
        text: "a <> 'x'",
        told: r#"`<>` may mean operator app."<>"(character varying, character varying) of"#,
        printed_whole: false,
    },
    Case {
        make: "CREATE FUNCTION app.differ(varchar, varchar) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'; \
            CREATE OPERATOR app.<> (FUNCTION = app.differ, LEFTARG = varchar, RIGHTARG = varchar)",
        drop: "DROP FUNCTION app.differ(varchar, varchar) CASCADE",
        text: "a NOT IN ('x', 'y')",
        told: r#"`<>` may mean operator app."<>"(character varying, character varying) of"#,
        printed_whole: false,
    },
    Case {
        make: "CREATE DOMAIN app.word AS text CHECK (value <> 'never')",
        drop: "DROP DOMAIN app.word",
        text: "a::word <> ''",
        told: "`word` may mean domain app.word of",
        printed_whole: true,
    },
    Case {
        make: "CREATE TYPE app.word AS ENUM ('a')",
        drop: "DROP TYPE app.word",
        text: "CAST(a AS word) <> ''",
        told: "`word` may mean enum app.word of",
        printed_whole: true,
    },
    Case {
        make: "CREATE TABLE app.orders (a text)",
        drop: "DROP TABLE app.orders",
        text: "SELECT a FROM orders",
        told: "`orders` may mean table app.orders of",
        printed_whole: true,
    },
    Case {
        make: "CREATE VIEW app.orders AS SELECT 'x' AS a",
        drop: "DROP VIEW app.orders",
        text: "SELECT u.a FROM u, orders",
        told: "`orders` may mean view app.orders of",
        printed_whole: true,
    },
    Case {
        make: "CREATE TABLE app.orders (a text)",
        drop: "DROP TABLE app.orders",
        text: "row(a)::orders IS NOT NULL",
        told: "`orders` may mean table app.orders of",
        printed_whole: true,
    },
    Case {
        make: "CREATE COLLATION app.plain (locale = 'POSIX')",
        drop: "DROP COLLATION app.plain",
        text: "a < 'x' COLLATE plain",
        told: "`plain` may mean collation app.plain of",
        printed_whole: true,
    },
    Case {
        make: "CREATE TEXT SEARCH CONFIGURATION app.english_too (COPY = pg_catalog.simple)",
        drop: "DROP TEXT SEARCH CONFIGURATION app.english_too",
        text: "to_tsvector('english_too', a) IS NOT NULL",
        told: "`english_too` may mean text-search-configuration app.english_too of",
        printed_whole: true,
    },
    Case {
        make: "CREATE TEXT SEARCH DICTIONARY app.stem (TEMPLATE = pg_catalog.simple)",
        drop: "DROP TEXT SEARCH DICTIONARY app.stem",
        text: "ts_lexize('stem', a) IS NOT NULL",
        told: "`stem` may mean text-search-dictionary app.stem of",
        printed_whole: true,
    },
];

/// What the names mean.
const DECLARED: &str = "domain word text\ntable orders {\n    column a text\n}\ncollation plain locale=\"C\"\n\
    text-search-configuration english_too\ntext-search-dictionary stem template=simple\n";

impl Case {
    /// What uses the name, and its node in the schema `app`.
    fn node(&self) -> (&'static str, String) {
        match self.text.starts_with("SELECT") {
            true => ("view app.w", format!("view w {{ sql \"{}\"; }}", self.text)),
            false => ("check app.u.a_ok", format!("check a_ok \"{}\"", self.text)),
        }
    }
}

#[test]
fn a_strangers_name_is_refused_by_plan_apply_and_rollback() {
    for (at, case) in CASES.iter().enumerate() {
        let (db, id) = (TestDb::new(), format!("{}_{at}", std::process::id()));
        // Every other case is a superuser's, the rest are an ordinary owner's.
        let (mallory, owner) = (format!("mallory_word_{id}"), format!("owner_word_{id}"));
        db.execute(&format!(
            "CREATE ROLE {mallory}; CREATE ROLE {owner} LOGIN; CREATE SCHEMA app; ALTER SCHEMA app OWNER TO {owner}; \
             GRANT CREATE, USAGE ON SCHEMA app TO {mallory}; GRANT CREATE, USAGE ON SCHEMA public TO {owner}; \
             DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {owner}', current_database()); END $$"
        ));
        let mut sandbox = Sandbox::new(&db);
        if at % 2 == 1 {
            let as_owner = db.url().replacen(&format!("//{}@", db.connect.user()), &format!("//{owner}@"), 1);
            sandbox.set("DATABASE_URL", &as_owner);
        }
        let mallorys = |sql: &str| db.execute(&format!("SET ROLE {mallory}; {sql}"));
        let kinds = ["function", "operator", "domain", "enum", "collation", "text-search-configuration"];
        let left_out: Vec<String> = kinds.iter().map(|kind| format!("\"{kind} app.*\"")).collect();
        sandbox.write(
            "setpoint.kdl",
            &format!(
                "manage {{\n    schema app public\n    owners #false\n    grants #false\n    exclude {} \"text-search-dictionary app.*\" \
                 \"table app.orders\" \"view app.orders\"\n}}\n",
                left_out.join(" ")
            ),
        );
        sandbox.write("schema/word.kdl", DECLARED);
        let table = |node: &str| {
            let (inside, beside) = if node.starts_with("view") { ("", node) } else { (node, "") };
            let table = format!("table u {{\n        column a \"varchar(20)\"\n        {inside}\n    }}");
            sandbox.write("schema/u.kdl", &format!("schema app {{\n    {table}\n    {beside}\n}}\n"))
        };
        let (user, node) = case.node();
        table("");
        sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
        db.execute("INSERT INTO app.u VALUES ('a')");
        table(&node);
        sandbox.ok(&["plan", "--save", "two"]);
        mallorys(case.make);
        let mut refused = vec![sandbox.run(&["plan"]), sandbox.run(&["apply", "--auto-approve", "--allow", "all"])];
        mallorys(case.drop);
        sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
        table("");
        sandbox.ok(&["push", "three", "--auto-approve", "--allow", "all"]);
        mallorys(case.make);
        refused.push(sandbox.run(&["rollback", "-1", "--auto-approve", "--allow", "all"]));
        let made = db.value(
            "SELECT (SELECT count(*) FROM pg_constraint WHERE conname = 'a_ok') + (SELECT count(*) FROM pg_class WHERE relname = 'w')",
        );
        mallorys(case.drop);
        let told = case.told;
        if case.printed_whole {
            assert_eq!((refused.pop().map(|outcome| outcome.code), made.as_str()), (Some(0), "1"), "{told}");
        } else {
            assert_eq!(made, "0", "{told}");
        }
        for (outcome, command) in refused.iter().zip(["plan", "apply", "rollback"]) {
            assert_eq!(outcome.code, 3, "{command} {told}: {outcome:?}");
            assert!(outcome.stderr.contains(&format!("{told} {mallory}")), "{command}: {outcome:?}");
            assert!(outcome.stderr.contains(&format!("used by {user}: ")), "{command}: {outcome:?}");
            assert!(command == "rollback" || outcome.stderr.contains(case.text), "{command}: {outcome:?}");
            let way = if told.starts_with("`<>`") { "write `OPERATOR(pg_catalog.<>)`" } else { "this one is `app." };
            assert!(outcome.stderr.contains(way), "{command}: {outcome:?}");
        }
        if !case.printed_whole {
            sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
        }
        assert_eq!(db.value("SELECT string_agg(a, ',') FROM app.u"), "a");
        // The way that the message names.
        mallorys(case.make);
        if case.make.starts_with("CREATE FUNCTION app.lower") {
            mallorys("GRANT EXECUTE ON FUNCTION app.lower(varchar) TO PUBLIC");
            table("check a_own \"app.lower(a) = a\"");
            sandbox.ok(&["plan"]);
        }
        if told.starts_with("`<>`") {
            table("check a_own \"a OPERATOR(pg_catalog.<>) 'x'\"");
            sandbox.ok(&["plan"]);
        }
        if told.starts_with("`orders`") {
            table("view w { sql \"SELECT a FROM public.orders\"; }");
            sandbox.ok(&["plan"]);
        }
        db.execute(&format!("DROP OWNED BY {mallory} CASCADE; DROP ROLE {mallory}; REASSIGN OWNED BY {owner} TO postgres; DROP OWNED BY {owner}; DROP ROLE {owner}"));
    }
}

#[test]
fn what_comes_first_in_the_path_is_no_strangers() {
    let db = TestDb::new();
    let role = format!("mallory_later_{}", std::process::id());
    let sandbox = Sandbox::new(&db);
    sandbox.write("setpoint.kdl", "manage {\n    schema app\n    grants #false\n}\n");
    let text = "schema app {\n    table orders {\n        column a text\n    }\n    enum word a b\n    view w {\n        \
        sql \"WITH names AS (SELECT a FROM orders) SELECT names.a, CAST('a' AS word) AS b, CAST('x' AS text) AS c FROM names\"\n    }\n}\n";
    sandbox.write("schema/a.kdl", text);
    // In `public`, where the path gets to last, all the names are another's; and what a query of the text is called, and a built-in type.
    db.execute(&format!(
        "CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role}; SET ROLE {role}; CREATE TABLE public.orders (a int); \
         CREATE TYPE public.word AS ENUM ('x'); CREATE TABLE public.names (a int); CREATE DOMAIN public.text AS pg_catalog.text"
    ));
    sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT * FROM app.w"), [""; 0]);
    sandbox.ok(&["rollback", "--to", "0", "--auto-approve", "--allow", "all"]);
    db.execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
}
