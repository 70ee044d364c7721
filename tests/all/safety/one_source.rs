//! Address and password come from one source: what a project's files say never changes an address that the process gives, and never receives
//! a password that was given for another place.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::safety::fake::{Fake, Says};
use crate::support::Sandbox;

const SECRET: &str = "Zq8vTopsecret";

/// What somebody's files and environment say, with `{port}` for the port of a stranger's server on 127.0.0.1; `db.invalid` exists nowhere.
#[derive(Default, Clone, Copy)]
struct Case {
    dot_env: &'static str,
    project: &'static str,
    pgpass: &'static str,
    service: &'static str,
    process: &'static [(&'static str, &'static str)],
}

/// What the stranger hears, and what the program says.
fn run(case: Case) -> (Vec<String>, String) {
    let fake = Fake::on_port(Says::Clear);
    let here = |text: &str| text.replace("{port}", &fake.port.to_string()).replace("SECRET", SECRET);
    let mut sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", &here(case.project));
    sandbox.write(".env", &here(case.dot_env));
    sandbox.write("schema/a.kdl", "");
    sandbox.write("plans/chain.kdl", "");
    sandbox.write("home/.pgpass", &here(case.pgpass));
    sandbox.write("home/.pg_service.conf", &here(case.service));
    fs::set_permissions(sandbox.path("home/.pgpass"), fs::Permissions::from_mode(0o600)).expect("is there");
    let home = sandbox.path("home").display().to_string();
    sandbox.set("HOME", &home);
    sandbox.set("PGCONNECT_TIMEOUT", "3");
    for (name, value) in case.process {
        sandbox.set(name, &here(value));
    }
    let outcome = sandbox.run(&["status"]);
    (fake.heard(), outcome.stderr)
}

fn is_sent(case: Case) -> bool {
    run(case).0.iter().any(|message| message.contains(SECRET))
}

const PASSWORD: (&str, &str) = ("PGPASSWORD", "SECRET");
const ELSEWHERE: (&str, &str) = ("DATABASE_URL", "postgresql://d@db.invalid:{port}/x");

const HERE: (&str, &str) = ("DATABASE_URL", "postgresql://d@127.0.0.1:{port}/x");

#[test]
fn dot_env_does_not_change_the_address_of_the_process() {
    for dot_env in ["PGHOSTADDR=127.0.0.1\n", "PGHOSTADDR=127.0.0.1\nPGSSLMODE=disable\nPGUSER=d\n"] {
        let case = Case { dot_env, process: &[ELSEWHERE, PASSWORD], ..Case::default() };
        let (heard, said) = run(case);
        assert_eq!(heard, [""; 0], "{dot_env}");
        assert!(said.contains("PGHOSTADDR in .env is not used"), "{said}");
    }
    let process = &[("PGHOST", "db.invalid"), ("PGPORT", "{port}"), PASSWORD];
    let (heard, said) = run(Case { dot_env: "PGHOSTADDR=127.0.0.1\n", process, ..Case::default() });
    assert_eq!(heard, [""; 0], "{said}");
    let case = Case {
        dot_env: "SETPOINT_ENV=there\n",
        project: "env there url=\"postgresql://d@127.0.0.1:{port}/x\"\n",
        process: &[ELSEWHERE, PASSWORD],
        ..Case::default()
    };
    assert_eq!(run(case).0, [""; 0]);
}

#[test]
fn a_password_of_the_process_does_not_go_where_dot_env_says() {
    for dot_env in [
        "DATABASE_URL=postgresql://d@127.0.0.1:{port}/x\n",
        "PGHOST=127.0.0.1\nPGPORT={port}\n",
        "PGHOSTADDR=127.0.0.1\nPGPORT={port}\n",
    ] {
        let (heard, said) = run(Case { dot_env, process: &[PASSWORD], ..Case::default() });
        assert!(!heard.concat().contains(SECRET), "{dot_env}: {heard:?}");
        assert!(said.contains("PGPASSWORD of the environment is not sent"), "{dot_env}: {said}");
    }
    let project = "env e url=\"postgresql://d@db.invalid:{port}/x\"\ndefault-env e\n";
    assert!(!is_sent(Case { dot_env: "PGHOSTADDR=127.0.0.1\n", project, process: &[PASSWORD], ..Case::default() }));
}

#[test]
fn a_password_for_a_name_does_not_go_to_an_address_of_a_file() {
    let project = "env e url=\"host=db.invalid hostaddr=127.0.0.1 port={port} user=d dbname=x\"\ndefault-env e\n";
    assert!(!is_sent(Case { project, pgpass: "db.invalid:*:*:*:SECRET\n", ..Case::default() }));
    assert!(is_sent(Case { project, pgpass: "127.0.0.1:*:*:*:SECRET\n", ..Case::default() }));
    let project = "env e url=\"service=s host=127.0.0.1 port={port}\"\ndefault-env e\n";
    let service = "[s]\nhost=db.invalid\nuser=d\npassword=SECRET\n";
    assert!(!is_sent(Case { project, service, ..Case::default() }));
    let dot_env = "PGSERVICE=s\nPGHOSTADDR=127.0.0.1\nPGPORT={port}\n";
    assert!(!is_sent(Case { dot_env, service, ..Case::default() }));
}

#[test]
fn a_file_does_not_weaken_what_the_process_demands() {
    let project = "env e url=\"postgresql://d@127.0.0.1:{port}/x?sslmode=disable\"\ndefault-env e\n";
    assert!(is_sent(Case { project, process: &[PASSWORD], ..Case::default() }));
    assert!(!is_sent(Case { project, process: &[PASSWORD, ("PGSSLMODE", "require")], ..Case::default() }));
}

#[test]
fn what_belongs_together_works() {
    for dot_env in [
        "DATABASE_URL=postgresql://d:SECRET@127.0.0.1:{port}/x\n",
        "DATABASE_URL=postgresql://d@127.0.0.1:{port}/x\nPGPASSWORD=SECRET\n",
        "PGHOST=127.0.0.1\nPGPORT={port}\nPGUSER=d\nPGPASSWORD=SECRET\n",
    ] {
        assert!(is_sent(Case { dot_env, ..Case::default() }), "{dot_env}");
    }
    assert!(is_sent(Case { process: &[HERE, PASSWORD], ..Case::default() }));
    assert!(is_sent(Case { dot_env: "PGPASSWORD=SECRET\n", process: &[HERE], ..Case::default() }));
    let project = "env e url=\"postgresql://d@127.0.0.1:{port}/x\"\ndefault-env e\n";
    assert!(is_sent(Case { project, process: &[PASSWORD], ..Case::default() }));
    assert!(is_sent(Case { project, dot_env: "PGPASSWORD=SECRET\n", ..Case::default() }));
    assert!(is_sent(Case { project, dot_env: "PGUSER=d\n", pgpass: "127.0.0.1:*:*:*:SECRET\n", ..Case::default() }));
    let project = "env e url-from=\"MY_URL\"\ndefault-env e\n";
    let process = &[("MY_URL", "postgresql://d@127.0.0.1:{port}/x"), PASSWORD];
    assert!(is_sent(Case { project, process, ..Case::default() }));
    let service = "[s]\nhost=127.0.0.1\nport={port}\nuser=d\npassword=SECRET\n";
    assert!(is_sent(Case { dot_env: "PGSERVICE=s\n", service, ..Case::default() }));
}
