//! Connecting: protection, certificate authorities, files and variables, several servers; and what each error says.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;

use insta::assert_snapshot;
use setpoint::catalog::Session;

use crate::shown::shown;
use crate::support::{Sandbox, TestDb, block_on, default_major};
use crate::tls_server::{TlsServer, free_port, parse};

/// The shared server, with TLS on. It is never dropped: it ends with the test process.
fn server() -> &'static TlsServer {
    static SERVER: OnceLock<TlsServer> = OnceLock::new();
    SERVER.get_or_init(TlsServer::start)
}

const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Asks for every combination, and psql as well; one line for each user and file of authorities, a word for each mode.
fn matrix(server: &TlsServer, users: &[&str], host: &str, roots: &[&str]) -> String {
    let mut out = format!("{:<32}{}\n", "", MODES.map(|mode| format!("{mode:<12}")).concat().trim_end());
    for user in users {
        for root in roots {
            let mut line = format!("{:<32}", format!("{user}, trusting {root}"));
            for mode in MODES {
                let conninfo = format!(
                    "host={host} hostaddr=127.0.0.1 port={} user={user} dbname=postgres sslmode={mode} sslrootcert={}",
                    server.port,
                    server.file(root).display()
                );
                let ours = server.ask(&conninfo).ok();
                if let Some(reference) = server.ask_psql(&conninfo) {
                    assert_eq!(ours, reference, "psql differs for {conninfo}");
                }
                let word = match ours {
                    Some(true) => "TLS",
                    Some(false) => "plain",
                    None => "-",
                };
                line.push_str(&format!("{word:<12}"));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

#[test]
fn protection_is_negotiated_as_by_libpq() {
    let users = ["anyone", "tls_only", "plain_only"];
    let found = matrix(server(), &users, "localhost", &["nobody", "ca.crt", "other.crt"]);
    assert_snapshot!("matrix_with_tls", found);
    assert_snapshot!("matrix_wrong_name", matrix(server(), &["anyone"], "elsewhere.test", &["ca.crt"]));
    assert_snapshot!("matrix_wildcard", matrix(server(), &["anyone"], "db.wild.test", &["ca.crt"]));
}

#[test]
fn certificates_of_every_kind() {
    let server = TlsServer::start_with("off");
    let users = ["anyone", "tls_only", "plain_only"];
    assert_snapshot!("matrix_without_tls", matrix(&server, &users, "localhost", &["ca.crt"]));
    let mut found = String::new();
    for (certificate, host, roots) in [
        ("address", "127.0.0.1", &["ca.crt"][..]),
        ("common", "localhost", &["ca.crt"]),
        ("expired", "localhost", &["ca.crt"]),
        ("self", "localhost", &["self.crt", "ca.crt"]),
        ("version1", "localhost", &["root.crt", "ca.crt"]),
    ] {
        server.present("on", &format!("{certificate}.crt"), &format!("{certificate}.key"));
        found.push_str(&format!("{certificate}\n{}", matrix(&server, &["anyone"], host, roots)));
        let words = |mode: &str, versions: &str, root: &str| {
            let file = server.file(root);
            let target = format!(
                "host={host} port={} user=anyone dbname=postgres sslmode={mode} sslrootcert={} {versions}",
                server.port,
                file.display()
            );
            let said = server.ask(&target).map_or_else(|error| error.to_string(), |tls| format!("TLS: {tls}"));
            said.replace(&server.port.to_string(), "PORT").replace(&file.display().to_string(), root)
        };
        // The handshake is another one in each version.
        for version in ["1.2", "1.3"] {
            let versions = format!("ssl_min_protocol_version=TLSv{version} ssl_max_protocol_version=TLSv{version}");
            assert_eq!(words("require", &versions, "nobody"), "TLS: true", "{certificate}, TLS {version}");
        }
        found.push_str(&words("verify-full", "", roots.last().expect("one at least")));
        found.push_str("\n\n");
    }
    assert_snapshot!("certificates", found);
}

#[test]
fn logins_can_be_bound_to_the_connection() {
    let at = |words: &str| format!("host=localhost port={} dbname=postgres {words}", server().port);
    for (words, gets_in) in [
        ("user=scram password=right sslmode=require channel_binding=require", true),
        ("user=scram password=right sslmode=prefer channel_binding=prefer", true),
        ("user=scram password=right sslmode=require channel_binding=disable", true),
        ("user=scram password=right sslmode=disable channel_binding=require", false),
        ("user=anyone sslmode=require channel_binding=require", false),
        ("user=scram password=wrong sslmode=require channel_binding=require", false),
    ] {
        let ours = server().ask(&at(words));
        assert_eq!(ours.is_ok(), gets_in, "{words}: {ours:?}");
        if let Some(reference) = server().ask_psql(&at(words)) {
            assert_eq!(ours.ok(), reference, "psql differs for {words}");
        }
    }
}

#[test]
fn certificates_that_were_taken_back() {
    for (list, gets_in) in [("empty.crl", true), ("revoked.crl", false)] {
        let conninfo = format!(
            "host=localhost port={} user=anyone dbname=postgres sslmode=verify-ca sslrootcert={} sslcrl={}",
            server().port,
            server().file("ca.crt").display(),
            server().file(list).display()
        );
        let ours = server().ask(&conninfo);
        if let Err(error) = &ours {
            assert!(error.to_string().contains("was revoked by its authority"), "{error}");
        }
        assert_eq!(ours.is_ok(), gets_in, "{list}: {ours:?}");
        if let Some(reference) = server().ask_psql(&conninfo) {
            assert_eq!(ours.ok(), reference, "psql differs for {list}");
        }
    }
}

#[test]
fn a_handshake_can_come_first() {
    let conninfo = format!("host=localhost port={} user=anyone dbname=postgres sslmode=require", server().port);
    let direct = server().ask(&format!("{conninfo} sslnegotiation=direct"));
    // Servers know it from 17 on.
    assert_eq!(direct.is_ok(), default_major() >= 17, "{direct:?}");
}

/// A server of which nobody knows what it is: it hangs up on startup messages with options, and is full otherwise.
#[test]
fn one_that_hangs_up_on_options_is_asked_without() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = socket.local_addr().expect("is bound").port();
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let mut message = [0; 1024];
            let length = stream.read(&mut message).unwrap_or_default();
            if !String::from_utf8_lossy(&message[..length]).contains("options") {
                let fields = b"SFATAL\0VFATAL\0C53300\0Mno room left\0\0";
                let size = u32::try_from(fields.len() + 4).expect("fits").to_be_bytes();
                let _ = stream.write_all(&[&b"E"[..], &size, fields].concat());
            }
        }
    });
    let error = server().ask(&format!("host=127.0.0.1 port={port} user=me sslmode=disable")).expect_err("is full");
    assert!(error.to_string().starts_with("no room left"), "{error}");
}

