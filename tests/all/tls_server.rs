//! Servers that speak TLS, with certificates made for the occasion.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use setpoint::catalog::{Connect, Session, account};
use setpoint::model::Result;
use setpoint::scratch::{self, Server};

use crate::support::{TempDir, block_on, default_major};

/// Who may come in how; the names say it.
const HBA: &str = "
local    all all        trust
hostssl  all tls_only   all trust
hostnossl all plain_only all trust
hostssl  all certified  all cert
host     all scram      all scram-sha-256
host     all anyone     all trust
host     all postgres   all trust
";

const ROLES: &str = "SET password_encryption = 'scram-sha-256'; CREATE ROLE tls_only LOGIN; CREATE ROLE plain_only LOGIN; CREATE ROLE certified LOGIN; \
                     CREATE ROLE anyone LOGIN; CREATE ROLE scram LOGIN PASSWORD 'right'";

/// A server that listens on a port of localhost.
pub struct TlsServer {
    pub server: Server,
    pub port: u16,
    dir: TempDir,
}

impl TlsServer {
    /// A server with TLS on, and a certificate for `localhost` and `*.wild.test`.
    pub fn start() -> Self {
        Self::start_with("on")
    }

    /// As `start`; TLS may be `off` at first.
    pub fn start_with(ssl: &str) -> Self {
        let dir = TempDir::new();
        let file = |name: &str| dir.path().join(name);
        fs::write(file("pg_hba.conf"), HBA).expect("can be written");
        make_certificates(&dir);
        let port = free_port();
        let settings = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("hba_file", file("pg_hba.conf").display().to_string()),
            ("ssl_ca_file", file("ca.crt").display().to_string()),
        ];
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let binaries = scratch::find(Some(default_major())).unwrap_or_else(|error| panic!("{error}"));
        let server = Server::start_with(&binaries, &settings).unwrap_or_else(|error| panic!("{error}"));
        let made = Self { server, port, dir };
        made.execute(ROLES);
        made.present(ssl, "server.crt", "server.key");
        made
    }

    /// A file of the directory with the certificates.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory of its socket.
    pub fn socket(&self) -> String {
        self.server.connect("postgres").hosts()[0].clone()
    }

    /// Runs statements one by one as the superuser, over the socket.
    pub fn execute(&self, sql: &str) {
        block_on(async {
            let session = self.admin().await;
            for statement in sql.split(';') {
                session.batch(statement).await.unwrap_or_else(|error| panic!("{error}\n{statement}"));
            }
            session.close().await;
        });
    }

    async fn admin(&self) -> Session {
        let text = format!("host={} port={} user=postgres dbname=postgres", self.socket(), self.port);
        Session::open(&parse(&text), "test").await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Turns TLS on or off, with another certificate, and waits until the server has noticed.
    pub fn present(&self, ssl: &str, certificate: &str, key: &str) {
        let path = |name: &str| self.file(name).display().to_string();
        // The command line, which throwaway servers are configured with, would win over ALTER SYSTEM: so this is a file of its own.
        let conf = PathBuf::from(self.socket()).join("data/postgresql.auto.conf");
        let text = format!("ssl = {ssl}\nssl_cert_file = '{}'\nssl_key_file = '{}'\n", path(certificate), path(key));
        fs::write(conf, text).expect("can be written");
        block_on(async {
            self.admin().await.batch("SELECT pg_reload_conf()").await.expect("reloads");
            for _ in 0..200 {
                let session = self.admin().await;
                let now = session
                    .rows("SELECT current_setting('ssl'), current_setting('ssl_cert_file')", &[])
                    .await
                    .expect("answers")
                    .first_mut()
                    .map(|row| (row.text().to_string(), row.text().to_string()));
                if now == Some((ssl.to_owned(), path(certificate))) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            panic!("the server did not notice its new settings");
        });
    }

    /// Whether that gets in, and if so whether with TLS.
    pub fn ask(&self, conninfo: &str) -> Result<bool> {
        let target = parse(conninfo);
        block_on(async {
            let session = Session::open(&target, "test").await?;
            let mut rows =
                session.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.expect("answers");
            let tls = rows.first_mut().expect("one row").next::<bool>();
            session.close().await;
            Ok(tls)
        })
    }

    /// The same question to psql, which is the reference; `None` where there is no psql.
    pub fn ask_psql(&self, conninfo: &str) -> Option<Option<bool>> {
        let binaries = &self.server.binaries;
        if !binaries.dir.join("psql").exists() {
            return None;
        }
        let output = binaries
            .command("psql")
            .args([conninfo, "-wXAtc", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"])
            .env("HOME", "/nonexistent")
            .output()
            .expect("psql runs");
        Some(match String::from_utf8_lossy(&output.stdout).trim() {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        })
    }
}

/// A target of nothing but that text.
pub fn parse(conninfo: &str) -> Connect {
    Connect::resolve(Some(conninfo), &|_| None).unwrap_or_else(|error| panic!("{error}\n{conninfo}"))
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free").port()
}

/// Gives a file to the server's user, and to nobody else.
pub fn give_away(file: &std::path::Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is there");
    if account::current_uid() == Some(0) {
        let user = account::named("postgres").or_else(|| account::named("nobody")).expect("there is one");
        chown(file, Some(user.uid), Some(user.gid)).expect("root may do so");
    }
}

fn make_certificates(dir: &TempDir) {
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).expect("can be written");
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.pem(), Issuer::new(params, key))
    };
    let (ca, issuer) = authority("the right authority");
    write("ca.crt", ca);
    write("other.crt", authority("another authority").0);
    let signed = |names: &[&str], common: &str, years: (i32, i32)| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common);
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        params.serial_number = Some(SerialNumber::from(u64::try_from(common.len()).expect("fits")));
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
    };
    for (file, names, common, years) in [
        ("server", &["localhost", "*.wild.test"][..], "localhost", (2020, 2090)),
        ("address", &["127.0.0.1"], "anything", (2020, 2090)),
        ("common", &[], "localhost", (2020, 2090)),
        ("expired", &["localhost"], "localhost", (2020, 2021)),
        ("client", &[], "certified", (2020, 2090)),
    ] {
        let (certificate, key) = signed(names, common, years);
        write(&format!("{file}.crt"), certificate);
        write(&format!("{file}.key"), key);
    }
    // One list takes back what has the server's serial number, the other one nothing.
    for (file, numbers) in [("revoked.crl", &["localhost".len()][..]), ("empty.crl", &[])] {
        let revoked = |number: &usize| RevokedCertParams {
            serial_number: SerialNumber::from(u64::try_from(*number).expect("fits")),
            revocation_time: rcgen::date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2021, 1, 1),
            next_update: rcgen::date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        write(file, list.signed_by(&issuer).expect("a list").pem().expect("as text"));
    }
    // As `openssl req -x509` makes it: its own authority.
    let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    write("self.crt", params.self_signed(&key).expect("a certificate").pem());
    write("self.key", key.serialize_pem());
    write("version1.crt", include_str!("../../fixtures/certificates/version1.crt").to_owned());
    write("version1.key", include_str!("../../fixtures/certificates/version1.key").to_owned());
    write("root.crt", include_str!("../../fixtures/certificates/root.crt").to_owned());
    for name in ["server", "address", "common", "expired", "self", "version1"] {
        give_away(&dir.path().join(format!("{name}.key")));
    }
    fs::set_permissions(dir.path().join("client.key"), fs::Permissions::from_mode(0o600)).expect("it is there");
}
