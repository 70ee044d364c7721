//! Who a server is: certificate chains of every kind, valid and invalid, and libpq's verdict on each.

use std::fs;

use rcgen::KeyPair;

use super::certs::{
    self, ADDRESS, ANY, CLIENT, DNS, Extension, Made, REGISTERED, SERVER, Spec, URI, X400, basic, issuer_key, limits,
    names, own_key, purposes, unknown, usage,
};
use super::ends::{IN, Shows, psql, setpoint};
use crate::support::TempDir;

const HOST: &str = "db.example.test";

/// One chain, and who should accept it.
pub struct Case {
    what: String,
    chain: Vec<Vec<u8>>,
    key: KeyPair,
    /// The file of authorities.
    roots: Vec<Vec<u8>>,
    /// Files in a folder, and what is said about it: `LISTS` stands for the folder.
    files: Vec<(String, String)>,
    words: String,
    host: &'static str,
    /// Under `verify-ca` and `verify-full`.
    verdict: [bool; 2],
    /// The same of libpq, where it takes what we refuse: `docs/connections.md` has the differences.
    libpq: [bool; 2],
}

impl Case {
    pub fn new(what: String, above: &[&Made], leaf: Made, roots: &[&Made], good: bool) -> Self {
        let chain = std::iter::once(leaf.der).chain(above.iter().map(|made| made.der.clone())).collect();
        let roots = roots.iter().map(|made| made.der.clone()).collect();
        let verdict = [good, good];
        Self {
            what,
            chain,
            key: leaf.key,
            roots,
            files: Vec::new(),
            words: String::new(),
            host: HOST,
            verdict,
            libpq: verdict,
        }
    }

    pub fn libpq(mut self, good: bool) -> Self {
        self.libpq = [good, good];
        self
    }

    pub fn lists(mut self, files: Vec<(String, String)>, words: &str) -> Self {
        (self.files, self.words) = (files, words.to_owned());
        self
    }
}

