//! Who is at the other end: no password goes to anyone it is not meant for, and nobody may say more than a login needs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use setpoint::catalog::account;

use crate::safety::fake::{self, Fake, Says};
use crate::support::{Outcome, Sandbox, TempDir};
use crate::tls_server::free_port;

const SECRET: &str = "sesame-open";
const STRANGER: u32 = 64_321;

/// A project whose person has a password for `localhost`, and one in the environment if `variable`.
fn person(variable: bool) -> Sandbox {
    let mut sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    sandbox.write("schema/.keep", "");
    sandbox.write("home/.pgpass", &format!("localhost:*:*:*:{SECRET}\n"));
    fs::set_permissions(sandbox.path("home/.pgpass"), fs::Permissions::from_mode(0o600)).expect("is there");
    let home = sandbox.path("home").display().to_string();
    sandbox.set("HOME", &home);
    sandbox.set("PGUSER", "me");
    sandbox.set("PGDATABASE", "app");
    if variable {
        sandbox.set("PGPASSWORD", SECRET);
    }
    sandbox
}

fn told(heard: &[String]) -> bool {
    heard.iter().any(|line| line.starts_with("password"))
}

fn shown(outcome: &Outcome) -> String {
    format!("exit {}\n{}{}", outcome.code, outcome.stdout, outcome.stderr)
}

/// Removes a socket at the end.
struct Gone(String);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_socket_that_a_stranger_made_is_not_the_server() {
    if account::current_uid() != Some(0) {
        return; // nobody else can give files away
    }
    for variable in [false, true] {
        let port = free_port();
        let file = Gone(format!("/tmp/.s.PGSQL.{port}"));
        let fake = Fake::on_socket(Path::new(&file.0), Says::Clear);
        chown(&file.0, Some(STRANGER), Some(STRANGER)).expect("root may");
        let mut sandbox = person(variable);
        sandbox.set("PGPORT", &port.to_string());
        for mode in ["prefer", "verify-full"] {
            sandbox.set("PGSSLMODE", mode);
            let outcome = sandbox.exits(3, &["plan"]);
            assert!(
                outcome.stderr.contains(&format!("belongs to the user with number {STRANGER}")),
                "{}",
                outcome.stderr
            );
            assert_eq!(fake.heard(), Vec::<String>::new(), "{}", shown(&outcome));
        }
    }
}

#[test]
fn any_other_folder_is_not_localhost() {
    let dir = TempDir::new();
    let port = free_port();
    let fake = Fake::on_socket(&dir.path().join(format!(".s.PGSQL.{port}")), Says::Clear);
    let mut sandbox = person(false);
    sandbox.set("PGPORT", &port.to_string());
    sandbox.set("PGHOST", &dir.path().display().to_string());
    let outcome = sandbox.exits(1, &["plan"]);
    assert!(!told(&fake.heard()), "{}", shown(&outcome));
    // Named by its path, it has a password.
    let line = format!("{}:{port}:app:me:{SECRET}\n", dir.path().display());
    fs::write(sandbox.path("home/.pgpass"), line).expect("is there");
    let outcome = sandbox.exits(1, &["plan"]);
    assert!(told(&fake.heard()), "{}", shown(&outcome));
}

/// Not a test of its own: what a stranger's process does for those below.
#[test]
fn the_process_of_a_stranger() {
    let Ok(file) = std::env::var("SETPOINT_TEST_STRANGER") else { return };
    let listener = std::os::unix::net::UnixListener::bind(format!("{file}.new")).expect("the socket can be made");
    fs::set_permissions(format!("{file}.new"), fs::Permissions::from_mode(0o777)).expect("is ours");
    fs::rename(format!("{file}.new"), &file).expect("is ours");
    while let Ok((mut stream, _)) = listener.accept() {
        let heard = Mutex::default();
        fake::answer(&mut stream, &Says::Clear, &heard, &Mutex::default());
        fs::write(format!("{file}.heard"), heard.lock().expect("no panic").join("\n")).expect("the folder is open");
    }
}

struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process of another user that listens on a socket; none where that cannot be had.
fn stranger(file: &str) -> Option<Stranger> {
    if account::current_uid() != Some(0) {
        return None;
    }
    let program = std::env::current_exe().expect("is known");
    let child = Command::new(program)
        .args(["--exact", "safety::strangers::the_process_of_a_stranger"])
        .env("SETPOINT_TEST_STRANGER", file)
        .uid(STRANGER)
        .gid(STRANGER)
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stranger = Stranger(child);
    while !Path::new(file).exists() {
        if stranger.0.try_wait().ok()?.is_some() {
            return None;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Some(stranger)
}

#[test]
fn a_stranger_in_an_open_folder_gets_no_password() {
    let dir = TempDir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).expect("is ours");
    let port = free_port();
    let file = dir.path().join(format!(".s.PGSQL.{port}")).display().to_string();
    let Some(_stranger) = stranger(&file) else { return };
    let heard = || fs::read_to_string(format!("{file}.heard")).unwrap_or_default();
    let mut sandbox = person(true);
    sandbox.set("PGPORT", &port.to_string());
    sandbox.set("PGHOST", &dir.path().display().to_string());
    let outcome = sandbox.exits(3, &["plan"]);
    assert!(outcome.stderr.contains("requirepeer=USER"), "{}", outcome.stderr);
    assert!(!heard().contains(SECRET), "{}", heard());
    sandbox.set("PGREQUIREPEER", "root");
    let outcome = sandbox.exits(3, &["plan"]);
    assert!(outcome.stderr.contains("requirepeer names another user"), "{}", outcome.stderr);
    assert!(!heard().contains(SECRET), "{}", heard());
}

#[test]
fn the_owner_of_the_process_is_compared_with_requirepeer() {
    let dir = TempDir::new();
    let port = free_port();
    let fake = Fake::on_socket(&dir.path().join(format!(".s.PGSQL.{port}")), Says::Clear);
    let mut sandbox = person(true);
    sandbox.set("PGPORT", &port.to_string());
    sandbox.set("PGHOST", &dir.path().display().to_string());
    let me = account::current_name().expect("has a name");
    for (name, told_to) in [("daemon", false), (me.as_str(), true)] {
        sandbox.set("PGREQUIREPEER", name);
        let outcome = sandbox.run(&["plan"]);
        assert_eq!(told(&fake.heard()), told_to, "{name}: {}", shown(&outcome));
    }
}

#[test]
fn a_password_goes_to_the_host_that_it_is_for() {
    let (there, here) = (Fake::on_port(Says::Clear), Fake::on_port(Says::Clear));
    let mut sandbox = person(false);
    let url = format!("postgresql://me:{SECRET}@127.0.0.1:{}/app@127.0.0.1:{}", there.port, here.port);
    sandbox.set("DATABASE_URL", &url);
    let outcome = sandbox.run(&["plan"]);
    assert_eq!(here.heard(), Vec::<String>::new(), "{}", shown(&outcome));
    assert!(there.heard().iter().any(|line| line == &format!("password {SECRET}")), "{}", shown(&outcome));
}

#[test]
fn what_is_required_of_a_server_is_required() {
    let servers = [("clear", Says::Clear), ("md5", Says::Md5), ("scram", Says::Scram), ("welcome", Says::Welcome)]
        .map(|(name, says)| (name, Fake::on_port(says)));
    for (required, good) in [
        ("", "clear md5 scram welcome"),
        ("scram-sha-256", "scram"),
        ("md5,scram-sha-256", "md5 scram"),
        ("none", "welcome"),
        ("none,password", "clear welcome"),
        ("!password", "md5 scram welcome"),
        ("!password,!md5,!none", "scram"),
        ("!none", "clear md5 scram"),
        ("gss", ""),
    ] {
        for (name, server) in &servers {
            let mut sandbox = person(true);
            sandbox.set("PGHOST", "127.0.0.1");
            sandbox.set("PGPORT", &server.port.to_string());
            sandbox.set("PGREQUIREAUTH", required);
            let outcome = sandbox.run(&["plan"]);
            let wanted = good.split(' ').any(|word| word == *name);
            let refused = outcome.stderr.contains("require_auth=");
            assert_eq!(refused, !wanted, "require_auth={required}, {name}: {}", shown(&outcome));
            let heard = server.heard();
            assert_eq!(told(&heard), wanted && *name != "welcome", "require_auth={required}, {name}: {heard:?}");
        }
    }
}

#[test]
fn pgrequiressl_is_heeded() {
    let server = Fake::on_port(Says::Clear);
    let mut sandbox = person(true);
    sandbox.set("PGHOST", "127.0.0.1");
    sandbox.set("PGPORT", &server.port.to_string());
    sandbox.set("PGREQUIRESSL", "1");
    let outcome = sandbox.exits(1, &["plan"]);
    assert!(outcome.stderr.contains("does not offer TLS"), "{}", outcome.stderr);
    assert!(!told(&server.heard()));
    sandbox.set("PGSSLMODE", "prefer");
    sandbox.exits(1, &["plan"]);
    assert!(told(&server.heard()), "sslmode comes first, as in libpq");
}

#[test]
fn nobody_says_more_than_a_login_needs() {
    let huge = |kind: u8| [&[kind][..], &(1_u32 << 30).to_be_bytes(), &[b'x'; 100_000]].concat();
    let notice =
        fake::error(&"x".repeat(20_000)).iter().enumerate().map(|(i, b)| if i == 0 { b'N' } else { *b }).collect();
    let welcome = |more: Vec<u8>| [&b"R\0\0\0\x08\0\0\0\0"[..], &more].concat();
    for (name, says) in [
        ("error", Says::Endless(huge(b'E'))),
        ("authentication", Says::Endless(huge(b'R'))),
        ("notice", Says::Endless(welcome(huge(b'N')))),
        ("notices", Says::Endless(notice)),
        ("setting", Says::Endless(welcome(huge(b'S')))),
    ] {
        let server = Fake::on_port(says);
        let mut sandbox = person(true);
        sandbox.set("PGHOST", "127.0.0.1");
        sandbox.set("PGPORT", &server.port.to_string());
        sandbox.set("PGSSLMODE", "disable");
        let outcome = sandbox.run(&["plan"]);
        assert!(outcome.code != 0 && outcome.stderr.len() < 10_000, "{name}: {}", outcome.stderr.len());
        // What fits into the buffers between may be more than was read.
        assert!(server.sent() < 24 << 20, "{name}: {} bytes were taken", server.sent());
    }
}
