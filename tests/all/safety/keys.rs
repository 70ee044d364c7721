//! Keys of every format: those of clients, with and without a passphrase, and those on the curve P-521.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use p521::ecdsa::signature::hazmat::PrehashSigner;
use p521::ecdsa::{Signature, SigningKey};
use p521::pkcs8::{EncodePrivateKey, EncodePublicKey};
use rcgen::KeyPair;
use sha2::{Digest, Sha256, Sha512};

use super::certs::{self, Made, Spec, algorithm, basic};
use super::ends::{psql, setpoint};
use crate::support::repository;
use crate::tls_server::{TlsServer, give_away};

const PASSPHRASE: &str = "open sesame";

/// A key on P-521, always the same for a number.
struct Curve {
    key: p521::SecretKey,
    subject: String,
}

impl Curve {
    fn new(number: u8, subject: &str) -> Self {
        let key = p521::SecretKey::from_slice(&[&[0][..], &[number; 65]].concat()).expect("a number on the curve");
        Self { key, subject: subject.to_owned() }
    }

    fn public(&self) -> Vec<u8> {
        self.key.public_key().to_public_key_der().expect("as DER").as_bytes().to_vec()
    }

    fn private(&self) -> Vec<u8> {
        self.key.to_pkcs8_der().expect("as DER").as_bytes().to_vec()
    }

    /// A certificate for a public key, signed with one of two hash functions.
    fn sign(&self, spec: &Spec, public: &[u8], short: bool) -> Vec<u8> {
        let key = SigningKey::from(self.key.clone());
        let sign = |message: &[u8]| {
            let hash = if short { Sha256::digest(message).to_vec() } else { Sha512::digest(message).to_vec() };
            let number = [vec![0; 66 - hash.len()], hash].concat();
            let signature: Signature = key.sign_prehash(&number).expect("signs");
            signature.to_der().as_bytes().to_vec()
        };
        let identifier = if short { "1.2.840.10045.4.3.2" } else { "1.2.840.10045.4.3.4" };
        certs::encode(spec, std::slice::from_ref(&self.subject), public, &algorithm(identifier, false), &sign)
    }
}

fn login(server: &TlsServer, words: &str) -> String {
    format!("host=localhost port={} dbname=postgres gssencmode=disable {words}", server.port)
}

/// Asks setpoint, and psql where there is one, which must agree.
fn gets_in(conninfo: &str) -> bool {
    let ours = setpoint(conninfo);
    assert!(!ours.contains(PASSPHRASE), "{ours}");
    let ours = ours.contains("logged in");
    if let Some(reference) = psql(conninfo) {
        assert_eq!(ours, reference.contains("logged in"), "{conninfo}\npsql: {reference}");
    }
    ours
}

/// A server that lets in whom a root of ours has signed.
fn server_that_trusts(root: &[u8]) -> TlsServer {
    let server = TlsServer::start_with("off");
    fs::write(server.file("ca.crt"), certs::pem("CERTIFICATE", root)).expect("can be written");
    server.present("on", "server.crt", "server.key");
    server
}

fn private(server: &TlsServer, name: &str, bytes: &[u8]) -> PathBuf {
    let file = server.file(name);
    fs::write(&file, bytes).expect("can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is there");
    file
}

