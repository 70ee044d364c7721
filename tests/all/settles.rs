//! What people write is what the database is after the plan, though PostgreSQL keeps it in another form, or somebody else decides it: the next
//! plan has nothing to do, `check` passes, and going back restores the database and its rows.
//!
//! `fixtures/settles.md` holds cases; each has a schema of its own.

use setpoint::introspect;
use setpoint::model::State;

use crate::renames::cases_of;
use crate::support::{Sandbox, TestDb, block_on, default_major};

fn state(db: &TestDb) -> State {
    block_on(async { introspect::read(&db.session().await).await }).unwrap_or_else(|error| panic!("{error}")).state
}

#[test]
fn what_is_written_settles_and_goes_back() {
    let cases = cases_of("fixtures/settles.md");
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    for case in &cases {
        sandbox.write(&format!("schema/{}.kdl", case.schema), &case.before);
    }
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "before"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    for case in &cases {
        db.execute(&format!("SET search_path = \"{}\", public; {}", case.schema, case.data));
    }
    let rows = "SELECT table_schema || '.' || table_name || query_to_xml(format('SELECT * FROM %I.%I t ORDER BY t::text', table_schema, \
                table_name), false, true, '')::text FROM information_schema.tables WHERE table_type = 'BASE TABLE' \
                AND table_schema NOT IN ('pg_catalog', 'information_schema', 'setpoint') ORDER BY 1";
    let (start, held) = (state(&db), db.query(rows));
    for case in &cases {
        sandbox.write(&format!("schema/{}.kdl", case.schema), &case.after);
    }
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "after"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    for case in &cases {
        let sql = format!("SET search_path = \"{}\", public; {}", case.schema, case.query);
        assert_eq!(db.query(&sql), [case.result.as_str()], "{}", case.title);
    }
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    let end = state(&db);
    for (id, object) in start.iter() {
        assert_eq!(end.get(id).map(|object| &object.attrs), Some(&object.attrs), "{id}");
    }
    assert_eq!((start.len(), held), (end.len(), db.query(rows)));
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    sandbox.ok(&["fmt"]);
    sandbox.ok(&["check"]);
}

#[test]
fn files_in_other_words_need_no_plan() {
    let db = TestDb::with("CREATE TABLE t (a integer CONSTRAINT positive CHECK (a > 0)); INSERT INTO t VALUES (1)");
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    let file = "schema/public/tables/t.kdl";
    let text = sandbox.read(file);
    let other = text.replace("(a > 0)", "0 < a AND a > 0").replace("0 < a AND a > 0", "((a) > 0)");
    assert_ne!(text, other);
    sandbox.write(file, &other);
    assert!(sandbox.exits(1, &["check"]).stderr.contains("has changes that no plan contains"));
    let saved = sandbox.exits(0, &["plan", "--save", "other-words"]).stderr;
    assert!(
        saved.contains("the files mean the same as before: plans/chain.kdl has plan 1 baseline lead to them"),
        "{saved}"
    );
    sandbox.ok(&["check"]);
    // What somebody changed by hand is no other word for what the plans make.
    db.execute("ALTER TABLE t ADD COLUMN b integer");
    sandbox.write(file, &other.replace("    column a integer", "    column a integer\n    column b integer"));
    let drifted = sandbox.exits(0, &["plan", "--save", "drift"]).stderr;
    assert!(drifted.contains("not what plan 1 baseline made"), "{drifted}");
    sandbox.exits(1, &["check"]);
}

