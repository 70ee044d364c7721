//! A role that lacks privileges finds out before the first step, and is told how to get them.

use crate::support::{Outcome, Sandbox, TestDb, default_major};

/// A role of its own, dropped at the end.
struct Role<'a> {
    db: &'a TestDb,
    name: String,
}

impl<'a> Role<'a> {
    /// One that may make schemas, and so the ledger, in the database, and has schema public.
    fn new(db: &'a TestDb, suffix: &str) -> Self {
        let name = format!("{}_{suffix}", db.connect.database());
        db.execute(&format!(
            "CREATE ROLE {name} LOGIN; GRANT CREATE ON DATABASE {} TO {name}; GRANT CREATE, USAGE ON SCHEMA public TO {name}",
            db.connect.database()
        ));
        Self { db, name }
    }

    fn run(&self, sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
        let user = format!("//{}@", self.db.connect.user());
        let url = self.db.url().replacen(&user, &format!("//{}@", self.name), 1);
        assert_ne!(url, self.db.url());
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--url", &url]).collect();
        sandbox.run(&arguments)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let _ = self.db.try_execute(&format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.name));
    }
}

fn project(db: &TestDb, before: &str, after: &str) -> Sandbox {
    let sandbox = Sandbox::new(db);
    sandbox.write("schema/a.kdl", before);
    sandbox.ok(&["plan", "--save", "one"]);
    db.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)");
    if before.contains("schema s") {
        db.execute("CREATE SCHEMA s");
    }
    sandbox.ok(&["stamp", "1", "--auto-approve"]);
    sandbox.write("schema/a.kdl", after);
    sandbox.ok(&["plan", "--save", "two"]);
    db.execute("DROP SCHEMA setpoint CASCADE");
    sandbox
}

const BEFORE: &str = "table a {\n    column id int not-null\n    primary-key id\n}\ntable b {\n    column id int not-null\n    primary-key id\n}\n";

/// Lets the role have the ledger, at revision 1.
fn hand_over(role: &Role<'_>, sandbox: &Sandbox) {
    let stamped = role.run(sandbox, &["stamp", "1", "--auto-approve"]);
    assert_eq!(stamped.code, 0, "{}", stamped.stderr);
}

