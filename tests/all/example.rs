//! The example project beside the README: complete, applied, rolled back, and run by more than one role.

use crate::support::{Sandbox, TestDb, files, repository};

fn example(db: &TestDb) -> Sandbox {
    let sandbox = Sandbox::new(db);
    for folder in ["schema", "plans"] {
        for path in files(&repository().join(folder), ".kdl") {
            let inside = path.strip_prefix(repository()).expect("a file of the repository").display().to_string();
            sandbox.write(&inside, &std::fs::read_to_string(&path).expect("schema files are text"));
        }
    }
    let config = std::fs::read_to_string(repository().join("setpoint.kdl")).expect("there is a project file");
    sandbox.write("setpoint.kdl", &config);
    sandbox
}

#[test]
fn goes_up_and_down_and_up() {
    let db = TestDb::new();
    let sandbox = example(&db);
    sandbox.ok(&["check"]);
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code", "--strict"]);
    sandbox.ok(&["drift"]);
    assert_eq!(db.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "17");
    sandbox.ok(&["rollback", "--to", "base", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), "0");
    assert_eq!(db.value("SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace"), "0");
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
}

#[test]
fn its_plans_are_proved_on_rows() {
    let db = TestDb::new();
    let sandbox = example(&db);
    let proved = sandbox.exits(0, &["prove", "--all", "--rows"]);
    let with_rows = proved.stdout.lines().filter(|line| line.starts_with("plan ") && line.contains(" with "));
    assert_eq!(with_rows.count(), files(&repository().join("plans"), ".kdl").len() - 1, "{}", proved.stdout);
}

#[test]
fn names_no_role_of_its_maker() {
    for path in files(&repository().join("plans"), ".kdl") {
        let text = std::fs::read_to_string(&path).expect("plans are text");
        assert!(!text.contains("OWNER TO"), "{} says who owns something", path.display());
    }
}

#[test]
fn rolling_back_asks_before_rows_are_lost() {
    let db = TestDb::new();
    let sandbox = example(&db);
    sandbox.ok(&["apply", "--to", "1", "--auto-approve"]);
    db.execute("INSERT INTO jobs (kind) VALUES ('kept')");
    sandbox.exits(3, &["rollback", "-1", "--auto-approve"]);
    assert_eq!(db.value("SELECT kind FROM jobs"), "kept");
}
