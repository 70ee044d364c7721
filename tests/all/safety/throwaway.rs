//! What schema and plan files declare runs on throwaway servers without any privileges on the machine: places where building evaluates
//! something, attacks tried in each, and every command that builds.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use setpoint::catalog::{Connect, Session};
use setpoint::scratch::Server;

use crate::support::{Outcome, Sandbox, TempDir, TestDb, block_on, installed};

/// What a function tries, with the rights of whoever calls it. `FILE` is a file that must not appear, `SECRET` one that must not be read.
const DEEDS: &[(&str, &str)] = &[
    ("program", "COPY (SELECT 1) TO PROGRAM 'touch FILE';"),
    ("file", "COPY (SELECT 1) TO 'FILE';"),
    ("large_object", "PERFORM lo_export(lo_from_bytea(0, 'x'), 'FILE');"),
    (
        "grant",
        "EXECUTE format('GRANT pg_execute_server_program, pg_write_server_files TO %I', session_user); \
         COPY (SELECT 1) TO PROGRAM 'touch FILE';",
    ),
    (
        "role",
        "PERFORM set_config('role', (SELECT rolname::text FROM pg_roles WHERE rolsuper LIMIT 1), false); \
         COPY (SELECT 1) TO PROGRAM 'touch FILE';",
    ),
    (
        "session",
        "EXECUTE format('SET SESSION AUTHORIZATION %I', (SELECT rolname FROM pg_roles WHERE rolsuper LIMIT 1)); \
         COPY (SELECT 1) TO PROGRAM 'touch FILE';",
    ),
    ("superuser", "EXECUTE format('ALTER ROLE %I SUPERUSER', session_user); COPY (SELECT 1) TO PROGRAM 'touch FILE';"),
    ("language", "CREATE EXTENSION plperlu; COPY (SELECT 1) TO PROGRAM 'touch FILE';"),
    ("network", "PERFORM dblink_connect('host=127.0.0.1 port=PORT user=u password=p dbname=d connect_timeout=2');"),
    (
        "back",
        "PERFORM dblink_exec(format('host=%s user=%s password=x dbname=%s', current_setting('unix_socket_directories'), \
         (SELECT rolname FROM pg_roles WHERE rolsuper LIMIT 1), current_database()), 'COPY (SELECT 1) TO PROGRAM ''touch FILE''');",
    ),
    // What is read comes last: it ends the attempt.
    ("read", "RAISE EXCEPTION USING ERRCODE = 'P9999', MESSAGE = pg_read_file('SECRET');"),
    ("import", "RAISE EXCEPTION USING ERRCODE = 'P9999', MESSAGE = convert_from(lo_get(lo_import('SECRET')), 'UTF8');"),
];

/// Where files call it. `deed` takes the place's name and gives 1.
const PLACES: &str = r#"
materialized-view filled { sql "SELECT deed('materialized_view') AS a" }
domain checked integer { check "deed('domain') > 0" }
table rows {
    column a integer default="deed('default')"
    column b integer generated="a + deed('generated')"
    column c checked
    check rows_check "deed('check') > 0"
    index rows_index (sql)"deed('index')"
    trigger rows_trigger before insert function=triggered for-each=row
}
table parts partition-by="RANGE (a)" { column a integer }
table parts_1 {
    partition-of parts "FOR VALUES FROM (deed('bound')) TO (100)"
}
table guarded row-security=#true {
    column guarded_a integer
    policy own for=select { using "deed('policy') > 0 AND EXISTS (SELECT 1 FROM guarded g WHERE g.guarded_a IN (1, 2))" }
}
function triggered returns=trigger language=plpgsql {
    body "BEGIN PERFORM public.deed('trigger'); RETURN NEW; END"
}
"#;

/// Steps by hand: they run the same deeds, and fire what hangs on rows.
const BY_HAND: &str = "DO $do$ BEGIN PERFORM public.deed('by_hand'); \
                       INSERT INTO public.rows DEFAULT VALUES; PERFORM 1::public.checked; REFRESH MATERIALIZED VIEW public.filled; \
                       PERFORM * FROM public.guarded; END $do$";

/// A database, files that are hostile to the machine, and a place where it would show.
struct Trap {
    sandbox: Sandbox,
    _db: TestDb,
    marks: TempDir,
    calls: Arc<AtomicUsize>,
}

