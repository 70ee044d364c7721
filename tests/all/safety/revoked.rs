//! Lists of revoked certificates: in a file (`sslcrl`), and in folders as `openssl rehash` prepares them (`sslcrldir`).

use sha1::{Digest, Sha1};

use super::certs::{self, Made, Spec, basic, usage};
use super::chains::{Case, good_between, good_leaf, good_root, judge};

fn text(list: &[u8]) -> String {
    certs::pem("X509 CRL", list)
}

/// OpenSSL's hash of a name: SHA-1 of its canonical form, the first four bytes as a number.
fn hashed(issuer: &Made) -> String {
    let canonical: Vec<String> = issuer.subject.iter().map(|common| common.to_lowercase()).collect();
    let name = certs::distinguished(&canonical);
    // Without the sequence around the parts: these names are short.
    let digest = Sha1::digest(&name[2..]);
    format!("{:02x}{:02x}{:02x}{:02x}", digest[3], digest[2], digest[1], digest[0])
}

/// A root whose own number differs from those of servers.
fn root(usages: &[u8]) -> Made {
    certs::root(&Spec::new("The Root").with(basic(true, None)).with(usage(usages)).numbered(9))
}

/// The same lists in a file, and in a folder.
fn everywhere(cases: &mut Vec<Case>, what: &str, good: bool, signer: &Made, root: &Made, lists: &[(&Made, Vec<u8>)]) {
    let above = if signer.der == root.der { vec![] } else { vec![signer] };
    let file = vec![("all".to_owned(), lists.iter().map(|(_, list)| text(list)).collect())];
    let case = |what: String| Case::new(what, &above, signer.sign(&good_leaf()), &[root], good);
    cases.push(case(format!("{what}, in a file")).lists(file, "sslcrl=LISTS/all"));
    let mut folder: Vec<(String, String)> = Vec::new();
    for (issuer, list) in lists {
        let hash = hashed(issuer);
        let number = folder.iter().filter(|(name, _)| name.starts_with(&hash)).count();
        folder.push((format!("{hash}.r{number}"), text(list)));
    }
    cases.push(case(format!("{what}, in a folder")).lists(folder, "sslcrldir=LISTS"));
}

#[test]
fn lists_are_fresh_and_of_the_authority() {
    let mut cases = Vec::new();
    for (what, lists, good) in [
        ("a list without it", vec![((2020, 2090), vec![1])], true),
        ("an empty list", vec![((2020, 2090), vec![])], true),
        ("a list with it", vec![((2020, 2090), vec![certs::NUMBER])], false),
        ("a stale list", vec![((2020, 2021), vec![])], false),
        ("a list of the future", vec![((2080, 2090), vec![])], false),
        ("a stale list and a fresh one", vec![((2020, 2021), vec![]), ((2021, 2090), vec![])], true),
    ] {
        for (signs, usages) in [(true, &[5, 6][..]), (false, &[5])] {
            let root = root(usages);
            let lists: Vec<(&Made, Vec<u8>)> =
                lists.iter().map(|(years, numbers)| (&root, certs::list(&root, *years, numbers))).collect();
            let may = if signs { "" } else { " of a root that may sign none" };
            everywhere(&mut cases, &format!("{what}{may}"), good && signs, &root, &root, &lists);
        }
    }
    let years = (2020, 2090);
    let (root, other) = (root(&[5, 6]), certs::root(&Spec::new("another").with(basic(true, None))));
    let between = root.sign(&good_between("Between"));
    everywhere(
        &mut cases,
        "a list of somebody else",
        false,
        &root,
        &root,
        &[(&other, certs::list(&other, years, &[]))],
    );
    let own = certs::list(&root, years, &[9]);
    everywhere(&mut cases, "a root that revoked itself", false, &root, &root, &[(&root, own)]);
    let (good, bad) = (certs::list(&root, years, &[]), certs::list(&root, years, &[between_number()]));
    let below = certs::list(&between, years, &[]);
    everywhere(&mut cases, "lists of both", true, &between, &root, &[(&root, good.clone()), (&between, below.clone())]);
    everywhere(&mut cases, "a list of the root alone", false, &between, &root, &[(&root, good)]);
    everywhere(&mut cases, "a list of the other alone", false, &between, &root, &[(&between, below.clone())]);
    everywhere(&mut cases, "one between that was revoked", false, &between, &root, &[(&root, bad), (&between, below)]);
    judge(cases);
}

fn between_number() -> u8 {
    good_between("Between").number
}

#[test]
fn folders_are_read_as_by_openssl() {
    let root = certs::root(&good_root().numbered(9));
    let (hash, years) = (hashed(&root), (2020, 2090));
    let good = text(&certs::list(&root, years, &[]));
    let bad = text(&certs::list(&root, years, &[certs::NUMBER]));
    let stale = text(&certs::list(&root, (2020, 2021), &[]));
    let mut cases = Vec::new();
    let mut case = |what: &str, files: &[(String, &String)], words: &str, good: bool, libpq: bool| {
        let files = files.iter().map(|(name, text)| (name.clone(), (*text).clone())).collect();
        let case = Case::new(what.to_owned(), &[], root.sign(&good_leaf()), &[&root], good);
        cases.push(case.libpq(libpq).lists(files, words));
    };
    let (first, second, junk) = (format!("{hash}.r0"), format!("{hash}.r1"), "junk".to_owned());
    let folder = "sslcrldir=LISTS";
    case("an empty folder", &[], folder, false, false);
    case("a folder that is not there", &[], "sslcrldir=LISTS/none", false, false);
    case("two folders", &[(first.clone(), &good)], "sslcrldir=/nonexistent.d:LISTS", false, true);
    case("two folders that are there", &[(first.clone(), &good)], "sslcrldir=/:LISTS", true, true);
    case("junk beside a list", &[("README".to_owned(), &junk), (first.clone(), &good)], folder, true, true);
    case("a broken second list", &[(first.clone(), &good), (second.clone(), &junk)], folder, true, true);
    case("a broken list", &[(first.clone(), &junk)], folder, false, false);
    case("a list without a hash", &[("root.crl".to_owned(), &good)], folder, false, false);
    case("a certificate's name", &[(format!("{hash}.0"), &good)], folder, false, false);
    case(
        "the tenth list",
        &(0..=10).map(|n| (format!("{hash}.r{n}"), if n < 10 { &stale } else { &good })).collect::<Vec<_>>(),
        folder,
        true,
        true,
    );
    // Whoever named it so, the list is the authority's: `docs/connections.md` has the difference.
    case("a wrong hash", &[("01234567.r0".to_owned(), &good)], folder, true, false);
    case("a wrong hash and bad news", &[("01234567.r0".to_owned(), &bad)], folder, false, false);
    case("no first list", &[(second.clone(), &good)], folder, true, false);
    case("a file and a folder", &[("all".to_owned(), &good)], "sslcrl=LISTS/all sslcrldir=LISTS", true, true);
    case(
        "bad news in the folder alone",
        &[("all".to_owned(), &stale), (first.clone(), &bad)],
        "sslcrl=LISTS/all sslcrldir=LISTS",
        false,
        false,
    );
    case("a file with no list", &[("all".to_owned(), &String::new())], "sslcrl=LISTS/all", false, true);
    judge(cases);
}
