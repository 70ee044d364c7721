//! The colours; whether they are used is decided where the text is printed.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};

use crate::model::{begins_command, harmless};
use crate::plan::Action;

use super::tree::Mark;

pub(super) const ADD: Style = AnsiColor::Green.on_default();
pub(super) const CHANGE: Style = AnsiColor::Yellow.on_default();
pub(super) const REMOVE: Style = AnsiColor::Red.on_default();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();

/// Text in a style. Until it is finished, nothing but what follows the key of this process counts as a style: names and
/// texts of others cannot have it.
pub(super) fn paint(style: Style, text: &str) -> String {
    let key = key();
    if text.is_empty() { String::new() } else { format!("{key}{style}{KEY_END}{text}{key}{style:#}{KEY_END}") }
}

const KEY_END: char = '\u{7}';

/// What no text of others can hold, because it cannot be guessed.
fn key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| format!("\u{1b}{:016x}", RandomState::new().build_hasher().finish()))
}

/// A text that people are to see, with its styles; whatever else a terminal would obey is named, and so is what begins a line that a
/// CI system would obey: `::error::…`, `::stop-commands::…`.
pub fn finish(text: &str) -> String {
    let text = uncommanded(text);
    let mut parts = text.split(key());
    let mut out = harmless(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let (style, rest) = part.split_once(KEY_END).unwrap_or((part, ""));
        out.push_str(style);
        out.push_str(&harmless(rest));
    }
    out
}

/// The text without commands to CI systems: their first colon is named.
fn uncommanded(text: &str) -> Cow<'_, str> {
    if !text.contains("::") {
        return text.into();
    }
    // Styles come to nothing in a log.
    let plain = |line: &str| {
        let mut parts = line.split(key());
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |out, part| out + part.split_once(KEY_END).map_or(part, |(_, rest)| rest))
    };
    let lines = text.split_inclusive('\n').map(|line| {
        if begins_command(line) || line.contains(key()) && begins_command(&plain(line)) {
            line.replacen("::", "<U+003A>:", 1)
        } else {
            line.to_owned()
        }
    });
    lines.collect::<String>().into()
}

/// The sign of what happens to an object: `+ ~ -`, `>` for renames, `±` for what is recreated, `*` for steps by hand.
pub(super) const fn sign(mark: Mark) -> (&'static str, Style) {
    match mark {
        Mark::Create => ("+", ADD),
        Mark::Drop => ("-", REMOVE),
        Mark::Alter => ("~", CHANGE),
        Mark::Rename => (">", CHANGE),
        Mark::Replace => ("±", CHANGE),
        Mark::Manual => ("*", CHANGE),
    }
}

/// What one step does to its object.
pub(super) const fn mark(action: Action) -> Mark {
    match action {
        Action::Create => Mark::Create,
        Action::Drop => Mark::Drop,
        Action::Alter => Mark::Alter,
        Action::Rename => Mark::Rename,
        Action::Manual => Mark::Manual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_of_others_are_named() {
        let text = format!("{} \u{1b}[31mb\u{7}\u{202e}", paint(BOLD, "a\u{9b}"));
        assert_eq!(finish(&text), "\u{1b}[1ma<U+009B>\u{1b}[0m <U+001B>[31mb<U+0007><U+202E>");
    }
}
