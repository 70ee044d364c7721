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
