//! An internal operations system: numbers that show the order, Chinese texts, JSON defaults, and reading the SQL before it runs.

use super::{edit, says};
use crate::support::{Sandbox, TestDb};

const USERS: &str = "table users {
    comment \"系统用户\"
    column id uuid not-null default=\"gen_random_uuid()\"
    column display_name \"varchar(100)\" not-null { comment \"显示名称\" }
    column status text not-null default=\"'待审核'\" { comment \"状态：待审核、已启用\" }
    column settings jsonb not-null default=\"'{}'\"
    column roles jsonb not-null default=\"'[]'\"
    column created_at timestamptz not-null default=\"now()\"
    column updated_at timestamptz not-null default=\"now()\"
    primary-key id
}
";

fn system() -> (TestDb, Sandbox) {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.write("schema/users.kdl", USERS);
    sandbox.ok(&["push", "create-users", "--auto-approve"]);
    db.execute("INSERT INTO users (display_name) VALUES ('张伟')");
    (db, sandbox)
}

const YES: [&str; 3] = ["--auto-approve", "--allow", "all"];

#[test]
fn chinese_texts_and_json_defaults_are_what_they_were() {
    let (db, sandbox) = system();
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&["check"]);
    assert_eq!(db.value("SELECT status || settings || roles FROM users"), "待审核{}[]");
    assert_eq!(db.value("SELECT obj_description('users'::regclass)"), "系统用户");
    assert_eq!(db.value("SELECT col_description('users'::regclass, 2)"), "显示名称");
    // What `baseline` writes of it leads to the same.
    let other = Sandbox::new(&db).rehearsing();
    db.execute("DROP SCHEMA setpoint CASCADE");
    other.ok(&["baseline", "--auto-approve"]);
    assert!(other.read("schema/public/tables/users.kdl").contains("待审核、已启用"));
    let fresh = TestDb::new();
    sandbox.ok(&["--url", &fresh.url(), "apply", "--auto-approve"]);
    assert_eq!(fresh.value("SELECT count(*) FROM users"), "0");
}

#[test]
fn an_index_that_runs_backwards() {
    let (db, sandbox) = system();
    edit(
        &sandbox,
        "schema/users.kdl",
        "    primary-key id\n",
        "    primary-key id\n    index users_updated_at {\n        key updated_at order=desc\n    }\n",
    );
    sandbox.ok(&["plan", "--save", "index-updated-at"]);
    sandbox.ok(&[&["apply"][..], &YES].concat());
    let index = "SELECT pg_get_indexdef('users_updated_at'::regclass)";
    assert_eq!(db.value(index), "CREATE INDEX users_updated_at ON public.users USING btree (updated_at DESC)");
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&[&["rollback", "-1"][..], &YES].concat());
    assert_eq!(db.value("SELECT to_regclass('users_updated_at') IS NULL"), "t");
}

#[test]
fn a_column_is_widened_and_back() {
    let (db, sandbox) = system();
    edit(&sandbox, "schema/users.kdl", "varchar(100)", "varchar(200)");
    sandbox.ok(&["plan", "--save", "widen-display-name"]);
    let sql = sandbox.ok(&["show", "2", "--sql"]);
    assert!(sql.contains("TYPE character varying(200)") && !sql.contains("COMMENT"), "the comment stays: {sql}");
    sandbox.ok(&["apply", "--auto-approve"]);
    let width =
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum = 2";
    assert_eq!(db.value(width), "character varying(200)");
    // What does not fit any more is not cut off: going back fails, and changes nothing.
    db.execute("UPDATE users SET display_name = repeat('长', 150)");
    says(&sandbox.exits(3, &["rollback", "-1", "--auto-approve"]), &["--allow"]);
    says(&sandbox.exits(1, &[&["rollback", "-1"][..], &YES].concat()), &["too long", "help:"]);
    assert_eq!(db.value("SELECT length(display_name) FROM users"), "150");
    db.execute("UPDATE users SET display_name = '张伟'");
    sandbox.ok(&[&["rollback", "-1"][..], &YES].concat());
    assert_eq!(db.value(width), "character varying(100)");
    assert_eq!(db.value("SELECT display_name FROM users"), "张伟");
}