#[test]
fn a_statement_is_cancelled_over_tls_too() {
    let text = format!("host=localhost port={} user=anyone dbname=postgres sslmode=require", server().port);
    let error = block_on(async {
        let session = Session::open(&parse(&text), "test").await.expect("opens");
        let canceller = session.canceller();
        let (slept, ()) = tokio::join!(session.batch("SELECT pg_sleep(30)"), async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            canceller.cancel().await.expect("cancels");
        });
        slept.expect_err("was cancelled")
    });
    assert_eq!(error.sqlstate.as_deref(), Some("57014"));
}

#[test]
fn one_of_several_servers() {
    let db = TestDb::new();
    let name = db.connect.database();
    server().execute(&format!(
        "CREATE DATABASE {name} TEMPLATE template0; ALTER DATABASE {name} SET default_transaction_read_only = on"
    ));
    let (writable, port, dead) = (db.connect.hosts()[0].clone(), server().port, free_port());
    // The read-only one stands first.
    let both = format!("host=localhost,{writable} port={port},5432 user=postgres dbname={name}");
    let lands = |text: &str| {
        block_on(async {
            let session = Session::open(&parse(text), "test").await.map_err(|error| error.to_string())?;
            // The next session goes to the same server.
            let next = session.another("test").await.map_err(|error| error.to_string())?;
            assert_eq!(session.target().hosts(), next.target().hosts());
            Ok::<String, String>(session.target().hosts().join(","))
        })
    };
    for (wanted, host) in [
        ("any", "localhost"),
        ("read-write", &writable),
        ("read-only", "localhost"),
        ("primary", "localhost"),
        ("prefer-standby", "localhost"),
    ] {
        assert_eq!(lands(&format!("{both} target_session_attrs={wanted}")).as_deref(), Ok(host), "{wanted}");
    }
    let dead_first = format!("host=localhost,{writable} port={dead},5432 user=postgres dbname={name}");
    assert_eq!(lands(&dead_first).as_deref(), Ok(writable.as_str()));
    let unknown = format!("host=no-such-host.invalid,{writable} port=5432 user=postgres dbname={name}");
    assert_eq!(lands(&unknown).as_deref(), Ok(writable.as_str()));
    // As in libpq: one that answered and said no ends the search.
    let wrong = format!("host=localhost,{writable} port={port},5432 user=scram password=wrong dbname={name}");
    assert!(lands(&wrong).expect_err("is refused").contains("password authentication failed"));

    let mut said = lands(&format!("{both} target_session_attrs=standby")).expect_err("there is none");
    said.push_str("\n\n");
    said.push_str(
        &lands(&format!("{both} target_session_attrs=read-write").replace(&writable, "/nonexistent"))
            .expect_err("none is left"),
    );
    let said = said.replace(&port.to_string(), "PORT").replace(&writable, "SOCKET").replace(name, "DATABASE");
    assert_snapshot!("none_of_several", said.replace(&writable.replace('/', "%2F"), "SOCKET"));
    for _ in 0..4 {
        assert!(lands(&format!("{both} load_balance_hosts=random")).is_ok());
    }
}

