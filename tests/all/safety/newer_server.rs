//! A server newer than the newest tested version: read with a warning, changed only if somebody allows it.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use setpoint::catalog::{NEWEST, OLDEST};
use setpoint::introspect::untested;

use crate::support::{Sandbox, TempDir, TestDb, block_on, installed, repository, server_of, skipped};

/// A socket in front of a server's that claims to be PostgreSQL 99 in the answer to the first question.
struct Newer {
    dir: TempDir,
}

impl Newer {
    fn of(db: &TestDb) -> Self {
        let dir = TempDir::new();
        let number = db.value("SELECT current_setting('server_version_num')");
        let host = PathBuf::from(db.connect.hosts().first().expect("it has a place"));
        let names = std::fs::read_dir(&host).expect("a folder").filter_map(Result::ok).map(|entry| entry.file_name());
        let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        let name =
            names.iter().find(|name| name.starts_with(".s.PGSQL.") && !name.ends_with(".lock")).expect("a socket");
        let listener = UnixListener::bind(dir.path().join(name)).expect("a socket can be made");
        let behind = host.join(name);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&behind).expect("the server is there");
                let (from, to) = (client.try_clone().expect("cloned"), server.try_clone().expect("cloned"));
                std::thread::spawn(move || copy(from, to, None));
                let number = number.clone();
                std::thread::spawn(move || copy(server, client, Some(number)));
            }
        });
        Self { dir }
    }

    fn url(&self, db: &TestDb) -> String {
        db.url().replace(
            &encoded(db.connect.hosts().first().expect("a place")),
            &encoded(&self.dir.path().display().to_string()),
        )
    }
}

fn encoded(path: &str) -> String {
    path.replace('/', "%2F")
}

fn copy(mut from: UnixStream, mut to: UnixStream, number: Option<String>) {
    let mut bytes = [0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if let Some(number) = &number {
            let newer = "990000".as_bytes();
            while let Some(at) = bytes[..n].windows(number.len()).position(|part| part == number.as_bytes()) {
                bytes[at..at + number.len()].copy_from_slice(newer);
            }
        }
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_newer_server_is_not_changed_unasked() {
    let db = TestDb::with("CREATE TABLE t (a int)");
    let newer = Newer::of(&db);
    let mut sandbox = Sandbox::new(&db);
    sandbox.set("DATABASE_URL", &newer.url(&db));
    for command in [
        &["baseline", "--auto-approve"][..],
        &["apply", "--auto-approve"],
        &["rollback", "-1", "--auto-approve"],
        &["push", "again", "--auto-approve"],
    ] {
        let outcome = sandbox.exits(3, command);
        assert!(outcome.stderr.contains("99.0") && outcome.stderr.contains("--untested-server"), "{}", outcome.stderr);
    }
    assert_eq!(db.value("SELECT to_regnamespace('setpoint') IS NULL"), "t");
}

#[test]
fn a_newer_server_is_read_with_a_warning() {
    let Some(newest) = installed().iter().map(|binaries| binaries.major).max().filter(|major| *major >= 18) else {
        skipped("a newer server is read with a warning", "it takes PostgreSQL 18");
        return;
    };
    drop(server_of(newest));
    let db = TestDb::on(newest);
    db.execute("CREATE TABLE t (a int)");
    let newer = Newer::of(&db);
    let mut sandbox = Sandbox::new(&db);
    sandbox.set("DATABASE_URL", &newer.url(&db));
    for command in [&["status"][..], &["plan"]] {
        let outcome = sandbox.exits(0, command);
        assert!(outcome.stderr.contains("warning: PostgreSQL 99.0 is newer than"), "{command:?}: {}", outcome.stderr);
    }
    let outcome = sandbox.exits(0, &["baseline", "--auto-approve", "--untested-server"]);
    assert!(outcome.stderr.contains("warning: PostgreSQL 99.0"), "{}", outcome.stderr);
    sandbox.exits(0, &["drift"]);
}

/// The list of what is known is not to be trusted: each server that is here is asked.
#[test]
fn every_tested_server_is_known_whole() {
    let (mut seen, mut versions) = (Vec::new(), 0);
    for binaries in installed().iter().filter(|binaries| binaries.major <= NEWEST) {
        let db = TestDb::on(binaries.major);
        let unread = block_on(async {
            let session = db.session().await;
            untested::unread(&session).await.unwrap_or_else(|error| panic!("{error}"))
        });
        assert!(unread.is_empty(), "PostgreSQL {}: {unread:?}", binaries.major);
        versions += 1;
        seen.extend(db.query(
            "SELECT c.relname || ' ' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relnamespace = 11 AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped",
        ));
    }
    if versions <= NEWEST - OLDEST {
        skipped("nothing is known that no server has", &format!("it takes PostgreSQL {OLDEST} to {NEWEST}"));
        return;
    }
    let known = std::fs::read_to_string(repository().join("src/introspect/catalogs.txt")).expect("the list");
    for (table, columns) in known.lines().filter_map(|line| line.split_once(' ')) {
        for column in columns.split(' ').map(|column| format!("{table} {column}")) {
            assert!(seen.contains(&column), "no server has {column}");
        }
    }
}
