//! The other end of a connection: servers that present any certificate, a man in the middle, and who gets through to them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rcgen::KeyPair;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use setpoint::catalog::{Connect, Session};
use setpoint::scratch;

use crate::support::{Sandbox, block_on, skipped};

/// What a server of ours says to whoever accepted its certificate.
pub const IN: &str = "you are in";

/// A server that shows a certificate, and says no to whoever accepts it.
pub struct Shows {
    pub port: u16,
    config: Arc<Mutex<Option<Arc<ServerConfig>>>>,
}

impl Shows {
    pub fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = socket.local_addr().expect("is bound").port();
        let config: Arc<Mutex<Option<Arc<ServerConfig>>>> = Arc::default();
        let shown = Arc::clone(&config);
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let config = shown.lock().expect("nobody panicked").clone();
                std::thread::spawn(move || {
                    let mut stream = accept(stream, config?)?;
                    startup(&mut stream)?;
                    stream.write_all(&error(IN)).ok()
                });
            }
        });
        Self { port, config }
    }

    /// Shows that chain from now on.
    pub fn show(&self, chain: &[&[u8]], key: &KeyPair) {
        *self.config.lock().expect("nobody panicked") = Some(server_config(chain, key));
    }
}

/// A man in the middle: shows his own certificate, takes SCRAM-SHA-256-PLUS out of what the server offers, and passes the rest on.
pub struct Between {
    pub port: u16,
    through: Arc<AtomicBool>,
}

impl Between {
    pub fn start(certificate: &[u8], key: &KeyPair, server: u16) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = socket.local_addr().expect("is bound").port();
        let through = Arc::new(AtomicBool::new(false));
        let (config, seen) = (server_config(&[certificate], key), Arc::clone(&through));
        std::thread::spawn(move || {
            for client in socket.incoming().flatten() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                std::thread::spawn(move || relay(client, config, server, &seen));
            }
        });
        Self { port, through }
    }

    /// True if somebody logged in through him.
    pub fn got_through(&self) -> bool {
        self.through.load(Ordering::Relaxed)
    }
}

fn relay(client: TcpStream, config: Arc<ServerConfig>, server: u16, through: &AtomicBool) -> Option<()> {
    let mut client = accept(client, config)?;
    let mut server = join(server)?;
    server.write_all(&startup(&mut client)?).ok()?;
    loop {
        let (kind, body) = message(&mut server)?;
        let asks = u32::from_be_bytes(body.get(..4).map_or([0; 4], |four| four.try_into().expect("four")));
        let body = match (kind, asks) {
            (b'R', 10) => {
                let offers = String::from_utf8_lossy(&body[4..]).replace("SCRAM-SHA-256-PLUS\0", "");
                [&body[..4], offers.as_bytes()].concat()
            }
            (b'R', 0) => {
                through.store(true, Ordering::Relaxed);
                body
            }
            _ => body,
        };
        client.write_all(&frame(kind, &body)).ok()?;
        match (kind, asks) {
            (b'R', 10 | 11) => {
                let (kind, body) = message(&mut client)?;
                server.write_all(&frame(kind, &body)).ok()?;
            }
            (b'R', 0) | (b'E', _) => return None,
            _ => {}
        }
    }
}

/// Connects to a server as a client that takes any certificate.
fn join(port: u16) -> Option<StreamOwned<ClientConnection, TcpStream>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).ok()?;
    let mut answer = [0];
    stream.read_exact(&mut answer).ok()?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("are there")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    Some(StreamOwned::new(ClientConnection::new(Arc::new(config), name).ok()?, stream))
}

#[derive(Debug)]
struct Credulous;

impl rustls::client::danger::ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn server_config(chain: &[&[u8]], key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let key = default_provider().key_provider.load_private_key(key).expect("a key");
    let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("are there")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
    Arc::new(config)
}

type Accepted = StreamOwned<ServerConnection, TcpStream>;

/// Answers the request for TLS, and the handshake.
fn accept(mut stream: TcpStream, config: Arc<ServerConfig>) -> Option<Accepted> {
    let mut request = [0; 8];
    stream.read_exact(&mut request).ok()?;
    stream.write_all(b"S").ok()?;
    Some(StreamOwned::new(ServerConnection::new(config).ok()?, stream))
}

fn startup(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).checked_sub(4)?];
    stream.read_exact(&mut body).ok()?;
    Some([&length[..], &body].concat())
}

fn message(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    Some((kind[0], startup(stream)?[4..].to_vec()))
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(body.len() + 4).expect("fits").to_be_bytes(), body].concat()
}

fn error(message: &str) -> Vec<u8> {
    frame(b'E', format!("SFATAL\0VFATAL\0C53300\0M{message}\0\0").as_bytes())
}

/// What setpoint says when it is to connect there: in this process, or by the program that `SETPOINT_TEST_PROGRAM` names.
pub fn setpoint(conninfo: &str) -> String {
    if std::env::var_os("SETPOINT_TEST_PROGRAM").is_some() {
        let mut sandbox = Sandbox::empty();
        sandbox.write("setpoint.kdl", "");
        sandbox.write("schema/.keep", "");
        sandbox.set("HOME", "/nonexistent");
        sandbox.set("DATABASE_URL", conninfo);
        let outcome = sandbox.run(&["plan"]);
        let done = if outcome.code == 0 { "logged in" } else { "" };
        return format!("{done}{}{}", outcome.stdout, outcome.stderr);
    }
    let target = match Connect::resolve(Some(conninfo), &|_| None) {
        Ok(target) => target,
        Err(error) => return error.to_string(),
    };
    block_on(async {
        match Session::open(&target, "test").await {
            Ok(session) => {
                session.close().await;
                "logged in".to_owned()
            }
            Err(error) => error.to_string(),
        }
    })
}

/// What psql says, which is the reference; `None` where there is no psql, or it has no TLS and needs it.
pub fn psql(conninfo: &str) -> Option<String> {
    let program = find_psql();
    if program.is_none() {
        skipped("what libpq says of TLS", "there is no psql");
    }
    let output = Command::new(program?)
        .args([conninfo, "-wXAtc", "SELECT 'logged in'"])
        .env("HOME", "/nonexistent")
        .output()
        .expect("psql runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // One that was built without TLS has no opinion.
    let said = Some(said).filter(|said| !said.contains("SSL support is not compiled in"));
    if said.is_none() {
        skipped("what libpq says of TLS", "psql was built without it: SETPOINT_PSQL=FILE names another one");
    }
    said
}

/// As `psql`; `None` also where it is older than that major version, since it does not know all parameters.
pub fn psql_since(major: u32, conninfo: &str) -> Option<String> {
    static FOUND: OnceLock<Option<u32>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let output = Command::new(find_psql()?).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok();
        if found.is_some_and(|found| found < 16) {
            skipped(
                "what libpq says of newer parameters",
                &format!("{} is too old: SETPOINT_PSQL=FILE names another one", text.trim()),
            );
        }
        found
    });
    found.filter(|found| *found >= major).and_then(|_| psql(conninfo))
}

/// psql, which is the reference: the one that `SETPOINT_PSQL` names, else the one beside the server or in the path.
pub fn find_psql() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SETPOINT_PSQL") {
        return Some(PathBuf::from(named));
    }
    let beside = scratch::find(None).ok().map(|binaries| binaries.dir.join("psql"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside.into_iter().chain(std::env::split_paths(&path).map(|dir| dir.join("psql"))).find(|file| file.exists())
}
