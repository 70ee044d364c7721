//! The architecture as a test: imports run one way, rooms do not know each other, each external crate has its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::{files, repository};

/// Each group may import from those before it, and within itself as long as there is no circle.
const GROUPS: &[&[&str]] = &[
    &["model"],
    &["sql", "kdl", "catalog"],
    &["kinds"],
    &["project", "load", "introspect", "sameness", "diff"],
    &["plan"],
    &["scratch", "prove", "ledger", "apply"],
    &["report"],
    &["cli"],
];

/// A foreign crate and the folders that may use it.
const PLACES: &[(&str, &[&str])] = &[
    ("tokio_postgres", &["catalog", "sameness", "scratch", "ledger", "apply"]),
    ("rustls", &["catalog"]),
    ("tokio_rustls", &["catalog"]),
    ("webpki", &["catalog"]),
    ("p521", &["catalog"]),
    ("pkcs8", &["catalog"]),
    ("x509_cert", &["catalog"]),
    ("just_kdl", &["kdl"]),
    ("kdl", &["kdl"]),
];

struct Source {
    /// `src/kinds/tables/table.rs`.
    path: String,
    /// `["kinds", "tables", "table"]`.
    parts: Vec<String>,
    /// The code without comments and tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = repository().join("src");
    files(&root, ".rs")
        .iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).expect("a file of src").with_extension("");
            let parts =
                inside.iter().map(|part| part.to_string_lossy().into_owned()).filter(|part| part != "mod").collect();
            let text = fs::read_to_string(path).expect("a file of src is text");
            // Tests inside of a file may reach for what its code may not.
            let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
            let code = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
            Source { path: Path::new("src").join(inside).with_extension("rs").display().to_string(), parts, code }
        })
        .filter(|source: &Source| !matches!(source.parts.as_slice(), [one] if one == "lib" || one == "main"))
        .collect()
}

/// Comments may name what code may not; a `//` in a string only hides the rest of its line.
fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// What follows each `prefix` that is not part of a longer word: the first segments of a path, braces opened up.
fn paths_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == ':' {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(heads(list)),
            None => found.extend(Some(word(rest)).filter(|word| !word.is_empty())),
        }
    }
    found
}

/// The first segment of each path in `a::b, c::{d, e}}`.
fn heads(list: &str) -> Vec<String> {
    let (mut depth, mut start, mut found) = (0, true, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && !c.is_whitespace() => {
                found.push(word(&list[at..]));
                start = false;
            }
            _ => {}
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rank(module: &str) -> Option<usize> {
    GROUPS.iter().position(|group| group.contains(&module))
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let Some(own) = rank(&source.parts[0]) else {
            wrong.push(format!("{} stands in no folder of the architecture", source.path));
            continue;
        };
        for used in paths_after(&source.code, "crate::") {
            match rank(&used) {
                Some(other) if other > own => {
                    wrong.push(format!("{} imports crate::{used}, which comes after it", source.path))
                }
                Some(_) if used != source.parts[0] => {
                    _ = edges.entry(source.parts[0].clone()).or_default().insert(used)
                }
                Some(_) => {}
                None => {
                    wrong.push(format!("{} imports crate::{used}, which has no place in the architecture", source.path))
                }
            }
        }
    }
    for from in edges.keys() {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in edges.get(module).into_iter().flatten() {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        if reached.contains(from) {
            wrong.push(format!("{from} imports itself through others"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rooms_do_not_know_each_other() {
    let sources: Vec<Source> = sources().into_iter().filter(|source| source.parts[0] == "kinds").collect();
    // A room is a file or a folder within the folder of its subject.
    let is_room = |source: &&Source| source.code.contains("pub static ROOM: ");
    let mut wrong: Vec<String> = sources
        .iter()
        .filter(|source| is_room(source) && source.parts.len() < 3)
        .map(|source| format!("{} is a room outside of the folders by subject", source.path))
        .collect();
    let inner: Vec<&Source> = sources.iter().filter(|source| source.parts.len() > 2).collect();
    let rooms: BTreeSet<&str> = inner.iter().copied().filter(is_room).map(|source| source.parts[2].as_str()).collect();
    assert!(rooms.contains("table"), "the rooms are found by their `ROOM`");
    let subjects: BTreeSet<&str> = inner.iter().map(|source| source.parts[1].as_str()).collect();
    for source in &inner {
        let own = source.parts[2].as_str();
        let up = |levels: usize| paths_after(&source.code, &"super::".repeat(levels));
        let depth = source.parts.len();
        let of_kinds: BTreeSet<String> =
            paths_after(&source.code, "crate::kinds::").into_iter().chain(up(depth - 1)).collect();
        // Otherwise a room could be reached unseen.
        for subject in of_kinds.iter().filter(|used| subjects.contains(used.as_str())) {
            wrong.push(format!("{} names the folder {subject}: write crate::kinds::… without it", source.path));
        }
        if !rooms.contains(own) {
            continue;
        }
        let used = of_kinds.into_iter().chain(up(depth - 2));
        for used in used.filter(|used| used != own && rooms.contains(used.as_str())) {
            wrong.push(format!("{} imports the room {used}", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_stay_in_their_places() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in PLACES {
            let uses = [format!("use {name}::"), format!("use ::{name}::"), format!("use {name};")];
            // Our own module kdl is reached as `kdl::` too; of the others, any path counts.
            let inline = *name != "kdl" && !paths_after(&source.code, &format!("{name}::")).is_empty();
            if (inline || uses.iter().any(|text| source.code.contains(text)))
                && !places.contains(&source.parts[0].as_str())
            {
                wrong.push(format!("{} uses the crate {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_its_subject_first() {
    let wrong: Vec<String> = files(&repository().join("src"), ".rs")
        .into_iter()
        .chain(files(&repository().join("tests"), ".rs"))
        .filter(|path| !fs::read_to_string(path).expect("a source file is text").starts_with("//! "))
        .map(|path| path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "these do not begin with //!:\n{}", wrong.join("\n"));
}

#[test]
fn paths_are_found() {
    let code = "use crate::model::{Ident, Result};\nuse crate::{sql, kdl::{Node, read}, catalog};\nlet x = crate::plan::make(); notcrate::y";
    let found: Vec<String> = paths_after(code, "crate::").into_iter().collect();
    assert_eq!(found, ["catalog", "kdl", "model", "plan", "sql"]);
}