/// A project that says nothing about its database, and a home directory with nothing in it.
fn project() -> Sandbox {
    let mut sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    sandbox.write("schema/.keep", "");
    sandbox.write("home/.keep", "");
    let home = sandbox.path("home").display().to_string();
    sandbox.set("HOME", &home);
    sandbox
}

fn keep_private(sandbox: &Sandbox, file: &str) {
    fs::set_permissions(sandbox.path(file), fs::Permissions::from_mode(0o600)).expect("it is there");
}

/// What `setpoint plan` prints, with what differs from run to run masked.
fn says(sandbox: &Sandbox) -> String {
    let text = shown(sandbox, None, &sandbox.run(&["plan"]));
    text.replace(&server().port.to_string(), "PORT")
        .replace(&server().file("").display().to_string(), "CERTIFICATES/")
        // As PostgreSQL 13 says it.
        .replace(", SSL off", ", no encryption")
        .replace(", SSL on", ", SSL encryption")
}

const NOTHING: &str = "exit 0\n--- stdout\nNothing to do.\n";

#[test]
fn variables_and_files_of_libpq() {
    let port = server().port.to_string();
    let mut sandbox = project();
    for (name, value) in [("PGHOST", "localhost"), ("PGUSER", "scram"), ("PGDATABASE", "postgres"), ("PGPORT", &port)] {
        sandbox.set(name, value);
    }
    assert_snapshot!("no_password", says(&sandbox));
    sandbox.write("home/.pgpass", &format!("localhost:{port}:postgres:scram:right\n"));
    fs::set_permissions(sandbox.path("home/.pgpass"), fs::Permissions::from_mode(0o644)).expect("it is there");
    assert_snapshot!("open_password_file", says(&sandbox));
    keep_private(&sandbox, "home/.pgpass");
    assert_eq!(says(&sandbox), NOTHING);
    sandbox.write("elsewhere", &format!("localhost:{port}:postgres:scram:wrong\n"));
    keep_private(&sandbox, "elsewhere");
    let file = sandbox.path("elsewhere").display().to_string();
    sandbox.set("PGPASSFILE", &file);
    assert_snapshot!("wrong_password_in_file", says(&sandbox));
    sandbox.set("PGPASSWORD", "wrong too");
    assert_snapshot!("wrong_password_in_variable", says(&sandbox));
    sandbox.set("PGPASSWORD", "right");
    assert_eq!(says(&sandbox), NOTHING);
    // The name decides over the certificate, the address over where to go.
    sandbox.set("PGHOST", "db.wild.test");
    sandbox.set("PGHOSTADDR", "127.0.0.1");
    sandbox.set("PGSSLMODE", "verify-full");
    let file = server().file("ca.crt").display().to_string();
    sandbox.set("PGSSLROOTCERT", &file);
    assert_eq!(says(&sandbox), NOTHING);
    sandbox.set("PGCHANNELBINDING", "require");
    assert_eq!(says(&sandbox), NOTHING);
    sandbox.set("PGREQUIREAUTH", "scram-sha-256");
    assert_eq!(says(&sandbox), NOTHING);
    sandbox.set("PGREQUIREAUTH", "password,md5");
    assert_snapshot!("another_method", says(&sandbox));
}

#[test]
fn services_and_dot_env() {
    let port = server().port.to_string();
    let mut sandbox = project();
    let service = format!(
        "# ours\n[other]\nhost=nowhere\n[app]\nhost=localhost\nport={port}\nuser=scram\ndbname=postgres\npassword=right\n"
    );
    sandbox.write("home/.pg_service.conf", &service);
    sandbox.set("PGSERVICE", "app");
    assert_eq!(says(&sandbox), NOTHING);
    sandbox.set("PGSERVICE", "nope");
    assert_snapshot!("no_such_service", says(&sandbox).replace("/etc/postgresql-common/pg_service.conf", "…"));
    sandbox.set("PGSERVICE", "");
    sandbox.write(".env", "DATABASE_URL=\"service=app\"\n");
    assert_eq!(says(&sandbox), NOTHING);
    sandbox.write("home/.pg_service.conf", &service.replace("=right", "=wrong"));
    assert_snapshot!("wrong_password_in_service", says(&sandbox));
    // The address of SQLAlchemy's kind, and libpq's variables from the same file.
    sandbox.write(
        ".env",
        &format!("DATABASE_URL=postgresql+asyncpg://scram@localhost:{port}/postgres?ssl=require\nPGPASSWORD=right\n"),
    );
    assert_eq!(says(&sandbox), NOTHING);
    // The process's own environment comes first.
    sandbox.set("DATABASE_URL", &format!("postgresql://anyone@localhost:{port}/no such"));
    assert_snapshot!("no_such_database", says(&sandbox));
}