impl Trap {
    fn new(more: &str) -> Self {
        let db = TestDb::new();
        let marks = TempDir::new();
        fs::set_permissions(marks.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
        fs::write(marks.path().join("secret"), "the secret words").expect("the secret");
        let (port, calls) = listener();
        let sandbox = Sandbox::new(&db);
        let deeds: String = DEEDS
            .iter()
            .map(|(name, deed)| {
                let deed = deed
                    .replace('\'', "''")
                    .replace("FILE", &format!("{}/' || place || '-{name}", marks.path().display()))
                    .replace("SECRET", &marks.path().join("secret").display().to_string())
                    .replace("PORT", &port);
                format!(
                    "BEGIN EXECUTE 'DO $x$ BEGIN {deed} END $x$'; \
                     EXCEPTION WHEN SQLSTATE 'P9999' THEN RAISE; WHEN OTHERS THEN NULL; END;\n"
                )
            })
            .collect();
        // On the database itself nothing is tried: what the person's own server allows is another question.
        let own = db.connect.database();
        let function = format!(
            "function act returns=integer language=plpgsql {{\n    arg place text\n    body #\"\"\"\n        BEGIN \
             IF current_database() <> '{own}' THEN\n        {}\n        END IF; RETURN 1; END\n        \"\"\"#\n}}\n\
             function deed returns=integer language=plpgsql volatility=immutable {{\n    arg place text\n    \
             body \"BEGIN RETURN public.act(place); END\"\n}}\n",
            deeds.replace('\n', "\n        ")
        );
        let dblink = has_extension(&db, "dblink");
        let extension = if dblink { "extension dblink\n" } else { "" };
        sandbox.write("schema/hostile.kdl", &format!("{extension}{function}{more}"));
        sandbox.ok(&["fmt"]);
        Self { sandbox, _db: db, marks, calls }
    }

    /// Runs a command, after which nothing may have happened.
    fn run(&self, args: &[&str]) -> Outcome {
        let outcome = self.sandbox.run(args);
        let text = format!("{}{}", outcome.stdout, outcome.stderr);
        let names = fs::read_dir(self.marks.path()).expect("is there").flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "secret");
        names.sort();
        assert!(names.is_empty(), "setpoint {}: done on the machine: {}\n{text}", args.join(" "), names.join(", "));
        assert!(!text.contains("the secret words"), "setpoint {}: a file was read\n{text}", args.join(" "));
        let calls = self.calls.load(Ordering::SeqCst);
        assert_eq!(calls, 0, "setpoint {}: connections arrived\n{text}", args.join(" "));
        outcome
    }

    fn exits(&self, code: i32, args: &[&str]) -> Outcome {
        let outcome = self.run(args);
        let (out, err) = (&outcome.stdout, &outcome.stderr);
        assert_eq!(outcome.code, code, "setpoint {}\n{out}\n{err}", args.join(" "));
        outcome
    }

    /// Saves a plan with one step by hand.
    fn by_hand(&self, number: u32, name: &str, sql: &str) {
        self.exits(0, &["plan", "--save", name, "--empty"]);
        let path = format!("plans/{number:04}-{name}.kdl");
        let back = "        inverse manual transaction=1 {\n            sql \"SELECT 1\"\n        }\n";
        let step = format!("    step manual transaction=1 {{\n        sql #\"{sql}\"#\n{back}    }}\n}}\n\nhash");
        self.sandbox.write(&path, &self.sandbox.read(&path).replacen("}\n\nhash", &step, 1));
        self.exits(0, &["seal", &number.to_string()]);
    }
}

/// A port, and how many connections arrived there.
fn listener() -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port().to_string();
    let counted = Arc::clone(&calls);
    std::thread::spawn(move || listener.incoming().for_each(|_| _ = counted.fetch_add(1, Ordering::SeqCst)));
    (port, calls)
}

fn has_extension(db: &TestDb, name: &str) -> bool {
    db.value(&format!("SELECT count(*) FROM pg_available_extensions WHERE name = '{name}'")) == "1"
}

