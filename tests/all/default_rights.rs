//! A plan that drops default privileges and creates objects that would get them: the privileges are those that the files declare, whoever
//! runs the plan.

use crate::support::{Sandbox, TestDb};

/// The word of the default privileges, and a right.
const DEFAULTS: &[(&str, &str)] =
    &[("tables", "select"), ("sequences", "usage"), ("functions", "execute"), ("types", "usage"), ("schemas", "usage")];

/// What gets them: each kind of table, sequence, routine, type and schema.
const MADE: &str = "table made {
    column id int {
        identity by-default
    }
}
view shown {
    sql \"SELECT kept.id FROM public.kept\"
}
sequence counted
function f returns=int language=sql {
    body \"SELECT 1\"
}
procedure p language=sql {
    body \"SELECT 1\"
}
enum e a b
domain d int
schema n
";

const KEPT: &str = "table kept {\n    column id int\n}\n";

#[test]
fn what_is_made_beside_default_privileges_that_go_gets_none_of_them() {
    for other in [false, true] {
        let db = TestDb::new();
        let name = db.connect.database().to_owned();
        let (reader, runner) = (format!("{name}_reader"), format!("{name}_runner"));
        db.execute(&format!("CREATE ROLE {reader}; CREATE ROLE {runner} SUPERUSER LOGIN"));
        let mut sandbox = Sandbox::new(&db);
        let own = db.connect.user().to_owned();
        let creator = if other { &runner } else { &own };
        let defaults: String = DEFAULTS
            .iter()
            .map(|(word, right)| {
                format!("default-privileges {word} for={creator} {{\n    grant {right} to={reader}\n}}\n")
            })
            .collect();
        sandbox.write("schema/a.kdl", &format!("{KEPT}{defaults}"));
        sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
        db.execute("INSERT INTO kept VALUES (1)");
        sandbox.write("schema/a.kdl", &format!("{KEPT}{MADE}"));
        sandbox.ok(&["plan", "--save", "two"]);
        if other {
            let url = db.url().replacen(&format!("//{own}@"), &format!("//{runner}@"), 1);
            assert_ne!(url, db.url());
            sandbox.set("DATABASE_URL", &url);
        }
        let applied = sandbox.run(&["apply", "--auto-approve", "--allow", "all"]);
        assert_eq!(applied.code, 0, "another role: {other}\n{}", applied.stderr);
        assert_eq!(db.value("SELECT count(*) FROM pg_default_acl"), "0");
        let given = format!(
            "SELECT count(*) FROM (SELECT relacl FROM pg_class UNION ALL SELECT proacl FROM pg_proc UNION ALL SELECT typacl FROM pg_type \
             UNION ALL SELECT nspacl FROM pg_namespace) AS a (acl), aclexplode(acl) WHERE grantee = '{reader}'::regrole"
        );
        assert_eq!(db.value(&given), "0", "another role: {other}");
        sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
        assert_eq!(db.value("SELECT count(*) FROM pg_default_acl"), DEFAULTS.len().to_string());
        assert_eq!(db.query("SELECT * FROM kept"), ["1"]);
        db.execute(&format!(
            "DROP OWNED BY {reader}, {runner} CASCADE; DROP SCHEMA IF EXISTS setpoint CASCADE; DROP TABLE IF EXISTS kept; DROP ROLE {reader}, {runner}"
        ));
    }
}

#[test]
fn what_is_made_beside_default_privileges_that_shrink_gets_what_is_left_of_them() {
    let db = TestDb::new();
    let name = db.connect.database().to_owned();
    let (reader, runner) = (format!("{name}_reader"), format!("{name}_runner"));
    db.execute(&format!("CREATE ROLE {reader}; CREATE ROLE {runner} SUPERUSER LOGIN"));
    let mut sandbox = Sandbox::new(&db);
    let own = db.connect.user().to_owned();
    let defaults = |rights: [&str; 2]| -> String {
        ["tables", "sequences"]
            .iter()
            .zip(rights)
            .map(|(word, rights)| {
                format!("default-privileges {word} for={runner} {{\n    grant {rights} to={reader}\n}}\n")
            })
            .collect()
    };
    sandbox.write("schema/a.kdl", &format!("{KEPT}{}", defaults(["select insert", "usage"])));
    sandbox.ok(&["push", "one", "--auto-approve", "--allow", "all"]);
    sandbox.write("schema/a.kdl", &format!("{KEPT}{MADE}{}", defaults(["select", "usage update"])));
    sandbox.ok(&["plan", "--save", "two"]);
    sandbox.set("DATABASE_URL", &db.url().replacen(&format!("//{own}@"), &format!("//{runner}@"), 1));
    sandbox.run(&["apply", "--auto-approve", "--allow", "all"]);
    let rights = |relation: &str| {
        db.value(&format!(
            "SELECT string_agg(privilege_type, ' ' ORDER BY privilege_type) FROM pg_class, aclexplode(relacl) \
             WHERE oid = '{relation}'::regclass AND grantee = '{reader}'::regrole"
        ))
    };
    assert_eq!(rights("made"), "SELECT", "INSERT was taken out of the default privileges first");
    assert_eq!(rights("counted"), "USAGE", "UPDATE came to them last");
    db.execute(&format!(
        "DROP OWNED BY {reader}, {runner} CASCADE; DROP SCHEMA IF EXISTS setpoint CASCADE; DROP ROLE {reader}, {runner}"
    ));
}
