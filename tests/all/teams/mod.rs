//! Five teams that came from Alembic: what each of them does, and the errors that each of them met, through the program.

mod city;
mod counselling;
mod docs;
mod operations;
mod template;
mod tutoring;

use crate::support::{Outcome, Sandbox};

/// Makes sure that words were said.
pub fn says(outcome: &Outcome, words: &[&str]) {
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    for word in words {
        assert!(text.contains(word), "no “{word}” in:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// Replaces a part of a file, as an editor does.
pub fn edit(sandbox: &Sandbox, path: &str, from: &str, to: &str) {
    let text = sandbox.read(path);
    assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
    sandbox.write(path, &text.replacen(from, to, 1));
}

/// A step by hand with the one that takes it back.
pub fn by_hand(sql: &str, back: &str) -> String {
    format!(
        "    step manual transaction=1 {{\n        sql \"\"\"\n            {sql}\n            \"\"\"\n        inverse manual \
         transaction=1 {{\n            sql \"\"\"\n                {back}\n                \"\"\"\n        }}\n    }}\n"
    )
}

/// Writes steps into an empty plan.
pub fn write_steps(sandbox: &Sandbox, path: &str, steps: &str) {
    let text = sandbox.read(path);
    let (head, tail) = text.rsplit_once("\n}").expect("a plan ends with a brace");
    sandbox.write(path, &format!("{head}\n{steps}}}{tail}"));
}
