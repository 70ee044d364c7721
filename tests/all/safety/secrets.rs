//! Secrets reach no log, no statistics and no diagnostics.

use std::fs;

use setpoint::scratch::{self, Server};

use crate::support::{Sandbox, TestDb, block_on, default_major, files};

const SECRET: &str = "sesame-open-up";

const SCHEMA: &str = "
foreign-data-wrapper w
server s wrapper=w {
    user-mapping public {
        options user=reader
        secret password env=SETPOINT_SECRET_FAR
    }
}
";

/// All that may write statements down.
const TALKATIVE: &[(&str, &str)] = &[
    ("logging_collector", "on"),
    ("log_directory", "log"),
    ("log_statement", "all"),
    ("log_min_duration_statement", "0"),
    ("log_min_duration_sample", "0"),
    ("log_parameter_max_length", "-1"),
    ("log_parameter_max_length_on_error", "-1"),
    ("log_transaction_sample_rate", "1"),
    ("log_min_messages", "log"),
    ("debug_print_parse", "on"),
    ("debug_print_rewritten", "on"),
];

const LIBRARIES: &[(&str, &str)] = &[
    ("shared_preload_libraries", "pg_stat_statements,auto_explain"),
    ("pg_stat_statements.track", "all"),
    ("auto_explain.log_min_duration", "0"),
    ("auto_explain.log_nested_statements", "on"),
];

async fn run(server: &Server, sql: &str) -> Vec<String> {
    let session = setpoint::catalog::Session::open(&server.connect("postgres"), "test").await.expect("opens");
    let found =
        session.client.simple_query(sql).await.unwrap_or_else(|error| panic!("{}\n{sql}", session.error(&error)));
    let rows = found.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

fn log(server: &Server) -> String {
    let dir = std::path::PathBuf::from(&server.connect("postgres").hosts()[0]).join("data/log");
    files(&dir, "")
        .iter()
        .map(|file| String::from_utf8_lossy(&fs::read(file).expect("is there")).into_owned())
        .collect()
}

#[test]
fn lent_secrets_are_not_written_down() {
    let binaries = scratch::find(Some(default_major())).expect("is installed");
    let with = [TALKATIVE, LIBRARIES].concat();
    // Without the libraries where they are not installed.
    let (server, libraries) = match Server::start_with(&binaries, &with) {
        Ok(server) => (server, true),
        Err(_) => (Server::start_with(&binaries, TALKATIVE).unwrap_or_else(|error| panic!("{error}")), false),
    };
    let mut sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    sandbox.write("schema/s.kdl", SCHEMA);
    let url = server.connect("postgres").to_string();
    sandbox.set("DATABASE_URL", &url);
    sandbox.set("SETPOINT_SECRET_FAR", SECRET);
    sandbox.set("SETPOINT_SECRET_OTHER", "never-asked-for");
    if libraries {
        block_on(run(&server, "CREATE EXTENSION pg_stat_statements SCHEMA public"));
        sandbox.write("schema/e.kdl", "extension pg_stat_statements\n");
    }
    let said = sandbox.exits(0, &["push", "--auto-approve", "--allow", "all"]);
    assert!(!said.stderr.contains("may write"), "{}", said.stderr);
    let options = block_on(run(&server, "SELECT array_to_string(umoptions, ';') FROM pg_user_mappings"));
    assert_eq!(options, [format!("user=reader;password={SECRET}")]);
    let log = log(&server);
    assert!(log.contains("CREATE SERVER s"), "the log is not where it is looked for");
    for secret in [SECRET, "never-asked-for"] {
        if let Some(line) = log.lines().find(|line| line.contains(secret)) {
            panic!("the log has {line}");
        }
    }
    // What came after the secret is written down again.
    let after = log.rsplit("set_config('setpoint.secret_far', '', false)").next().unwrap_or_default();
    assert!(after.contains("COMMIT") || after.contains("setpoint."), "the log ends with the secret");
    if libraries {
        let kept = block_on(run(&server, "SELECT query FROM public.pg_stat_statements"));
        assert!(!kept.is_empty(), "there are statistics");
        assert!(!kept.iter().any(|query| query.contains(SECRET)), "statistics keep it");
    }
}

#[test]
fn who_may_not_silence_the_log_is_warned() {
    let db = TestDb::with(
        "CREATE ROLE safety_lends LOGIN; CREATE FOREIGN DATA WRAPPER w; \
         GRANT USAGE ON FOREIGN DATA WRAPPER w TO safety_lends; ALTER ROLE safety_lends SET log_min_duration_statement = 100000",
    );
    let name = db.connect.database().to_owned();
    db.execute(&format!("GRANT CREATE ON DATABASE {name} TO safety_lends"));
    let mut sandbox = Sandbox::new(&db);
    sandbox.write(
        "schema/s.kdl",
        &SCHEMA
            .replace("foreign-data-wrapper w\n", "")
            .replace("server s", "foreign-data-wrapper w {\n    grant usage to=safety_lends\n}\nserver s"),
    );
    sandbox.set("SETPOINT_SECRET_FAR", SECRET);
    sandbox.set("PGUSER", "safety_lends");
    let url = db.url().replace("postgres@", "safety_lends@");
    sandbox.set("DATABASE_URL", &url);
    let said = sandbox.run(&["push", "-q", "--auto-approve", "--allow", "all"]);
    let warned = said.stderr.contains(
        "warning: the server may write SETPOINT_SECRET_FAR to its log or statistics (log_min_duration_statement)",
    );
    assert!(warned, "{said:?}");
    assert!(!format!("{said:?}").contains(SECRET));
    db.execute("DROP OWNED BY safety_lends CASCADE");
    db.execute("DROP ROLE safety_lends");
}

#[test]
fn diagnostics_paint_secrets_over() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    for line in [
        format!("env prod url=\"postgresql://me:{SECRET}@host/db\" nonsense=1"),
        format!("env prod url=\"postgresql://me:{SECRET}@host/db"),
        format!("env prod urll=\"postgresql://me:{SECRET}@host/db\""),
        format!("env prod url=\"host=h password={SECRET}\" nonsense=1"),
        format!("env prod url=\"postgresql://me:{SECRET}@host/db\""),
    ] {
        sandbox.write("setpoint.kdl", &format!("{line}\n"));
        for command in ["plan", "check", "status"] {
            let said = sandbox.run(&[command]);
            assert!(said.code != 0 || !line.contains("nonsense"), "{line}");
            assert!(!format!("{said:?}").contains(SECRET), "{line}: {}", said.stderr);
        }
    }
    sandbox.write("setpoint.kdl", "");
    for options in [
        format!("options password={SECRET}"),
        format!("options password=\"{SECRET}\" nonsense"),
        format!("options {{\n        password \"{SECRET}\"\n    }}"),
        format!("option password value={SECRET}"),
        format!("option \"password\" \\\n        value=\"{SECRET}\""),
        format!("secret password \"{SECRET}\""),
        format!("secret password env=X value=\"{SECRET}\""),
        format!("secret password value=\"{SECRET}"),
    ] {
        let text = format!(
            "foreign-data-wrapper w\nserver s wrapper=w {{\n    user-mapping public {{\n    {options}\n    }}\n}}\n"
        );
        sandbox.write("schema/s.kdl", &text);
        let said = sandbox.run(&["plan"]);
        assert!(!format!("{said:?}").contains(SECRET), "{options}: {}", said.stderr);
    }
}

