//! A name in a file means what its author means: another role's function in `public` that fits better is not taken for it.

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

/// What mallory makes in `app`, how the check of a table uses its name, and what the message calls it.
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        "CREATE FUNCTION app.lower(varchar) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'",
        "DROP FUNCTION app.lower(varchar)",
        "lower(a) = a",
        "`lower` may mean function app.lower(character varying) of",
    ),
    (
        "CREATE FUNCTION app.differ(varchar, varchar) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'; \
         CREATE OPERATOR app.<> (FUNCTION = app.differ, LEFTARG = varchar, RIGHTARG = varchar)",
        "DROP FUNCTION app.differ(varchar, varchar) CASCADE",
        "a <> 'x'",
        r#"`<>` may mean operator app."<>"(character varying, character varying) of"#,
    ),
    (
        "CREATE DOMAIN app.word AS text CHECK (value <> 'never')",
        "DROP DOMAIN app.word",
        "a::word <> ''",
        "`word` may mean domain app.word of",
    ),
    (
        "CREATE TYPE app.word AS ENUM ('a')",
        "DROP TYPE app.word",
        "CAST(a AS word) <> ''",
        "`word` may mean enum app.word of",
    ),
];

#[test]
fn a_strangers_name_is_refused_by_plan_apply_and_rollback() {
    for (at, (make, drop, check, told)) in CASES.iter().enumerate() {
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
            sandbox.set(
                "DATABASE_URL",
                &db.url().replacen(&format!("//{}@", db.connect.user()), &format!("//{owner}@"), 1),
            );
        }
        let mallorys = |sql: &str| db.execute(&format!("SET ROLE {mallory}; {sql}"));
        sandbox.write(
            "setpoint.kdl",
            "manage {\n    schema app public\n    owners #false\n    grants #false\n    exclude \"function app.*\" \"operator app.*\" \"domain app.*\" \"enum app.*\"\n}\n",
        );
        sandbox.write("schema/word.kdl", "domain word text\n");
        let table = |check: &str| {
            sandbox.write(
                "schema/u.kdl",
                &format!(
                    "schema app {{\n    table u {{\n        column a \"varchar(20)\"\n        {check}\n    }}\n}}\n"
                ),
            )
        };
        table("");
        sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
        db.execute("INSERT INTO app.u VALUES ('a')");
        table(&format!("check a_ok \"{check}\""));
        sandbox.ok(&["plan", "--save", "two"]);
        mallorys(make);
        let mut refused = vec![sandbox.run(&["plan"]), sandbox.run(&["apply", "--auto-approve", "--allow", "all"])];
        mallorys(drop);
        sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
        table("");
        sandbox.ok(&["push", "three", "--auto-approve", "--allow", "all"]);
        mallorys(make);
        refused.push(sandbox.run(&["rollback", "-1", "--auto-approve", "--allow", "all"]));
        let checks = db.value("SELECT count(*) FROM pg_constraint WHERE conname = 'a_ok'");
        mallorys(drop);
        // PostgreSQL prints types of other schemas than pg_catalog with their schema, so that the way back is safe.
        let printed_whole = check.contains("word");
        if printed_whole {
            assert_eq!((refused.pop().map(|outcome| outcome.code), checks.as_str()), (Some(0), "1"), "{told}");
        } else {
            assert_eq!(checks, "0", "{told}");
        }
        for (outcome, command) in refused.iter().zip(["plan", "apply", "rollback"]) {
            assert_eq!(outcome.code, 3, "{command} {told}: {outcome:?}");
            assert!(outcome.stderr.contains(&format!("{told} {mallory}")), "{command}: {outcome:?}");
            assert!(outcome.stderr.contains("used by check app.u.a_ok: "), "{command}: {outcome:?}");
            assert!(command == "rollback" || outcome.stderr.contains(check), "{command}: {outcome:?}");
            assert!(outcome.stderr.contains("for this one"), "{command}: {outcome:?}");
        }
        if !printed_whole {
            sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
        }
        assert_eq!(db.value("SELECT string_agg(a, ',') FROM app.u"), "a");
        // The way that the message names.
        mallorys(make);
        if let (Some(("CREATE FUNCTION app.lower", _)), false) = (make.split_once('('), at % 2 == 1) {
            mallorys("GRANT EXECUTE ON FUNCTION app.lower(varchar) TO PUBLIC");
            table("check a_own \"app.lower(a) = a\"");
            sandbox.ok(&["plan"]);
        }
        db.execute(&format!("DROP OWNED BY {mallory} CASCADE; DROP ROLE {mallory}; REASSIGN OWNED BY {owner} TO postgres; DROP OWNED BY {owner}; DROP ROLE {owner}"));
    }
}