#[test]
fn no_place_and_no_command_runs_deeds_on_the_machine() {
    let trap = Trap::new(PLACES);
    trap.exits(0, &["plan", "--save", "first"]);
    trap.exits(0, &["check", "--prove"]);
    let proved = trap.exits(0, &["prove", "1"]);
    assert!(proved.stdout.contains("proved up, down and up again"), "{}", proved.stdout);
    trap.exits(0, &["apply", "--auto-approve", "--allow", "all"]);
    trap.by_hand(2, "by-hand", BY_HAND);
    trap.exits(0, &["prove", "2"]);
    // Only a database of its own can say what becomes of the policy's text once the column is renamed.
    let text = trap.sandbox.read("schema/hostile.kdl");
    let renamed =
        text.replace("g.guarded_a", "g.guarded_b").replace("guarded_a integer", "guarded_b integer was=guarded_a");
    trap.sandbox.write("schema/hostile.kdl", &renamed);
    trap.exits(0, &["apply", "--auto-approve", "--allow", "all"]);
    let plan = trap.exits(0, &["plan"]);
    assert!(plan.stderr.contains("on a throwaway server"), "{}\n{}", plan.stdout, plan.stderr);
    trap.exits(0, &["plan", "--save", "third"]);
}

#[test]
fn what_only_a_superuser_may_make_is_named_and_left_out() {
    let watched = "function watched returns=event_trigger language=plpgsql {\n    body \"BEGIN PERFORM public.deed('event_trigger'); END\"\n}\n\
                   event-trigger watch ddl_command_end function=watched\n";
    let places = PLACES.replace("deed('index')", "a");
    let trap = Trap::new(&format!("{places}{watched}"));
    trap.exits(0, &["plan", "--save", "first"]);
    let before = trap.sandbox.read("plans/0001-first.kdl");
    let refused = trap.exits(3, &["prove", "1"]);
    assert!(refused.stderr.contains("--trust-files") && refused.stderr.contains("1 first"), "{}", refused.stderr);
    assert!(refused.stdout.contains("event-trigger watch"), "{}", refused.stdout);
    assert_eq!(trap.sandbox.read("plans/0001-first.kdl"), before, "nothing is written about it");
    let refused = trap.exits(3, &["check", "--prove"]);
    assert!(refused.stderr.contains("--trust-files"), "{}", refused.stderr);
    // The option is the command line's alone.
    trap.sandbox.write(".env", "SETPOINT_TRUST_FILES=true\nTRUST_FILES=1\n");
    trap.exits(3, &["prove", "1"]);
}

#[test]
fn the_roles_of_a_throwaway_server_have_no_rights_on_it() {
    let trap = Trap::new(
        "table owned {\n    owner postgres\n    column a integer\n    grant select to=pg_execute_server_program\n}\n",
    );
    trap.exits(0, &["plan", "--save", "first"]);
    trap.exits(0, &["prove", "1"]);
    trap.exits(0, &["apply", "--auto-approve", "--allow", "all"]);
    let denied = [
        "CREATE ROLE other SUPERUSER",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "GRANT pg_execute_server_program TO postgres",
        "SET ROLE pg_execute_server_program",
        "ALTER FUNCTION public.deed(text) OWNER TO pg_execute_server_program",
        "CREATE FUNCTION public.c() RETURNS integer LANGUAGE c AS ''libc.so.6'', ''system''",
        "UPDATE pg_catalog.pg_authid SET rolsuper = true",
        "COPY public.owned FROM PROGRAM ''id''",
        "LOAD ''dblink''",
        "CREATE FUNCTION public.i() RETURNS integer LANGUAGE internal AS ''pg_backend_pid''",
        "ALTER TABLE public.owned DISABLE TRIGGER ALL; SET session_replication_role = replica",
        "CREATE SUBSCRIPTION s CONNECTION ''host=127.0.0.1'' PUBLICATION p WITH (connect = false)",
    ];
    let each: Vec<String> = denied.iter().map(|sql| format!("'{sql}'")).collect();
    let sql = format!(
        "DO $do$ DECLARE deed text; BEGIN FOREACH deed IN ARRAY ARRAY[{}] LOOP \
         BEGIN EXECUTE deed; RAISE EXCEPTION 'not denied: %', deed; EXCEPTION WHEN insufficient_privilege THEN NULL; END; \
         END LOOP; END $do$",
        each.join(", ")
    );
    trap.by_hand(2, "denied", &sql);
    trap.exits(0, &["prove", "2"]);
    // A step that needs more than its author has here.
    let trap = Trap::new("table owned {\n    column a integer\n}\n");
    trap.exits(0, &["plan", "--save", "first"]);
    trap.exits(0, &["apply", "--auto-approve", "--allow", "all"]);
    trap.by_hand(2, "refused", "SET session_replication_role = origin");
    let refused = trap.exits(3, &["prove", "2"]);
    assert!(refused.stderr.contains("--trust-files") && refused.stderr.contains("2 refused"), "{}", refused.stderr);
    trap.exits(0, &["prove", "2", "--trust-files"]);
}