#[test]
fn what_is_left_to_others_stays_theirs() {
    let db = TestDb::new();
    let name = db.connect.database().to_owned();
    let (app, reader) = (format!("{name}_app"), format!("{name}_reader"));
    db.execute(&format!(
        "CREATE ROLE {app}; CREATE ROLE {reader}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}; \
         CREATE TABLE t (a integer); INSERT INTO t VALUES (1); GRANT INSERT ON t TO {app}"
    ));
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.write("setpoint.kdl", "manage {\n    owners #false\n    grants #false\n}\n");
    sandbox.ok(&["baseline", "--auto-approve"]);
    let file = "schema/public/tables/t.kdl";
    let text = sandbox.read(file);
    sandbox.write(file, &text.replace("\n}", &format!("\n    owner {app}\n    grant select to={app}\n}}")));
    let plan = sandbox.exits(0, &["plan", "--exit-code", "--save", "owner"]).stderr;
    for said in ["owner on table public.t is declared, but", &format!("grant {app} on table public.t is declared, but")]
    {
        assert!(plan.contains(said), "{plan}");
    }
    sandbox.ok(&["check"]);
    // Their changes are no drift, and in nobody's way.
    db.execute(&format!("ALTER TABLE t OWNER TO {app}; GRANT UPDATE ON t TO {reader}"));
    sandbox.exits(0, &["drift"]);
    let more = sandbox.read(file).replace("column a integer", "column a integer\n    column b integer");
    sandbox.write(file, &format!("{more}\ntable u {{\n    column a integer\n}}\n"));
    sandbox.ok(&["plan", "--save", "more"]);
    db.execute(&format!("GRANT DELETE ON t TO {reader}"));
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    let kept = "SELECT string_agg(privilege_type, ' ' ORDER BY table_name, privilege_type) FROM information_schema.role_table_grants \
                WHERE grantee LIKE '%_reader' AND grantee = current_database() || '_reader'";
    assert_eq!(db.query(kept), ["DELETE SELECT UPDATE SELECT"]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT t::text || (SELECT count(*) FROM pg_default_acl) FROM t"), ["(1)1"]);
}

#[test]
fn a_schema_with_what_is_left_out_is_left_alone() {
    let db = TestDb::with(
        "CREATE SCHEMA auth; CREATE TABLE auth.users (id integer PRIMARY KEY); INSERT INTO auth.users VALUES (1); \
         CREATE TABLE profiles (id integer REFERENCES auth.users); INSERT INTO profiles VALUES (1); COMMENT ON SCHEMA auth IS 'theirs'",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.write("setpoint.kdl", "manage {\n    exclude \"auth.*\"\n}\n");
    sandbox.ok(&["baseline", "--auto-approve"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    let _ = std::fs::remove_dir_all(sandbox.path("schema/auth"));
    let plan = sandbox.exits(0, &["plan", "--exit-code"]);
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
    sandbox.write("schema/public/tables/profiles.kdl", "");
    let plan = sandbox.exits(2, &["plan", "--exit-code"]).stdout;
    assert!(plan.contains("- table profiles") && !plan.contains("auth"), "{plan}");
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["rollback", "-1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT count(*) FROM auth.users"), ["1"]);
}

#[test]
fn what_is_added_to_what_is_not_managed_comes_and_goes() {
    let db = TestDb::with(
        "CREATE SCHEMA auth; CREATE TABLE auth.users (id integer PRIMARY KEY, email text); INSERT INTO auth.users VALUES (1, 'a'); \
         CREATE VIEW auth.emails AS SELECT email FROM auth.users; \
         CREATE FUNCTION auth.me() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 1'; \
         CREATE TABLE profiles (id integer PRIMARY KEY); INSERT INTO profiles VALUES (1); CREATE EXTENSION citext; \
         CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO profiles VALUES (new.id); RETURN new; END'; \
         CREATE TRIGGER theirs AFTER UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION noted(); \
         REVOKE EXECUTE ON FUNCTION citext_eq FROM PUBLIC",
    );
    let sandbox = Sandbox::new(&db).rehearsing();
    sandbox.write("setpoint.kdl", "manage {\n    exclude \"auth.*\"\n}\n");
    sandbox.ok(&["baseline", "--auto-approve"]);
    let rights = sandbox.read("schema/on.kdl");
    assert_eq!(
        rights,
        "on function \"public.citext_eq(public.citext, public.citext)\" {\n    revoke execute from=public\n}\n"
    );
    sandbox.exits(0, &["plan", "--exit-code"]);
    let before = state(&db);
    let mine = |trigger: &str| {
        format!(
            "on auth.users {{\n    {trigger} after insert for-each=row function=noted {{ comment \"mine\" }}\n    policy own for=select {{ using \"id = auth.me()\" }}\n    \
             index users_email email\n    check named \"email <> ''\"\n    foreign-key id name=known {{ references profiles id initially-deferred=#true }}\n    \
             grant select to=pg_monitor\n}}\non schema auth {{ grant usage to=pg_monitor\n}}\non view auth.emails {{ grant select to=pg_monitor\n}}\n"
        )
    };
    sandbox.write("schema/mine.kdl", &mine("trigger signup"));
    sandbox.write("schema/public/tables/profiles.kdl", "table profiles {\n    column id integer { references auth.users id on-delete=cascade\n }\n    primary-key id\n}\n");
    sandbox.ok(&["plan", "--save", "mine"]);
    let plan = std::fs::read_to_string(sandbox.path("plans/0002-mine.kdl")).unwrap_or_default();
    assert!(plan.contains("proved") || plan.contains("proof"), "{plan}");
    // What others change on their table in the meantime is no reason to make the plan again, and no drift.
    db.execute("ALTER TABLE auth.users ADD COLUMN phone text");
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    db.execute("ALTER TABLE auth.users DROP COLUMN phone; INSERT INTO auth.users VALUES (2, 'b')");
    sandbox.exits(0, &["drift"]);
    assert_eq!(db.query("SELECT count(*) FROM profiles"), ["2"]);
    // It may be renamed, and somebody's change to it is drift.
    sandbox.write("schema/mine.kdl", &mine("trigger welcome was=signup"));
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "renamed"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    db.execute("ALTER TABLE auth.users DISABLE TRIGGER welcome");
    sandbox.exits(2, &["drift"]);
    sandbox.ok(&["pull"]);
    assert!(
        sandbox.read("schema/mine.kdl").contains("enabled=disabled")
            || sandbox.read("schema/mine.kdl").contains("enabled=")
    );
    db.execute("ALTER TABLE auth.users ENABLE TRIGGER welcome");
    // Rights on what belongs to an extension, which a plain role cannot rehearse.
    let on = sandbox.read("schema/on.kdl");
    sandbox.write(
        "schema/on.kdl",
        &(on + "on function \"citext_ne(citext, citext)\" {\n    revoke execute from=public\n}\n"),
    );
    let saved = sandbox.exits(0, &["plan", "--save", "rights"]).stderr;
    assert!(saved.contains("not rehearsed: only the owner of an extension's objects"), "{saved}");
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    // What the last revision recorded goes when no file declares it any more; what is theirs stays.
    sandbox.write("schema/mine.kdl", "");
    sandbox.ok(&["push", "--auto-approve", "--allow", "all", "gone"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
    assert_eq!(db.query("SELECT string_agg(tgname, ',') FROM pg_trigger WHERE NOT tgisinternal"), ["theirs"]);
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    let after = state(&db);
    for (id, object) in before.iter() {
        assert_eq!(after.get(id), Some(object), "{id}");
    }
    assert_eq!((before.len(), db.query("SELECT count(*) FROM auth.users")), (after.len(), vec!["2".to_string()]));
}

#[test]
fn what_is_managed_is_not_declared_as_somebody_elses() {
    let db = TestDb::with("CREATE TABLE t (a integer); CREATE SCHEMA auth; CREATE VIEW auth.v AS SELECT 1 AS a");
    let sandbox = Sandbox::new(&db);
    sandbox.write("setpoint.kdl", "manage {\n    exclude \"auth.*\"\n}\n");
    sandbox.write("schema/a.kdl", "on t { grant select to=pg_monitor\n }\n");
    let said = sandbox.exits(78, &["plan"]).stderr;
    assert!(said.contains("table public.t is managed, and no file declares it"), "{said}");
    sandbox.write("schema/a.kdl", "table t { column a integer\n }\non auth.v { grant select to=pg_monitor\n }\n");
    let said = sandbox.exits(78, &["plan"]).stderr;
    assert!(said.contains("auth.v is not a table, but a view"), "{said}");
}

#[test]
fn an_index_whose_build_failed_is_adopted_and_named() {
    let db = TestDb::with("CREATE TABLE t (a integer); INSERT INTO t VALUES (1), (1)");
    assert!(db.try_execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)").is_err());
    let sandbox = Sandbox::new(&db);
    let said = sandbox.exits(0, &["baseline", "--auto-approve"]).stderr;
    assert!(said.contains("warning: index public.t.t_a is not valid"), "{said}");
    assert!(sandbox.exits(0, &["pull"]).stderr.contains("index public.t.t_a is not valid"));
    assert!(sandbox.exits(2, &["plan", "--exit-code"]).stdout.contains("± index t_a"));
    db.execute("DELETE FROM t; INSERT INTO t VALUES (1)");
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
}

#[test]
fn what_the_server_is_too_old_for_is_refused_where_it_is_written() {
    let sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    let file = "table t {\n    column a integer\n    column b integer virtual generated=\"a * 2\"\n    unique a nulls-not-distinct=#true\n}\n\
                view v security-invoker {\n    sql \"SELECT t.a FROM t\"\n}\n";
    sandbox.write("schema/t.kdl", file);
    sandbox.ok(&["sql", "--server", "18"]);
    let error = sandbox.exits(78, &["sql", "--server", "14"]).stderr;
    for said in [
        "column public.t.b: `virtual` exists since PostgreSQL 18, and the server is 14",
        "schema/t.kdl:3:5",
        "`nulls-not-distinct` exists since PostgreSQL 15",
        "`security-invoker` exists since PostgreSQL 15",
    ] {
        assert!(error.contains(said), "{error}");
    }
    let error = sandbox.exits(78, &["sql", "--server", "15"]).stderr;
    assert!(error.contains("virtual") && !error.contains("security-invoker"), "{error}");
    if default_major() < 18 {
        let db = TestDb::new();
        let sandbox = Sandbox::new(&db);
        sandbox.write("schema/t.kdl", file);
        assert!(sandbox.exits(78, &["push", "--auto-approve"]).stderr.contains("needs PostgreSQL 18"));
    }
}

#[test]
fn a_new_table_gives_up_default_privileges_only_if_that_is_allowed() {
    let db = TestDb::new();
    let reader = format!("{}_reader", db.connect.database());
    db.execute(&format!("CREATE ROLE {reader}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}"));
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["pull"]);
    sandbox.write("schema/t.kdl", "table t {\n    column a integer\n}\n");
    let refused = sandbox.exits(3, &["push", "--auto-approve"]);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("changes-access"), "{}", refused.stdout);
    sandbox.write("schema/t.kdl", &format!("table t {{\n    column a integer\n    grant select to={reader}\n}}\n"));
    sandbox.ok(&["push", "--auto-approve"]);
    sandbox.exits(0, &["plan", "--exit-code"]);
}

#[test]
fn a_type_that_cannot_change_where_it_is_used_is_refused_with_a_way() {
    let db = TestDb::with(
        "CREATE TYPE kind AS ENUM ('new', 'used', 'broken'); CREATE TYPE thing AS (name text, kind kind); \
         CREATE TABLE t (a thing); INSERT INTO t VALUES ('(chair,used)'); \
         CREATE TABLE p (x integer); CREATE TABLE q (p p, ps p[]); INSERT INTO q VALUES ('(1)', '{(2)}')",
    );
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    let types = sandbox.read("schema/public/types.kdl");
    sandbox.write("schema/public/types.kdl", &types.replace("new used broken", "new used"));
    let refused = sandbox.exits(3, &["plan"]).stderr;
    for said in
        ["type public.thing is made of it, and in use", "columns of it: column public.t.a", "let these columns be text"]
    {
        assert!(refused.contains(said), "{refused}");
    }
    sandbox.write("schema/public/types.kdl", &types);
    let table = sandbox.read("schema/public/tables/p.kdl");
    sandbox.write("schema/public/tables/p.kdl", &table.replace("integer", "bigint"));
    let refused = sandbox.exits(3, &["plan"]).stderr;
    assert!(
        refused.contains("column public.p.x cannot get another type while column public.q.p holds rows"),
        "{refused}"
    );
    assert_eq!(db.query("SELECT t::text FROM t"), ["(\"(chair,used)\")"]);
}