#[test]
fn a_table_of_somebody_else_is_found_before_the_first_step() {
    let db = TestDb::new();
    let after = BEFORE.replace("int not-null\n", "int not-null\n    column more text\n");
    let sandbox = project(&db, BEFORE, &after);
    let role = Role::new(&db, "alters");
    db.execute(&format!("ALTER TABLE a OWNER TO {}; GRANT SELECT ON b TO {0}", role.name));
    hand_over(&role, &sandbox);
    let refused = role.run(&sandbox, &["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let owner = db.value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'b'");
    let advice = format!("public.b belongs to {owner}, a superuser: connect as {owner}");
    assert!(refused.stderr.contains(&advice), "{}", refused.stderr);
    assert!(!refused.stderr.contains("GRANT "), "nobody is made a superuser\n{}", refused.stderr);
    assert!(!refused.stderr.contains("public.a"), "{}", refused.stderr);
    let other = Role::new(&db, "owns");
    db.execute(&format!("ALTER TABLE b OWNER TO {}", other.name));
    let refused = role.run(&sandbox, &["apply", "--auto-approve", "--allow", "all"]);
    let advice = format!("public.b belongs to {0}: GRANT {0} TO {1}", other.name, role.name);
    assert!(refused.stderr.contains(&advice), "{}", refused.stderr);
    assert_eq!(db.query("SELECT * FROM a"), ["1"], "nothing was done");
    db.execute(&format!("ALTER TABLE b OWNER TO {}", role.name));
    let applied = role.run(&sandbox, &["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
}

#[test]
fn rights_to_create_refer_and_fire_are_found_before_the_first_step() {
    let db = TestDb::new();
    let after = format!(
        "{}{}",
        BEFORE.replace(
            "table b {\n    column id int not-null\n",
            "table b {\n    column id int not-null\n    column more text\n"
        ),
        "schema s {\n    table t {\n        column id int { references public.a id }\n    }\n}\n"
    );
    let sandbox = project(&db, &format!("schema s\n{BEFORE}"), &after);
    let role = Role::new(&db, "creates");
    db.execute(&format!("ALTER TABLE b OWNER TO {}", role.name));
    db.execute(&format!("GRANT SELECT ON a TO {0}; GRANT USAGE ON SCHEMA s TO {0}", role.name));
    hand_over(&role, &sandbox);
    let refused = role.run(&sandbox, &["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for cure in ["GRANT CREATE ON SCHEMA s TO", "GRANT REFERENCES ON public.a TO"] {
        assert!(refused.stderr.contains(cure), "{cure}\n{}", refused.stderr);
    }
    assert_eq!(db.query("SELECT * FROM b"), ["1"], "nothing was done");
    db.execute(&format!("GRANT CREATE ON SCHEMA s TO {0}; GRANT REFERENCES ON a TO {0}", role.name));
    let applied = role.run(&sandbox, &["apply", "--auto-approve", "--allow", "all"]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
}

#[test]
fn what_earlier_steps_make_is_not_missing_and_what_they_give_away_is() {
    let db = TestDb::new();
    let keeper = format!("{}_keeper", db.connect.database());
    db.execute(&format!("CREATE ROLE {keeper}"));
    let after = format!(
        "{BEFORE}schema s {{\n    enum mood a b\n    function f returns=trigger language=plpgsql {{\n        body \"BEGIN RETURN new; END\"\n    }}\n}}\n\
         table t {{\n    column id int\n    column m s.mood\n    trigger look before insert for-each=row function=s.f\n    \
         owner {keeper}\n    comment \"looked at\"\n}}\n"
    );
    let sandbox = project(&db, BEFORE, &after);
    let role = Role::new(&db, "gives");
    hand_over(&role, &sandbox);
    let apply = || role.run(&sandbox, &["apply", "--auto-approve", "--allow", "all"]);
    let missing = |outcome: &Outcome| -> Vec<String> {
        let lines =
            outcome.stderr.lines().map(|line| line.trim_start_matches([' ', '│', '├', '╰', '─', '-']).to_owned());
        lines.filter(|line| line.contains(" TO ")).collect()
    };
    for (cure, grant) in [
        (
            format!("{0} may not act as {keeper}: GRANT {keeper} TO {0}", role.name),
            format!("GRANT {keeper} TO {}", role.name),
        ),
        (
            format!(
                "{keeper} must be able to own something in schema public, but lacks CREATE there: GRANT CREATE ON SCHEMA public TO {keeper}"
            ),
            format!("GRANT CREATE ON SCHEMA public TO {keeper}"),
        ),
    ]
    .into_iter()
    // Everybody may create in schema public before 15.
    .take(if default_major() >= 15 { 2 } else { 1 })
    {
        let refused = apply();
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("nothing was run") && refused.stderr.contains(&cure),
            "{cure}\n{}",
            refused.stderr
        );
        assert!(missing(&refused).iter().all(|line| line.contains(&keeper)), "{}", refused.stderr);
        assert_eq!(db.value("SELECT to_regnamespace('s') IS NULL"), "t", "nothing was done");
        db.execute(&grant);
    }
    let applied = apply();
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_eq!(db.value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 't'::regclass"), keeper);
    let refused = {
        db.execute(&format!("REVOKE {keeper} FROM {}", role.name));
        role.run(&sandbox, &["rollback", "-1", "--auto-approve", "--allow", "all"])
    };
    assert!(refused.stderr.contains(&format!("public.t belongs to {keeper}: GRANT {keeper} TO")), "{}", refused.stderr);
    db.execute(&format!("DROP OWNED BY {keeper} CASCADE; DROP ROLE {keeper}"));
}

#[test]
fn whoever_may_not_read_the_ledger_is_told_what_lets_him() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/a.kdl", BEFORE);
    sandbox.ok(&["push", "--auto-approve"]);
    let role = Role::new(&db, "reads");
    let owner = db.connect.user().to_owned();
    for command in [&["status"][..], &["plan"], &["rollback", "-1", "--auto-approve"], &["history"], &["drift"]] {
        let refused = role.run(&sandbox, command);
        assert_eq!(refused.code, 1, "{command:?}: {refused:?}");
        for words in [
            format!("{} may not read this database's ledger, which belongs to {owner}", role.name),
            format!("connect as {owner}"),
            format!("GRANT USAGE ON SCHEMA setpoint TO {}", role.name),
        ] {
            assert!(refused.stderr.contains(&words), "{command:?}: {words}\n{}", refused.stderr);
        }
    }
    let refused = role.run(&sandbox, &["status"]);
    let (_, grants) = refused.stderr.split_once("read it: ").expect("the remedy");
    db.execute(grants.trim());
    assert_eq!(role.run(&sandbox, &["status"]).code, 0);
}