/// Even the superuser, for whom files are trusted, is kept in where the kernel can.
#[test]
fn the_server_itself_is_kept_in() {
    for binaries in installed() {
        let server = Server::start_closed(&binaries).unwrap_or_else(|error| panic!("{error}"));
        let walls = server.walls();
        let (marks, (port, calls)) = (TempDir::new(), listener());
        fs::set_permissions(marks.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
        fs::write(marks.path().join("secret"), "the secret words").expect("the secret");
        let dir = marks.path().display();
        let tries = [
            (walls.files, format!("COPY (SELECT 1) TO PROGRAM 'touch {dir}/program'")),
            (walls.files, format!("COPY (SELECT 1) TO '{dir}/file'")),
            (walls.files, format!("SELECT pg_read_file('{dir}/secret')")),
            (walls.files, "SELECT pg_read_file('/proc/self/environ')".to_owned()),
            (walls.files, "SELECT pg_ls_dir('/home')".to_owned()),
            (walls.network, format!("SELECT dblink_connect('host=127.0.0.1 port={port} connect_timeout=2')")),
            (walls.network, "SELECT dblink_connect('connect_timeout=2')".to_owned()),
        ];
        block_on(async {
            let session =
                Session::open(&server.connect("postgres"), "test").await.unwrap_or_else(|error| panic!("{error}"));
            assert!(session.superuser && session.user != "postgres", "{}", session.user);
            session.batch("SET search_path = public").await.expect("sets");
            // Not every installation has it.
            let _ = session.batch("CREATE EXTENSION dblink").await;
            for (_, sql) in tries.iter().filter(|(there, _)| *there) {
                let error = session.batch(sql).await.expect_err(sql);
                assert!(!error.message.contains("superuser"), "{sql}: the superuser may: {error}");
            }
            // A password is asked for, and no other name is the superuser's.
            let socket = server.connect("postgres").hosts()[0].clone();
            for user in ["postgres", session.user.as_str()] {
                let stranger = Connect::socket(Path::new(&socket), 5432, user, "postgres");
                assert!(Session::open(&stranger, "test").await.is_err(), "{user}");
            }
            session.close().await;
        });
        let names: Vec<_> = fs::read_dir(marks.path()).expect("is there").flatten().map(|e| e.file_name()).collect();
        assert!(!walls.files || names == ["secret"], "{}: {names:?}", binaries.version);
        assert!(!walls.network || calls.load(Ordering::SeqCst) == 0, "{}", binaries.version);
    }
}

/// Nobody else can put a cluster where ours are kept.
#[test]
fn a_cluster_that_others_may_write_to_is_not_taken() {
    let db = TestDb::new();
    let mut sandbox = Sandbox::new(&db);
    let cache = TempDir::new();
    sandbox.set("XDG_CACHE_HOME", &cache.path().display().to_string());
    sandbox.write("schema/t.kdl", "table t {\n    column a integer\n}\n");
    sandbox.ok(&["plan", "--save", "first"]);
    sandbox.ok(&["prove", "1"]);
    let kept = cache.path().join("setpoint");
    let label = || {
        let dirs = fs::read_dir(&kept).expect("is there").flatten().map(|entry| entry.path());
        dirs.filter_map(|dir| fs::read_to_string(dir.join("label")).ok()).next().expect("a cluster is kept")
    };
    let before = label();
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&kept), 0o700);
    sandbox.ok(&["prove", "1"]);
    assert_eq!(label(), before, "it is used again");
    // Somebody else could have put it there.
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o777)).expect("permissions");
    let planted = fs::read_dir(&kept).expect("is there").flatten().map(|entry| entry.path().join("data"));
    let mut planted: Vec<_> = planted.filter(|data| data.is_dir()).collect();
    planted
        .retain(|data| fs::write(data.join("postgresql.auto.conf"), "session_preload_libraries = 'planted'\n").is_ok());
    assert!(!planted.is_empty(), "a cluster is there to be changed");
    sandbox.ok(&["prove", "1"]);
    assert_eq!(label(), before, "nothing is kept there, either");
}