#[test]
fn keys_of_clients_come_in_every_form() {
    let dir = repository().join("fixtures/certificates/keys");
    let plain = fs::read_to_string(dir.join("pkcs8.pem")).expect("it is there");
    let root = certs::root(&Spec::new("clients").with(basic(true, None)));
    let client = Spec::new("certified");
    let certificate = root.sign_for(&client, KeyPair::from_pem(&plain).expect("a key"));
    let server = server_that_trusts(&root.der);
    let file = private(&server, "own.crt", certs::pem("CERTIFICATE", &certificate.der).as_bytes());
    let words = |key: &PathBuf, more: &str| {
        login(
            &server,
            &format!("user=certified sslmode=require sslcert={} sslkey={} {more}", file.display(), key.display()),
        )
    };
    let mut seen = 0;
    for entry in fs::read_dir(&dir).expect("it is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = private(&server, &name, &fs::read(entry.path()).expect("it is there"));
        let locked = name.starts_with("locked") || name.starts_with("old");
        assert!(gets_in(&words(&key, &format!("sslpassword='{PASSPHRASE}'"))), "{name}");
        assert_eq!(gets_in(&words(&key, "")), !locked, "{name} without its passphrase");
        assert_eq!(gets_in(&words(&key, "sslpassword=wrong")), !locked, "{name} with a wrong passphrase");
        seen += 1;
    }
    assert!(seen >= 13, "{seen} files");
    let other = private(&server, "other.key", certs::key().serialize_pem().as_bytes());
    assert!(!gets_in(&words(&other, "")), "the key of somebody else");
    let junk = private(&server, "junk.key", b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAA==\n-----END EC PRIVATE KEY-----\n");
    assert!(!gets_in(&words(&junk, "sslpassword=x")), "what makes no sense");
}

#[test]
fn clients_of_version_1_get_in() {
    let root = certs::root(&Spec::new("clients").with(basic(true, None)));
    let server = server_that_trusts(&root.der);
    let own: Made = root.sign(&Spec::new("certified").version1());
    let file = private(&server, "own.crt", certs::pem("CERTIFICATE", &own.der).as_bytes());
    let key = private(&server, "own.key", own.key.serialize_pem().as_bytes());
    let conninfo =
        login(&server, &format!("user=certified sslmode=require sslcert={} sslkey={}", file.display(), key.display()));
    assert!(gets_in(&conninfo));
}

#[test]
fn the_curve_p521_is_known() {
    let root = Curve::new(1, "a root on P-521");
    let root_der = root.sign(&Spec::new(&root.subject).with(basic(true, None)), &root.public(), false);
    let server = server_that_trusts(&root_der);
    let trusted = server.file("ca.crt").display().to_string();
    let end = Curve::new(2, "");
    for (number, short) in [false, true].into_iter().enumerate() {
        let certificate = root.sign(&Spec::new("localhost"), &end.public(), short);
        let (crt, key) = (format!("curve{number}.crt"), format!("curve{number}.key"));
        private(&server, &crt, certs::pem("CERTIFICATE", &certificate).as_bytes());
        private(&server, &key, certs::pem("PRIVATE KEY", &end.private()).as_bytes());
        give_away(&server.file(&key));
        fs::set_permissions(server.file(&crt), fs::Permissions::from_mode(0o644)).expect("it is there");
        server.present("on", &crt, &key);
        // Servers want the curve among those for exchanging keys, too, in TLS 1.2: `ring` does not have it there.
        for version in ["", "ssl_min_protocol_version=TLSv1.3"] {
            let words = format!("user=anyone sslmode=verify-full sslrootcert={trusted} {version}");
            assert!(gets_in(&login(&server, &words)), "{version}, short hash: {short}");
        }
        let bound = "user=scram password=right sslmode=require channel_binding=require";
        assert!(gets_in(&login(&server, bound)), "short hash: {short}");
    }
    // A forged one has the right names.
    let forger = Curve::new(3, &root.subject);
    let certificate = forger.sign(&Spec::new("localhost"), &end.public(), false);
    private(&server, "forged.crt", certs::pem("CERTIFICATE", &certificate).as_bytes());
    fs::set_permissions(server.file("forged.crt"), fs::Permissions::from_mode(0o644)).expect("it is there");
    server.present("on", "forged.crt", "curve0.key");
    assert!(!gets_in(&login(&server, &format!("user=anyone sslmode=verify-ca sslrootcert={trusted}"))), "a forged one");
    // The client's own.
    let client = root.sign(&Spec::new("certified"), &Curve::new(4, "").public(), false);
    let file = private(&server, "client521.crt", certs::pem("CERTIFICATE", &client).as_bytes());
    let key = private(&server, "client521.key", certs::pem("PRIVATE KEY", &Curve::new(4, "").private()).as_bytes());
    let words = format!("user=certified sslmode=require sslcert={} sslkey={}", file.display(), key.display());
    assert!(gets_in(&login(&server, &words)), "a client's key");
}
