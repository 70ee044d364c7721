//! Literals that are only parsed: to read the text of an array, a range or a row over a domain, the server runs the domain's checks.

use crate::support::{Sandbox, TestDb};

/// Makes a role whose domain's check leaves a mark that no rollback takes back, if a superuser runs it.
fn trapped(role: &str) -> String {
    format!(
        "CREATE ROLE {role}; CREATE SCHEMA plot AUTHORIZATION {role}; SET ROLE {role}; CREATE SEQUENCE plot.ran; \
         CREATE FUNCTION plot.trap(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN \
           IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN PERFORM nextval('plot.ran'); END IF; \
           RETURN true; END $$; \
         CREATE DOMAIN plot.word AS text CHECK (plot.trap(VALUE)); CREATE DOMAIN plot.num AS integer CHECK (plot.trap(VALUE::text)); \
         CREATE TYPE plot.pair AS (a plot.word, b integer); CREATE TYPE plot.span AS RANGE (subtype = plot.num); RESET ROLE"
    )
}

#[test]
fn no_command_that_looks_runs_the_checks_of_another_roles_domain() {
    for (at, (live, declared, literal)) in
        [("plot.word[]", "text[]", "{a}"), ("plot.pair", "text", "(a,1)"), ("plot.span", "int4range", "[1,5)")]
            .into_iter()
            .enumerate()
    {
        let db = TestDb::new();
        let role = format!("trapper{at}_{}", db.connect.database());
        db.execute(&trapped(&role));
        db.execute(&format!(
            "CREATE TABLE t (id integer, tags {live}); CREATE VIEW v AS SELECT id FROM t WHERE id > 1"
        ));
        let sandbox = Sandbox::new(&db);
        sandbox.write("setpoint.kdl", "manage {\n    schema public\n    grants #false\n}\n");
        let view = format!("view v {{\n    sql \"SELECT id FROM t WHERE tags <> '{literal}'\"\n}}\n");
        sandbox.write(
            "schema/a.kdl",
            &format!("table t {{\n    column id integer\n    column tags \"{declared}\"\n}}\n{view}"),
        );
        for command in [&["plan"][..], &["plan", "--sql"], &["status"], &["pull"]] {
            sandbox.run(command);
            assert_eq!(db.value("SELECT is_called FROM plot.ran"), "f", "{command:?} over {live}");
        }
        // The trap is one: the superuser who says so himself falls into it.
        db.try_execute(&format!("SELECT '{literal}'::{live}")).expect("is a value");
        assert_eq!(db.value("SELECT is_called FROM plot.ran"), "t", "{live}");
        db.execute(&format!("DROP TABLE t CASCADE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
    }
}

#[test]
fn a_member_who_may_not_act_for_a_role_is_not_its_equal() {
    let db = TestDb::new();
    let role = format!("member_{}", db.connect.database());
    db.execute(&format!("CREATE ROLE {role}"));
    let sixteen = db.value("SELECT current_setting('server_version_num')::int >= 160000") == "t";
    let version =
        setpoint::catalog::Version(db.value("SELECT current_setting('server_version_num')").parse().expect("a number"));
    let lesser = || {
        let sql = setpoint::catalog::is_lesser(version, "r.oid");
        db.value(&format!("SELECT {sql} FROM pg_catalog.pg_roles r WHERE r.rolname = '{role}'"))
    };
    assert_eq!(lesser(), "t");
    if sixteen {
        db.execute(&format!("GRANT postgres TO {role} WITH INHERIT FALSE, SET FALSE"));
        assert_eq!(lesser(), "t");
        db.execute(&format!("GRANT postgres TO {role} WITH SET TRUE"));
    } else {
        db.execute(&format!("GRANT postgres TO {role}"));
    }
    assert_eq!(lesser(), "f");
    db.execute(&format!("DROP ROLE {role}"));
}
