//! A problem in a file: what is wrong, where, and what to write instead.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::model::{Class, Error, Span, is_obeyed, painted};

/// More problems than this are only counted.
const MAX_SHOWN: usize = 50;

/// So many characters of a line are shown before the place, and about as many behind it.
const MAX_BEFORE: usize = 100;

/// Bytes of a message that are shown: words of a file may be as long as the file.
const MAX_MESSAGE: usize = 2000;

/// One thing wrong at one place.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where.
    pub span: Span,
    /// The label below the marked source.
    pub label: String,
    /// What to do instead.
    pub help: Option<String>,
    /// A related place, and what is there.
    pub related: Option<(Span, &'static str)>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: String::new(), help: None, related: None }
    }

    /// The words under the marked source.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// The remedy.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// The files that were read; spans point into them by index.
#[derive(Debug, Default)]
pub struct Sources {
    /// Path as shown to people, and the whole text.
    pub files: Vec<(PathBuf, String)>,
}

impl Sources {
    /// Line and column, both from 1, of a span's start.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let Some((_, text)) = self.files.get(span.file as usize) else { return (1, 1) };
        let before = text.get(..span.start as usize).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }

    /// `schema/orders.kdl:3:12`.
    pub fn place(&self, span: Span) -> String {
        let (line, column) = self.line_column(span);
        match self.files.get(span.file as usize) {
            Some((path, _)) => format!("{}:{line}:{column}", path.display()),
            None => "?".into(),
        }
    }

    /// The problem as people read it: message, place, the source line with the place underlined, help.
    pub fn render(&self, problem: &Problem) -> String {
        let Some((path, text)) = self.files.get(problem.span.file as usize) else { return problem.message.clone() };
        let (line, column) = self.line_column(problem.span);
        let source = text.lines().nth(line - 1).unwrap_or("");
        let gutter = line.to_string().len();
        let in_span = text.get(problem.span.start as usize..problem.span.end as usize).unwrap_or("");
        let marked = in_span.lines().next().map_or(1, |l| l.chars().count()).max(1);
        let message = clipped(&problem.message);
        let mut out = format!("{message}\n{:gutter$}--> {}:{line}:{column}\n", "", path.display());
        // The rest of a long line is not read by people, and what a terminal would obey is not text.
        let skipped = column.saturating_sub(MAX_BEFORE);
        let column = column - skipped;
        let around: Vec<&str> = [line.wrapping_sub(2), line].iter().filter_map(|at| text.lines().nth(*at)).collect();
        let secrets = painted::secrets(source, &around);
        let seen = painted::painted(source, &secrets);
        let seen = seen.chars().skip(skipped).take(2 * MAX_BEFORE);
        let shown: String = seen
            .map(|c| match c {
                '\t' => ' ',
                // As wide as in the source.
                c if is_obeyed(c) => char::REPLACEMENT_CHARACTER,
                c => c,
            })
            .collect();
        let marked = marked.min((2 * MAX_BEFORE + 1).saturating_sub(column)).max(1);
        out.push_str(&format!("{:gutter$} |\n{line} | {shown}\n", ""));
        out.push_str(&format!(
            "{:gutter$} | {:pad$}{} {}",
            "",
            "",
            "^".repeat(marked),
            problem.label,
            pad = column - 1
        ));
        let mut out = out.trim_end().to_string();
        if let Some((place, what)) = problem.related {
            out.push_str(&format!("\n{:gutter$} = note: {what} is at {}", "", self.place(place)));
        }
        if let Some(help) = &problem.help {
            out.push_str(&format!("\n{:gutter$} = help: {}", "", clipped(help)));
        }
        // Messages may repeat what they are about.
        for secret in secrets.iter().filter_map(|range| source.get(range.clone())).filter(|secret| secret.len() > 2) {
            out = out.replace(secret, "…");
        }
        out
    }

    /// All problems as one error (exit 78).
    pub fn error(&self, problems: &[Problem]) -> Error {
        let shown: Vec<String> = problems.iter().take(MAX_SHOWN).map(|p| self.render(p)).collect();
        let count = match problems.len() {
            0 | 1 => String::new(),
            n if n > MAX_SHOWN => format!("\n\n{n} problems in the files, {MAX_SHOWN} of them shown"),
            n => format!("\n\n{n} problems in the files"),
        };
        Error::new(Class::Config, format!("{}{count}", shown.join("\n\n")))
    }
}

/// The beginning of an overlong message.
fn clipped(message: &str) -> Cow<'_, str> {
    match message.len() > MAX_MESSAGE {
        true => format!("{} …", &message[..message.floor_char_boundary(MAX_MESSAGE)]).into(),
        false => message.into(),
    }
}