/// Code of another role that runs in the same transaction finds nothing.
#[test]
fn a_lent_secret_is_not_read_by_what_runs_beside_it() {
    let db = TestDb::new();
    let mallory = format!("reads_{}_{}", std::process::id(), db.connect.database());
    db.execute(&format!(
        "CREATE ROLE {mallory}; CREATE SCHEMA m AUTHORIZATION {mallory}; SET ROLE {mallory}; \
         CREATE TABLE m.t (id int); INSERT INTO m.t VALUES (1); CREATE TABLE m.got (s text); \
         CREATE FUNCTION m.steal(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO m.got \
         SELECT name || '=' || setting FROM pg_catalog.pg_settings WHERE name LIKE 'setpoint.%' \
         UNION ALL SELECT 'now ' || coalesce(pg_catalog.current_setting('setpoint.secret_far', true), ''); RETURN true; END $$; \
         RESET ROLE; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w"
    ));
    let mut sandbox = Sandbox::new(&db);
    sandbox.write("setpoint.kdl", "manage { schema m public }\n");
    sandbox.set("SETPOINT_SECRET_FAR", SECRET);
    sandbox.ok(&["baseline", "--auto-approve"]);
    let servers = sandbox.read("schema/servers.kdl");
    let mapping = "{\n    user-mapping public {\n        options user=reader\n        secret password env=SETPOINT_SECRET_FAR\n    }\n";
    sandbox.write("schema/servers.kdl", &servers.replacen('{', mapping, 1));
    sandbox.write(
        "schema/m/tables/t.kdl",
        "schema m {\n    table t {\n        column id integer\n        check c \"m.steal(id)\"\n    }\n}\n",
    );
    sandbox.ok(&["plan", "--save", "n"]);
    let file = "plans/0002-n.kdl";
    let one = sandbox.read(file).replace("transaction=2", "transaction=1");
    assert!(one.matches("transaction=1").count() > 1, "{one}");
    sandbox.write(file, &one);
    sandbox.run(&["seal", "2"]);
    let said = sandbox.exits(0, &["apply", "--auto-approve", "--allow", "all"]);
    let got = db.query("SELECT DISTINCT s FROM m.got").join(" ");
    let options = db.value("SELECT array_to_string(umoptions, ';') FROM pg_user_mappings");
    db.execute(&format!("DROP OWNED BY {mallory} CASCADE; DROP ROLE {mallory}"));
    assert!(got.contains("now") && !got.contains(SECRET), "{got}\n{}", said.stderr);
    assert_eq!(options, format!("user=reader;password={SECRET}"));
}
