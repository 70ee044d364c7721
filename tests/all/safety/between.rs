//! A man in the middle under `sslmode=require`: whatever his certificate is signed with, the login is bound to the server's certificate, or
//! the server learns that it should have been.

use std::fs;

use rcgen::KeyPair;

use super::certs::{self, Spec, algorithm, rsa_pss};
use super::ends::{Between, psql, setpoint};
use crate::tls_server::{TlsServer, give_away};

/// Every way to sign a certificate that somebody may come up with, and whether it has a digest that logins can be bound to.
fn signatures() -> Vec<(&'static str, Vec<u8>, bool)> {
    let plain = |name, identifier, null| (name, algorithm(identifier, null), true);
    vec![
        plain("ECDSA-SHA1", "1.2.840.10045.4.1", false),
        plain("ECDSA-SHA224", "1.2.840.10045.4.3.1", false),
        plain("ECDSA-SHA256", "1.2.840.10045.4.3.2", false),
        plain("ECDSA-SHA384", "1.2.840.10045.4.3.3", false),
        plain("ECDSA-SHA512", "1.2.840.10045.4.3.4", false),
        plain("ECDSA-SHA3-256", "2.16.840.1.101.3.4.3.10", false),
        plain("RSA-MD5", "1.2.840.113549.1.1.4", true),
        plain("RSA-SHA1", "1.2.840.113549.1.1.5", true),
        plain("RSA-SHA224", "1.2.840.113549.1.1.14", true),
        plain("RSA-SHA256", "1.2.840.113549.1.1.11", true),
        plain("RSA-SHA384", "1.2.840.113549.1.1.12", true),
        plain("RSA-SHA512", "1.2.840.113549.1.1.13", true),
        plain("RSA-SHA512/256", "1.2.840.113549.1.1.16", true),
        plain("RSA-SHA3-512", "2.16.840.1.101.3.4.3.16", true),
        plain("DSA-SHA256", "2.16.840.1.101.3.4.3.2", false),
        ("RSA-PSS-SHA1", rsa_pss(None), true),
        ("RSA-PSS-SHA224", rsa_pss(Some("2.16.840.1.101.3.4.2.4")), true),
        ("RSA-PSS-SHA256", rsa_pss(Some("2.16.840.1.101.3.4.2.1")), true),
        ("RSA-PSS-SHA384", rsa_pss(Some("2.16.840.1.101.3.4.2.2")), true),
        ("RSA-PSS-SHA512", rsa_pss(Some("2.16.840.1.101.3.4.2.3")), true),
        ("Ed25519", algorithm("1.3.101.112", false), false),
        ("Ed448", algorithm("1.3.101.113", false), false),
        ("ML-DSA-44", algorithm("2.16.840.1.101.3.4.3.17", false), false),
        ("one that nobody knows", algorithm("1.2.3.4.5.6", false), false),
    ]
}

fn signed_so(algorithm: &[u8]) -> Spec {
    Spec { algorithm: Some(algorithm.to_vec()), ..Spec::new("localhost") }
}

fn login(port: u16, words: &str) -> String {
    format!("host=localhost port={port} user=scram password=right dbname=postgres gssencmode=disable {words}")
}

#[test]
fn nobody_in_between_gets_a_login() {
    let server = TlsServer::start();
    let mut let_through = Vec::new();
    let mut kinds: Vec<(&str, Vec<u8>, KeyPair)> = signatures()
        .into_iter()
        .map(|(name, algorithm, _)| {
            let key = certs::key();
            (name, certs::of_key(&signed_so(&algorithm), &key), key)
        })
        .collect();
    // A key of that kind, too.
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    kinds.push(("Ed25519 throughout", certs::of_key(&Spec::new("localhost"), &key), key));
    for (name, certificate, key) in &kinds {
        for mode in ["require", "prefer channel_binding=require"] {
            let between = Between::start(certificate, key, server.port);
            let conninfo = login(between.port, &format!("sslmode={mode}"));
            let said = setpoint(&conninfo);
            if between.got_through() || said.contains("logged in") {
                let_through.push(format!("{name}, {mode}: {said}"));
            }
            if mode == "require" && std::env::var_os("SETPOINT_TEST_PROGRAM").is_none() {
                assert!(said.contains("channel binding negotiation error"), "{name}: {said}");
                assert!(said.contains("somebody between you and the server"), "{name}: {said}");
            }
            if let Some(reference) = psql(&conninfo) {
                assert!(!reference.contains("logged in"), "{name}, {mode}: psql is let through");
            }
        }
    }
    assert!(let_through.is_empty(), "{}", let_through.join("\n"));
}

#[test]
fn logins_are_bound_to_certificates_of_every_kind() {
    let server = TlsServer::start();
    let mut wrong = Vec::new();
    let mut bound = 0;
    for (number, (name, algorithm, has_digest)) in signatures().into_iter().enumerate() {
        let key = certs::key();
        let (certificate_file, key_file) = (format!("kind{number}.crt"), format!("kind{number}.key"));
        let certificate = certs::pem("CERTIFICATE", &certs::of_key(&signed_so(&algorithm), &key));
        fs::write(server.file(&certificate_file), certificate).expect("can be written");
        fs::write(server.file(&key_file), key.serialize_pem()).expect("can be written");
        give_away(&server.file(&key_file));
        server.present("on", &certificate_file, &key_file);
        let conninfo = login(server.port, "sslmode=require channel_binding=require");
        let ours = setpoint(&conninfo);
        // The server may refuse to show a certificate, or not know its algorithm: then nobody gets in.
        if let Some(reference) = psql(&conninfo)
            && ours.contains("logged in") != reference.contains("logged in")
        {
            wrong.push(format!("{name}: {ours}\npsql: {reference}"));
        }
        if ours.contains("logged in") {
            bound += 1;
            assert!(has_digest, "{name}");
        } else if has_digest
            && ["ECDSA-SHA2", "ECDSA-SHA5", "RSA-SHA2", "RSA-PSS-SHA2"].iter().any(|kind| name.starts_with(kind))
        {
            wrong.push(format!("{name}: {ours}"));
        }
        if name == "Ed25519" && std::env::var_os("SETPOINT_TEST_PROGRAM").is_none() {
            let said = setpoint(&login(server.port, "sslmode=require"));
            assert!(said.contains("channel_binding=disable"), "{said}");
            let without = setpoint(&login(server.port, "sslmode=require channel_binding=disable"));
            assert!(without.contains("logged in"), "{without}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(bound >= 10, "only {bound} kinds");
}