#[test]
fn a_column_is_renamed_and_keeps_what_it_holds() {
    let (db, sandbox) = system();
    edit(
        &sandbox,
        "schema/users.kdl",
        "column display_name \"varchar(100)\"",
        "column full_name \"varchar(100)\" was=display_name",
    );
    sandbox.ok(&["plan", "--save", "rename-display-name"]);
    let sql = sandbox.ok(&["show", "2", "--sql"]);
    assert!(sql.contains("RENAME COLUMN display_name TO full_name") && !sql.contains("DROP"), "{sql}");
    sandbox.ok(&[&["apply"][..], &YES].concat());
    assert_eq!(db.value("SELECT full_name FROM users"), "张伟");
    assert_eq!(db.value("SELECT col_description('users'::regclass, 2)"), "显示名称");
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&[&["rollback", "-1"][..], &YES].concat());
    assert_eq!(db.value("SELECT display_name FROM users"), "张伟");
    // Git, the plans and the ledger say who did what, when and in which order.
    let history = sandbox.ok(&["history"]);
    for word in ["1 create-users", "2 rename-display-name", "rolled back", "postgres"] {
        assert!(history.contains(word), "no {word} in {history}");
    }
}

#[test]
fn the_sql_is_seen_before_it_runs() {
    let (db, sandbox) = system();
    edit(
        &sandbox,
        "schema/users.kdl",
        "    primary-key",
        "    column phone text { comment \"电话\" }\n    primary-key",
    );
    let sql = sandbox.ok(&["plan", "--sql"]);
    assert!(sql.contains("ADD COLUMN phone text") && sql.contains("电话") && sql.contains("COMMIT;"), "{sql}");
    assert_eq!(db.value("SELECT count(*) FROM pg_attribute WHERE attname = 'phone'"), "0");
    sandbox.ok(&["plan", "--save", "add-phone"]);
    assert_eq!(sandbox.ok(&["show", "2", "--sql"]), sql);
    // A script that another tool runs leads to the same database.
    let other = TestDb::new();
    other.execute(&sandbox.ok(&["show", "1", "--sql"]));
    other.execute(&sql);
    sandbox.ok(&["--url", &other.url(), "stamp", "2", "--auto-approve"]);
    sandbox.ok(&["--url", &other.url(), "plan", "--exit-code"]);
}

#[test]
fn a_database_that_is_there_begins_with_its_first_number() {
    let (_db, mut sandbox) = system();
    edit(&sandbox, "schema/users.kdl", "    primary-key", "    column phone text\n    primary-key");
    sandbox.ok(&["plan", "--save", "add-phone"]);
    let old = TestDb::new();
    old.execute(&sandbox.ok(&["show", "1", "--sql"]));
    old.execute("INSERT INTO users (display_name) VALUES ('李娜')");
    sandbox.point_to(&old);
    sandbox.ok(&["stamp", "1", "--auto-approve"]);
    says(&sandbox.exits(0, &["status"]), &["1 create-users (stamped", "pending     2 add-phone"]);
    // As CI runs it before each deploy: what is planned is checked, then run.
    sandbox.ok(&["check"]);
    sandbox.ok(&["apply", "--auto-approve", "--wait", "30s"]);
    sandbox.ok(&["drift"]);
    assert_eq!(old.value("SELECT display_name FROM users WHERE phone IS NULL"), "李娜");
    says(&sandbox.exits(3, &[&["rollback", "--to", "base"][..], &YES].concat()), &["revision 1", "stamped"]);
}

#[test]
fn the_address_comes_from_the_applications_settings() {
    let (db, mut sandbox) = system();
    let url = db.url();
    sandbox.set("DATABASE_URL", "");
    sandbox.set("OPERATIONS_DSN", &url.replacen("postgresql://", "postgresql+asyncpg://", 1));
    sandbox.write("setpoint.kdl", "env app url-from=OPERATIONS_DSN\ndefault-env app\n");
    says(&sandbox.exits(0, &["status"]), &[db.connect.database(), "1 create-users"]);
    assert!(!sandbox.read("setpoint.kdl").contains("postgresql"));
}
