//! Connection strings, password files and services: read as libpq reads them, and repeated by no error.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use setpoint::catalog::{Connect, Session};

use crate::safety::ends::{find_psql, psql_since, setpoint};
use crate::safety::fake::{Fake, Says};
use crate::support::{Sandbox, TempDir, block_on};

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).expect("fits")
    }

    fn text(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        let count = self.roll(most + 1);
        (0..count).flat_map(|_| pieces[self.roll(pieces.len())].to_vec()).collect()
    }
}

type Variables = BTreeMap<&'static str, String>;

/// What a server hears from us.
fn ours(server: &Fake, variables: &Variables) -> Vec<String> {
    let env = |name: &str| variables.get(name).cloned();
    if let Ok(target) = Connect::resolve(None, &env) {
        block_on(async { _ = Session::open(&target, "test").await.err() });
    }
    known(server.heard())
}

/// What it hears from psql.
fn reference(psql: &Path, server: &Fake, variables: &Variables) -> Vec<String> {
    let mut command = Command::new(psql);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    let _ = command.envs(variables).args(["-wXAtc", "SELECT 1"]).output().expect("psql runs");
    known(server.heard())
}

/// User and database of the startup message, and the password.
fn known(heard: Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    for line in heard {
        match line.strip_prefix("startup ") {
            Some(fields) => {
                let fields: Vec<&str> = fields.split('\0').collect();
                let named = |name: &str| fields.iter().position(|field| field.ends_with(name)).map(|at| fields[at + 1]);
                out.push(format!("{:?} {:?}", named("user"), named("database")));
            }
            None => out.push(line),
        }
    }
    out.dedup();
    out
}

fn variables(dir: &TempDir, server: &Fake) -> Variables {
    let home = dir.path().display().to_string();
    let port = server.port.to_string();
    let pairs = [
        ("HOME", home.as_str()),
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "u"),
        ("PGDATABASE", "d"),
        ("PGSSLMODE", "disable"),
    ];
    pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