#[test]
fn errors_of_the_five_teams() {
    let port = server().port.to_string();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent_port = silent.local_addr().expect("is bound").port().to_string();
    let dead = free_port().to_string();
    let mut sandbox = project();
    let ca = server().file("ca.crt").display().to_string();
    let other = server().file("other.crt").display().to_string();
    for (name, url) in [
        ("unresolved_container", format!("postgresql+psycopg://admin:secret@no-such-container:{port}/app")),
        ("unresolved", "postgresql://admin:secret@no-such-host.invalid/app".to_owned()),
        ("wrong_password", format!("postgresql+psycopg2://scram:secret@localhost:{port}/postgres")),
        ("not_running", format!("postgresql://me@localhost:{dead}/app")),
        ("no_socket", "postgresql://me@/app?host=/nonexistent".to_owned()),
        ("silent", format!("postgresql://me@localhost:{silent_port}/app?connect_timeout=2&sslmode=disable")),
        ("other_scheme", "sqlite:///app.db".to_owned()),
        ("tls_not_offered", format!("postgresql://me@localhost:{silent_port}/app?sslmode=require")),
        ("tls_missing", format!("postgresql://tls_only@localhost:{port}/postgres?sslmode=disable")),
        ("tls_unwanted", format!("postgresql://plain_only@localhost:{port}/postgres?sslmode=require")),
        ("nobody", format!("postgresql://nobody@localhost:{port}/postgres")),
        ("no_authorities", format!("postgresql://anyone@localhost:{port}/postgres?sslmode=verify-full")),
        (
            "no_file_of_authorities",
            format!("postgresql://anyone@localhost:{port}/postgres?sslmode=verify-ca&sslrootcert=/nonexistent"),
        ),
        (
            "unknown_authority",
            format!("postgresql://anyone@localhost:{port}/postgres?sslmode=verify-ca&sslrootcert={other}"),
        ),
        ("unknown_to_the_system", format!("postgresql://anyone@localhost:{port}/postgres?sslrootcert=system")),
        ("other_host", format!("postgresql://anyone@127.0.0.1:{port}/postgres?sslmode=verify-full&sslrootcert={ca}")),
        (
            "no_binding",
            format!("postgresql://scram:right@localhost:{port}/postgres?sslmode=disable&channel_binding=require"),
        ),
        ("no_client_certificate", format!("postgresql://certified@localhost:{port}/postgres")),
    ] {
        if name == "tls_not_offered" {
            // A server without TLS answers the request for it with one letter.
            let socket = silent.try_clone().expect("can be shared");
            std::thread::spawn(move || {
                while let Ok((mut stream, _)) = socket.accept() {
                    let mut request = [0; 8];
                    let _ = stream.read_exact(&mut request).and_then(|()| stream.write_all(b"N"));
                }
            });
        }
        sandbox.set("DATABASE_URL", &url);
        let text = says(&sandbox).replace(&silent_port, "PORT").replace(&dead, "PORT");
        assert!(!text.contains("secret"), "{text}");
        assert_snapshot!(name, text);
    }
}

#[test]
fn clients_show_certificates() {
    let mut sandbox = project();
    let (certificate, key) = (server().file("client.crt"), server().file("client.key"));
    let url = format!("postgresql://certified@localhost:{}/postgres?sslmode=require", server().port);
    sandbox.set("DATABASE_URL", &format!("{url}&sslcert={}&sslkey={}", certificate.display(), key.display()));
    assert_eq!(says(&sandbox), NOTHING);
    // The usual places.
    sandbox.set("DATABASE_URL", &url);
    sandbox.write("home/.postgresql/postgresql.crt", &fs::read_to_string(certificate).expect("it is there"));
    assert_snapshot!("no_key", says(&sandbox));
    sandbox.write("home/.postgresql/postgresql.key", &fs::read_to_string(key).expect("it is there"));
    fs::set_permissions(sandbox.path("home/.postgresql/postgresql.key"), fs::Permissions::from_mode(0o644))
        .expect("is there");
    assert_snapshot!("open_key", says(&sandbox));
    keep_private(&sandbox, "home/.postgresql/postgresql.key");
    assert_eq!(says(&sandbox), NOTHING);
    sandbox.write("home/.postgresql/root.crt", &fs::read_to_string(server().file("other.crt")).expect("it is there"));
    assert!(says(&sandbox).contains("not a trusted authority"), "a file of authorities also applies in mode require");
}