/// Shows each chain to setpoint, and to psql where there is one.
pub fn judge(cases: Vec<Case>) {
    let (server, dir) = (Shows::start(), TempDir::new());
    let (roots, lists) = (dir.path().join("roots.crt"), dir.path().join("lists"));
    let mut wrong = Vec::new();
    let (count, mut compared) = (cases.len(), 0);
    for case in cases {
        let text: String = case.roots.iter().map(|der| certs::pem("CERTIFICATE", der)).collect();
        fs::write(&roots, text).expect("can be written");
        server.show(&case.chain.iter().map(Vec::as_slice).collect::<Vec<_>>(), &case.key);
        let modes: &[(usize, &str)] = if case.verdict == [case.verdict[0]; 2] && case.libpq == [case.libpq[0]; 2] {
            &[(1, "verify-full")]
        } else {
            &[(0, "verify-ca"), (1, "verify-full")]
        };
        let _ = fs::remove_dir_all(&lists);
        fs::create_dir(&lists).expect("can be made");
        for (file, text) in &case.files {
            fs::write(lists.join(file), text).expect("can be written");
        }
        let words = case.words.replace("LISTS", &lists.display().to_string());
        for (index, mode) in modes {
            let conninfo = format!(
                "host={} hostaddr=127.0.0.1 port={} user=me dbname=d gssencmode=disable sslmode={mode} sslrootcert={} {words}",
                case.host,
                server.port,
                roots.display()
            );
            let ours = setpoint(&conninfo);
            if ours.contains(IN) != case.verdict[*index] {
                wrong.push(format!("{}, {mode}: {}", case.what, ours.lines().next().unwrap_or_default()));
            }
            if let Some(reference) = psql(&conninfo) {
                compared += 1;
                if reference.contains(IN) != case.libpq[*index] {
                    wrong.push(format!("{}, {mode}, psql: {}", case.what, reference.trim()));
                }
            }
        }
    }
    eprintln!("{count} chains, {compared} verdicts compared with psql");
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

fn good_names() -> Extension {
    names(&[(DNS, HOST.as_bytes())])
}

pub fn good_root() -> Spec {
    Spec::new("the root").with(basic(true, None)).with(usage(&[5, 6]))
}

pub fn good_between(name: &str) -> Spec {
    Spec::new(name).with(basic(true, None)).with(usage(&[5, 6]))
}

pub fn good_leaf() -> Spec {
    Spec::new("a server").with(good_names())
}

/// Roots: whether they may sign, and how many authorities may stand below them.
fn roots() -> Vec<(&'static str, Spec, bool, usize)> {
    let bare = || Spec::new("the root");
    let ca = || bare().with(basic(true, None));
    vec![
        ("a good root", good_root(), true, 9),
        ("a root without key usage", ca(), true, 9),
        ("a root of version 1", bare().version1(), true, 9),
        ("a root without basic constraints", bare(), false, 9),
        ("a root without basic constraints whose key usage says so", bare().with(usage(&[5])), true, 9),
        ("a root that says it is none", bare().with(basic(false, None)), false, 9),
        ("a root that may not sign", ca().with(usage(&[0, 6])), false, 9),
        ("a root for clients", good_root().with(purposes(&[CLIENT])), false, 9),
        ("a root for servers", good_root().with(purposes(&[CLIENT, SERVER])), true, 9),
        ("a root for anything", good_root().with(purposes(&[ANY])), false, 9),
        ("an expired root", good_root().years(2000, 2010), false, 9),
        ("a root of the future", good_root().years(2080, 2090), false, 9),
        ("a root with nobody below", bare().with(basic(true, Some(0))), true, 0),
        ("a root with one below", bare().with(basic(true, Some(1))), true, 1),
        ("a root with a critical extension", good_root().with(unknown()), false, 9),
        ("a root that names its key", good_root().with(own_key(b"one")).with(issuer_key(b"one")), true, 9),
        ("a root that names another key", good_root().with(own_key(b"one")).with(issuer_key(b"two")), false, 9),
    ]
}

/// Servers' certificates: whether they will do, and whether only directly below the root.
fn leaves() -> Vec<(&'static str, Spec, bool, bool)> {
    let named = |spec: Spec| spec.with(good_names());
    let bare = || Spec::new(HOST);
    vec![
        ("a server", good_leaf(), true, false),
        ("one by its common name", bare(), true, false),
        ("one for signing data", named(bare()).with(usage(&[0])), true, false),
        ("one for signing certificates", named(bare()).with(usage(&[5])), false, false),
        ("one for servers", named(bare()).with(purposes(&[SERVER])), true, false),
        ("one for clients", named(bare()).with(purposes(&[CLIENT])), false, false),
        ("one for anything", named(bare()).with(purposes(&[ANY])), false, false),
        ("one that is no authority", named(bare()).with(basic(false, None)), true, false),
        ("an authority", named(bare()).with(basic(true, None)), true, true),
        ("an authority for both", named(bare()).with(basic(true, None)).with(usage(&[0, 5])), true, true),
        ("one of version 1", bare().version1(), true, true),
        ("an expired one", good_leaf().years(2000, 2010), false, false),
        ("one of the future", good_leaf().years(2080, 2090), false, false),
        ("one with a critical extension", good_leaf().with(unknown()), false, false),
        (
            "one of Netscape's for clients",
            good_leaf().with(("2.16.840.1.113730.1.1", false, vec![3, 2, 7, 0x80])),
            false,
            false,
        ),
    ]
}

#[test]
fn roots_sign_only_what_they_may() {
    let mut cases = Vec::new();
    for (root_name, root_spec, signs, depth) in roots() {
        for (leaf_name, leaf_spec, fine, only_directly) in leaves() {
            let root = certs::root(&root_spec);
            let leaf = root.sign(&leaf_spec);
            cases.push(Case::new(format!("{leaf_name}, below {root_name}"), &[], leaf, &[&root], signs && fine));
            // The others differ in what does not depend on who signed them.
            if root_name == "a good root" || leaf_name == "a server" {
                let between = root.sign(&good_between("between"));
                let leaf = between.sign(&leaf_spec);
                let libpq = signs && fine && depth >= 1;
                let what = format!("{leaf_name}, one below {root_name}");
                cases.push(Case::new(what, &[&between], leaf, &[&root], libpq && !only_directly).libpq(libpq));
            }
            if leaf_name == "a server" {
                let first = root.sign(&good_between("first"));
                let second = first.sign(&good_between("second"));
                let leaf = second.sign(&leaf_spec);
                let what = format!("{leaf_name}, two below {root_name}");
                cases.push(Case::new(what, &[&second, &first], leaf, &[&root], signs && fine && depth >= 2));
            }
        }
    }
    judge(cases);
}

#[test]
fn chains_hold_together() {
    let mut cases = Vec::new();
    let bare = || Spec::new("between");
    let ca = || bare().with(basic(true, None));
    for (what, spec, good) in [
        ("a good one", good_between("between"), true),
        ("one without key usage", ca(), true),
        ("one without basic constraints", bare(), false),
        ("one whose key usage alone says so", bare().with(usage(&[5])), false),
        ("a server's", good_leaf(), false),
        ("one that may not sign", ca().with(usage(&[0])), false),
        ("one for clients", ca().with(purposes(&[CLIENT])), false),
        ("one for servers", ca().with(purposes(&[SERVER])), true),
        ("an expired one", ca().years(2000, 2010), false),
        ("one of version 1", bare().version1(), false),
        ("one with a critical extension", ca().with(unknown()), false),
        ("one with nobody below", bare().with(basic(true, Some(0))), true),
        ("one that permits the host", ca().with(limits(&["example.test"], &[])), true),
        ("one that permits another host", ca().with(limits(&["other.test"], &[])), false),
        ("one that excludes the host", ca().with(limits(&[], &["example.test"])), false),
    ] {
        let root = certs::root(&good_root());
        let between = root.sign(&spec);
        let leaf = || between.sign(&good_leaf());
        cases.push(Case::new(format!("{what} between"), &[&between], leaf(), &[&root], good));
        cases.push(Case::new(format!("{what} between, in the file"), &[], leaf(), &[&root, &between], good));
        cases.push(Case::new(format!("{what} between, missing"), &[], leaf(), &[&root], false));
        cases.push(Case::new(format!("{what} between, alone in the file"), &[], leaf(), &[&between], false));
        let forged = between.forged().sign(&good_leaf());
        cases.push(Case::new(format!("{what} between, forged"), &[&between], forged, &[&root], false));
        let second = between.sign(&good_between("second"));
        let good = good && what != "one with nobody below";
        let leaf = second.sign(&good_leaf());
        cases.push(Case::new(format!("{what} between, one more below"), &[&second, &between], leaf, &[&root], good));
    }
    let root = certs::root(&good_root());
    cases.push(Case::new("a forged one".to_owned(), &[], root.forged().sign(&good_leaf()), &[&root], false));
    let other = certs::root(&Spec::new("another root").with(basic(true, None)));
    cases.push(Case::new("that of a stranger".to_owned(), &[], other.sign(&good_leaf()), &[&root], false));
    cases.push(Case::new("one of two roots".to_owned(), &[], other.sign(&good_leaf()), &[&root, &other], true));
    for (what, identifier, good) in [("the root's key", &b"one"[..], true), ("another key", b"two", false)] {
        let root = certs::root(&good_root().with(own_key(b"one")));
        for (kind, leaf) in [("a server", good_leaf()), ("an authority", good_leaf().with(basic(true, None)))] {
            let what = format!("{kind} that names {what}");
            cases.push(Case::new(what, &[], root.sign(&leaf.with(issuer_key(identifier))), &[&root], good));
        }
        let between = root.sign(&good_between("between").with(issuer_key(identifier)));
        let what = format!("a server below one that names {what}");
        cases.push(Case::new(what, &[&between], between.sign(&good_leaf()), &[&root], good));
    }
    // A root that was made anew has the name of the old one, which is still in the file.
    let old = certs::root(&good_root().years(2000, 2010));
    cases.push(Case::new(
        "a root beside its expired namesake".to_owned(),
        &[],
        root.sign(&good_leaf()),
        &[&old, &root],
        true,
    ));
    judge(cases);
}

#[test]
fn certificates_that_are_their_own_root() {
    let mut cases = Vec::new();
    for (what, spec, good, _) in leaves() {
        let itself = certs::root(&spec);
        let key = KeyPair::try_from(itself.key.serialize_der()).expect("the same key");
        let shown = Made { der: itself.der.clone(), key, subject: itself.subject.clone() };
        cases.push(Case::new(format!("{what}, its own root"), &[], shown, &[&itself], good));
        let mimic = certs::root(&spec);
        cases.push(Case::new(format!("{what}, like one in the file"), &[], mimic, &[&itself], false));
        // That it is in the file does not make a root of what others signed.
        let root = certs::root(&good_root());
        let signed = root.sign(&spec);
        let pinned = vec![signed.der.clone()];
        let mut case = Case::new(format!("{what}, signed by others, in the file"), &[], signed, &[], false);
        case.roots = pinned;
        cases.push(case);
    }
    judge(cases);
}

#[test]
fn names_are_those_of_the_host() {
    let mut cases = Vec::new();
    let host = HOST.as_bytes();
    let broken: Extension = ("2.5.29.17", false, vec![0x30, 0x20, 0x82, 0x7F, b'x']);
    let foreign: Extension = ("2.5.29.17", false, vec![0x30, 3, 0x9E, 1, b'x']);
    // What they are; whether they are for the host if the common name is another one, and if it is the host's.
    let kinds: Vec<(&str, Vec<Extension>, bool, bool)> = vec![
        ("no alternative names", vec![], false, true),
        ("the host", vec![names(&[(DNS, host)])], true, true),
        ("the host in capitals", vec![names(&[(DNS, b"DB.Example.TEST")])], true, true),
        ("the host among others", vec![names(&[(URI, b"urn:x"), (DNS, b"x.test"), (DNS, host)])], true, true),
        ("its domain", vec![names(&[(DNS, b"*.example.test")])], true, true),
        ("too wide a domain", vec![names(&[(DNS, b"*.test")])], false, false),
        ("another host", vec![names(&[(DNS, b"db.other.test")])], false, false),
        ("only an address", vec![names(&[(ADDRESS, &[10, 0, 0, 1])])], false, true),
        ("only a URI", vec![names(&[(URI, b"postgresql://db.other.test")])], false, true),
        ("only a registered ID", vec![names(&[(REGISTERED, &[0x2A, 3])])], false, true),
        ("the host and a registered ID", vec![names(&[(REGISTERED, &[0x2A, 3]), (DNS, host)])], true, true),
        ("a name beyond ASCII", vec![names(&[(DNS, "dö.test".as_bytes())])], false, false),
        ("a name cut by a zero", vec![names(&[(DNS, b"db.example.test\0.evil.test")])], false, false),
        ("an empty list", vec![names(&[])], false, true),
        ("names that break off", vec![broken], false, false),
        ("names of no known kind", vec![foreign], false, false),
        ("an address of three bytes", vec![names(&[(ADDRESS, &[10, 0, 0])])], false, false),
    ];
    for (what, extensions, by_names, by_common) in kinds {
        for (common, expected) in [("a server", by_names), (HOST, by_common)] {
            let root = certs::root(&good_root());
            let spec = extensions.iter().cloned().fold(Spec::new(common), Spec::with);
            let mut case = Case::new(format!("{what}, called {common}"), &[], root.sign(&spec), &[&root], expected);
            let readable = !["names that break off", "names of no known kind"].contains(&what);
            // Whatever it is called, the chain is good.
            let chain = readable && !["a name cut by a zero", "an address of three bytes"].contains(&what);
            case.verdict = [chain, expected];
            case.libpq = [readable, expected];
            cases.push(case);
        }
    }
    let root = certs::root(&good_root());
    let x400 = |spec: Spec| spec.with(names(&[(X400, &[0x30, 0]), (DNS, host)]));
    cases.push(Case::new(
        "the host and an X.400 address".to_owned(),
        &[],
        root.sign(&x400(Spec::new("x"))),
        &[&root],
        true,
    ));
    judge(cases);
}

#[test]
fn limits_hold_for_every_name() {
    let mut cases = Vec::new();
    for (limit, permits) in [
        (limits(&["example.test"], &[]), true),
        (limits(&["test"], &["bank.test"]), true),
        (limits(&["bank.test"], &[]), false),
        (limits(&[], &["db.example.test"]), false),
    ] {
        for file_only in [false, true] {
            for (what, spec, by_common) in [
                ("a name", Spec::new("a server").with(good_names()), false),
                ("a common name alone", Spec::new(HOST), true),
                ("a common name and an address", Spec::new(HOST).with(names(&[(ADDRESS, &[127, 0, 0, 1])])), true),
                ("a common name and a URI", Spec::new(HOST).with(names(&[(URI, b"urn:x")])), true),
                ("version 1", Spec::new(HOST).version1(), true),
            ] {
                let limited = certs::root(&Spec::new("limited").with(basic(true, None)).with(limit.clone()));
                let free = certs::root(&good_root());
                // The limits are those of its own authority, or of another one in the file.
                let (signer, roots) =
                    if file_only { (&free, vec![&free, &limited]) } else { (&limited, vec![&limited]) };
                let permits = permits || file_only;
                let place = if file_only { "elsewhere in the file" } else { "above it" };
                let what = format!("{what}, {} {place}", if permits { "permitted" } else { "not permitted" });
                let mut case = Case::new(what, &[], signer.sign(&spec), &roots, permits);
                // libpq goes by a common name that is permitted; we do not where anything is limited.
                case.verdict = [permits, permits && !by_common];
                cases.push(case);
            }
        }
    }
    judge(cases);
}

/// Whatever is changed in a certificate, its signature does not fit any more; nor does reading it do harm.
#[test]
fn a_changed_byte_is_noticed() {
    let (server, dir) = (Shows::start(), TempDir::new());
    let file = dir.path().join("roots.crt");
    let root = certs::root(&good_root());
    let between = root.sign(&good_between("between"));
    let leaf = between.sign(&good_leaf());
    fs::write(&file, certs::pem("CERTIFICATE", &root.der)).expect("can be written");
    let conninfo = format!(
        "host={HOST} hostaddr=127.0.0.1 port={} user=me dbname=d sslmode=verify-full sslrootcert={}",
        server.port,
        file.display()
    );
    server.show(&[&leaf.der, &between.der], &leaf.key);
    assert!(setpoint(&conninfo).contains(IN));
    for place in 0..leaf.der.len() {
        let mut changed = leaf.der.clone();
        // One bit of each byte, another one at the next.
        changed[place] ^= 1 << (place % 8);
        server.show(&[&changed, &between.der], &leaf.key);
        let said = setpoint(&conninfo);
        assert!(!said.contains(IN), "byte {place}: {said}");
    }
}
