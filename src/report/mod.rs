//! Output for people and programs: text for terminals, Markdown for pull requests, versioned JSON.

mod address;
pub mod json;
pub mod markdown;
pub mod plan;
pub mod status;
mod style;
pub mod summary;
pub mod text;
pub mod tree;

pub use style::finish;

/// A text on one line of at most that many characters.
fn line(text: &str, long: usize) -> String {
    let one: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let one = crate::model::in_line(&one).into_owned();
    match one.char_indices().nth(long) {
        Some((at, _)) => format!("{}…", one.get(..at).unwrap_or_default().trim_end()),
        None => one,
    }
}
