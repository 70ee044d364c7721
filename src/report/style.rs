//! The colours; whether they are used is decided where the text is written.

use anstyle::{AnsiColor, Style};

use crate::plan::Action;

use super::tree::Mark;

pub(super) const ADD: Style = AnsiColor::Green.on_default();
pub(super) const CHANGE: Style = AnsiColor::Yellow.on_default();
pub(super) const REMOVE: Style = AnsiColor::Red.on_default();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();

/// Text in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// The sign of what happens to an object: `+ ~ -`, `>` for renames, `±` for what is made again, `*` for steps by hand.
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