#[test]
fn password_files_are_read_as_by_libpq() {
    let (dir, server, mut dice) = (TempDir::new(), Fake::on_port(Says::Clear), Dice(7));
    let file = dir.path().join(".pgpass");
    let variables = variables(&dir, &server);
    let port = server.port.to_string();
    let psql = find_psql();
    let field = |dice: &mut Dice, right: &str| -> Vec<u8> {
        match dice.roll(8) {
            0 => dice.text(&[b"*", b"\\", b":", b"\\:", b"x", b" "], 3),
            1 => [b"\\", right.as_bytes()].concat(),
            2 | 3 => b"*".to_vec(),
            _ => right.as_bytes().to_vec(),
        }
    };
    let pieces: [&[u8]; 9] = [b"a", b"\\", b":", b"\\:", b"\\\\", b"\xff\xfe", b" ", b"#", b"'"];
    let mut passwords = 0;
    for round in 0..120 {
        let mut text = Vec::new();
        for _ in 0..=dice.roll(3) {
            let line =
                [field(&mut dice, "127.0.0.1"), field(&mut dice, &port), field(&mut dice, "d"), field(&mut dice, "u")];
            text.extend(line.join(&b':'));
            text.push(b':');
            text.extend(dice.text(&pieces, 6));
            text.extend_from_slice([&b"\n"[..], b"\r\n", b"\n\n", b"\n# c:c\n"][dice.roll(4)]);
        }
        fs::write(&file, &text).expect("can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("is there");
        let found = ours(&server, &variables);
        passwords += usize::from(found.iter().any(|line| line.starts_with("password")));
        if let Some(psql) = &psql {
            let expected = reference(psql, &server, &variables);
            assert_eq!(found, expected, "round {round}: {}", String::from_utf8_lossy(&text));
        }
    }
    assert!(passwords > 20, "only {passwords} of the files had a password that fits");
}

#[test]
fn services_are_read_as_by_libpq() {
    let (dir, server, mut dice) = (TempDir::new(), Fake::on_port(Says::Clear), Dice(11));
    let file = dir.path().join(".pg_service.conf");
    let mut variables = variables(&dir, &server);
    for name in ["PGUSER", "PGDATABASE"] {
        variables.remove(name);
    }
    variables.insert("PGSERVICE", "app".to_owned());
    variables.insert("PGSYSCONFDIR", dir.path().join("none").display().to_string());
    let psql = find_psql();
    let lines: [&[u8]; 20] = [
        b"[app]",
        b"[app] more",
        b"[application]",
        b"[other]",
        b" [app]",
        b"user=one",
        b"user=two",
        b" user=three ",
        b"user = four",
        b"dbname=first",
        b"dbname= second",
        b"dbname=",
        b"password=sesame",
        b"password=\xff",
        b"password=a=b",
        b"# user=no",
        b"",
        b"junk",
        b"service=other",
        b"nonsense=1",
    ];
    let mut in_all = 0;
    for round in 0..120 {
        let mut text: Vec<u8> = if dice.roll(2) == 0 { b"[app]\nuser=me\ndbname=d\n".to_vec() } else { Vec::new() };
        for _ in 0..dice.roll(7) {
            // Lines that end everything come less often.
            let line = lines[if dice.roll(4) == 0 { dice.roll(20) } else { dice.roll(17) }];
            text.extend_from_slice(line);
            text.extend_from_slice(if dice.roll(5) == 0 { b"\r\n" } else { b"\n" });
        }
        fs::write(&file, &text).expect("can be written");
        let found = ours(&server, &variables);
        in_all += usize::from(!found.is_empty());
        if let Some(psql) = &psql {
            let expected = reference(psql, &server, &variables);
            assert_eq!(found, expected, "round {round}:\n{}", String::from_utf8_lossy(&text));
        }
    }
    assert!(in_all > 20, "only {in_all} of the files could be read");
}

/// Lists of methods, right and wrong, shown to servers that ask for each: who lets himself be asked gets to “the end”.
#[test]
fn lists_of_methods_mean_what_they_mean_to_libpq() {
    let servers = [Says::Clear, Says::Md5, Says::Scram, Says::Welcome].map(Fake::on_port);
    let words = ["password", "md5", "gss", "sspi", "scram-sha-256", "none", "creds", ""];
    let (mut dice, mut asked, mut refused) = (Dice(5), 0, 0);
    for round in 0..30 {
        let negative = if dice.roll(2) == 0 { "!" } else { "" };
        let list: Vec<String> = (0..=dice.roll(4))
            .map(|_| {
                let sign = if dice.roll(16) == 0 { "!" } else { negative };
                let word = if dice.roll(12) == 0 { words[dice.roll(8)] } else { words[dice.roll(6)] };
                format!("{sign}{word}")
            })
            .collect();
        let list = list.join(",");
        for server in &servers {
            let conninfo = format!(
                "host=127.0.0.1 port={} user=u dbname=d password=secret sslmode=disable gssencmode=disable require_auth='{list}'",
                server.port
            );
            let ours = setpoint(&conninfo).contains("the end");
            *if ours { &mut asked } else { &mut refused } += 1;
            if let Some(reference) = psql_since(16, &conninfo) {
                assert_eq!(ours, reference.contains("the end"), "round {round}: {list}\n{reference}");
            }
        }
    }
    assert!(asked > 20 && refused > 20, "{asked} and {refused}");
}

/// What `PQconndefaults` of PostgreSQL 18 names, and what earlier versions did.
const LIBPQ: &str = "service user password passfile channel_binding connect_timeout dbname host hostaddr port client_encoding options \
    application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout \
    sslmode sslnegotiation sslcompression sslcert sslkey sslcertmode sslpassword sslrootcert sslcrl sslcrldir sslsni requirepeer \
    require_auth min_protocol_version max_protocol_version ssl_min_protocol_version ssl_max_protocol_version gssencmode krbsrvname \
    gsslib gssdelegation replication target_session_attrs load_balance_hosts scram_client_key scram_server_key oauth_issuer \
    oauth_client_id oauth_client_secret oauth_scope sslkeylogfile servicefile authtype tty";

#[test]
fn every_parameter_of_libpq_is_known() {
    for name in LIBPQ.split_whitespace() {
        let error = Connect::resolve(Some(&format!("{name}=1")), &|_| None).err().map(|error| error.to_string());
        assert!(error.as_ref().is_none_or(|text| !text.contains("unknown")), "{name}: {error:?}");
        // Refused means with a reason.
        assert!(error.as_ref().is_none_or(|text| text.contains(name) || text.contains("service")), "{name}: {error:?}");
    }
}

#[test]
fn no_error_repeats_a_password() {
    let mut sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    sandbox.write("schema/.keep", "");
    let dead = "127.0.0.1:1";
    for address in [
        "password=my SECRETWORD sslmode=require".to_owned(),
        "password=my SECRETWORD=x sslmode=require".to_owned(),
        "me:SECRETWORD@localhost/app".to_owned(),
        "me:SECRETWORD=@localhost/app".to_owned(),
        format!("postgresql://me:SECRETWORD@{dead}/app"),
        format!("postgresql://me:SECRETWORD/x@{dead}/app"),
        format!("postgresql://me:123/SECRETWORD@{dead}/app"),
        format!("postgresql://me:SECRETWORD:x/@{dead}/app"),
        format!("postgresql://me:?SECRETWORD@{dead}/app"),
        format!("postgresql://me:x&SECRETWORD=x@{dead}/app?a"),
        format!("postgresql://me:[SECRETWORD@{dead}/app"),
        format!("postgresql://me:%SECRETWORD@{dead}/app"),
        format!("mysql://me:SECRETWORD@{dead}/app"),
        format!("dbname=postgresql://me:SECRETWORD@{dead}/app"),
        format!("host=127.0.0.1 port=1 password='x' 'SECRETWORD' dbname={dead}"),
        "port=SECRETWORD".to_owned(),
        "sslmode=SECRETWORD".to_owned(),
    ] {
        sandbox.set("DATABASE_URL", &address);
        let outcome = sandbox.run(&["plan"]);
        assert!(outcome.code != 0);
        assert!(!format!("{outcome:?}").contains("SECRETWORD"), "{address}\n{}", outcome.stderr);
        let outcome = sandbox.run(&["plan", "--url", &address]);
        assert!(!format!("{outcome:?}").contains("SECRETWORD"), "--url {address}\n{}", outcome.stderr);
    }
}
