//! `sslcertmode`: whether we present a client certificate, and what happens with servers that do not request one.

use std::fs;

use super::certs::{self, Spec};
use super::ends::{Between, psql_since, setpoint};
use super::fake::{Fake, Says};
use crate::tls_server::{TlsServer, give_away};

/// Asks setpoint, and psql where there is one that knows the parameter.
fn gets_in(conninfo: &str) -> bool {
    let ours = setpoint(conninfo);
    let inside = ours.contains("logged in");
    if let Some(reference) = psql_since(16, conninfo) {
        assert_eq!(inside, reference.contains("logged in"), "{conninfo}\nsetpoint: {ours}\npsql: {reference}");
    }
    inside
}

const VERSIONS: [&str; 2] = ["ssl_max_protocol_version=TLSv1.2", "ssl_min_protocol_version=TLSv1.3"];

fn at(port: u16, words: &str) -> String {
    format!("host=localhost port={port} dbname=postgres gssencmode=disable {words}")
}

#[test]
fn our_certificate_is_shown_as_we_want() {
    let server = TlsServer::start();
    let file = |name: &str| server.file(name).display().to_string();
    let broken = server.file("broken.key");
    fs::write(&broken, "no key at all").expect("can be written");
    give_away(&broken);
    let own = format!("sslcert={} sslkey={}", file("client.crt"), file("client.key"));
    let other = format!("sslcert={} sslkey={}", file("client.crt"), broken.display());
    let verified = format!("sslmode=verify-full sslrootcert={}", file("ca.crt"));
    for version in VERSIONS {
        for (words, expected) in [
            (format!("user=certified sslmode=require {own}"), true),
            (format!("user=certified sslmode=require sslcertmode=allow {own}"), true),
            (format!("user=certified sslmode=require sslcertmode=require {own}"), true),
            (format!("user=certified sslmode=prefer sslcertmode=require {own}"), true),
            (format!("user=certified {verified} sslcertmode=require {own}"), true),
            (format!("user=certified sslmode=require sslcertmode=disable {own}"), false),
            (format!("user=anyone sslmode=require sslcertmode=require {own}"), true),
            (format!("user=anyone sslmode=require sslcertmode=disable {own}"), true),
            ("user=anyone sslmode=require sslcertmode=require".to_owned(), false),
            ("user=anyone sslmode=require sslcertmode=require sslcert=/nonexistent".to_owned(), false),
            (format!("user=anyone sslmode=require sslcertmode=allow {other}"), false),
            // What is not shown is not read.
            (format!("user=anyone sslmode=require sslcertmode=disable {other}"), true),
            (format!("user=anyone sslmode=disable sslcertmode=require {own}"), false),
            (format!("user=anyone sslmode=require sslcertmode=prefer {own}"), false),
        ] {
            assert_eq!(gets_in(&at(server.port, &format!("{words} {version}"))), expected, "{words} {version}");
        }
    }
    // libpq comes without TLS first, and gives up when nobody asked.
    let allow = at(server.port, &format!("user=anyone sslmode=allow sslcertmode=require {own}"));
    assert!(setpoint(&allow).contains("logged in"));
    // libpq goes on without TLS, since it was asked when it came with TLS.
    let plain = at(server.port, &format!("user=plain_only sslmode=prefer sslcertmode=require {own}"));
    assert!(!setpoint(&plain).contains("logged in"));
    let socket = format!("host={} port={} user=anyone dbname=postgres", server.socket(), server.port);
    assert!(gets_in(&socket));
    assert!(!gets_in(&format!("{socket} sslcertmode=require {own}")));
}

#[test]
fn a_server_that_does_not_ask_is_refused() {
    let server = TlsServer::start();
    let own = format!("sslcert={} sslkey={}", server.file("client.crt").display(), server.file("client.key").display());
    let key = certs::key();
    let between = Between::start(&certs::of_key(&Spec::new("localhost"), &key), &key, server.port);
    for version in VERSIONS {
        let words = format!("user=anyone sslmode=require {own} {version}");
        assert!(!gets_in(&at(between.port, &format!("{words} sslcertmode=require"))));
    }
    let ours =
        setpoint(&at(between.port, &format!("user=scram password=right sslmode=require {own} sslcertmode=require")));
    assert!(ours.contains("does not ask for a certificate"), "{ours}");
    // It gets no password, either.
    let clear = Fake::on_port(Says::Clear);
    for mode in ["allow", "prefer", "require"] {
        let words = format!("user=me password=secret sslmode={mode} {own} sslcertmode=require");
        let ours = setpoint(&at(clear.port, &words).replace("localhost", "127.0.0.1"));
        assert!(!ours.contains("the end"), "{ours}");
        assert!(clear.heard().iter().all(|line| !line.starts_with("password")), "{mode}");
    }
}
