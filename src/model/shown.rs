//! Text that is safe to display: characters that a terminal, an editor or a browser would obey are spelled out, as in `<U+202E>`.

use std::borrow::Cow;
use std::ops::Range;

/// Characters that are obeyed, or invisible, instead of shown: controls, directions, joiners, fillers, tags, selectors, separators of
/// lines (Unicode's classes Cc, Cf, Zl, Zp, and what is ignored by default). The end of a line and the tabulator are left.
const OBEYED: &[(u32, u32)] = &[
    (0x00, 0x08),
    (0x0b, 0x1f),
    (0x7f, 0x9f),
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1345f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// True for a character that is obeyed or invisible instead of shown.
pub fn is_obeyed(c: char) -> bool {
    let code = u32::from(c);
    // What most text is made of.
    if (0x20..0x7f).contains(&code) {
        return false;
    }
    let at = OBEYED.partition_point(|(first, _)| *first <= code);
    at.checked_sub(1).and_then(|at| OBEYED.get(at)).is_some_and(|(_, last)| code <= *last)
}

/// The text with all of them named.
pub fn harmless(text: &str) -> Cow<'_, str> {
    named(text, is_obeyed)
}

/// The same for text that has to stay on one line.
pub fn in_line(text: &str) -> Cow<'_, str> {
    named(text, |c| is_obeyed(c) || matches!(c, '\n' | '\t'))
}

/// True for a line that a CI system takes for a command, wherever it comes from: `::error::…`, after white space too.
pub fn begins_command(line: &str) -> bool {
    let line = line.lines().next().unwrap_or_default();
    line.trim_start().strip_prefix("::").is_some_and(|rest| rest.contains("::"))
}

fn named(text: &str, obeyed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&obeyed) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let symbol = |c: char| !c.is_alphanumeric() && !c.is_ascii() && !is_obeyed(c);
        let usual = match c {
            '\u{fe0e}' | '\u{fe0f}' => symbol(before),
            '\u{200d}' => (symbol(before) || before == '\u{fe0f}') && rest.peek().is_some_and(|next| symbol(*next)),
            // How lines end on Windows.
            '\r' => rest.peek() == Some(&'\n') && !obeyed('\n'),
            _ => false,
        };
        if obeyed(c) && !usual {
            out.push_str(&format!("<U+{:04X}>", u32::from(c)));
        } else {
            out.push(c);
        }
        before = c;
    }
    out.into()
}

/// JSON with all of them escaped: they only occur in its strings.
pub fn in_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_obeyed(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// The places of passwords in addresses of servers: `scheme://user:PASSWORD@host`. The last `@` before the first `/` ends it, or the last
/// one where no other does: a password may hold either.
pub(super) fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + "://".len();
        if found.last().is_some_and(|before| start < before.end) {
            continue; // a part of a password
        }
        let rest = text.get(start..).unwrap_or_default();
        let rest = rest.get(..rest.find(char::is_whitespace).unwrap_or(rest.len())).unwrap_or_default();
        let host = rest.get(..rest.find('/').unwrap_or(rest.len())).unwrap_or_default();
        let Some(end) = host.rfind('@').or_else(|| rest.rfind('@')) else { continue };
        if let Some(colon) = rest.get(..end).and_then(|user| user.find(':')) {
            found.push(start + colon + 1..start + end);
        }
    }
    found
}

/// Addresses of servers without the passwords in them.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    for place in passwords(text).into_iter().rev() {
        out.to_mut().replace_range(place, "…");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_in_order() {
        assert!(OBEYED.windows(2).all(|pair| pair[0].1 < pair[1].0));
        for c in
            ['\u{1b}', '\u{9b}', '\r', '\0', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}', '\u{e0041}']
        {
            assert!(is_obeyed(c), "{c:?}");
        }
        assert!("aZ09 ~ä日本😀\u{a0}\n\t".chars().all(|c| !is_obeyed(c)));
    }

    #[test]
    fn what_is_obeyed_is_named() {
        assert_eq!(harmless("a\u{202e}b\u{1b}[2J\nc"), "a<U+202E>b<U+001B>[2J\nc");
        assert_eq!(in_line("a\nb"), "a<U+000A>b");
        assert_eq!(harmless("⚠\u{fe0f} 👨\u{200d}👩"), "⚠\u{fe0f} 👨\u{200d}👩");
        assert_eq!(harmless("a\u{fe0f}b\u{200d}c"), "a<U+FE0F>b<U+200D>c");
        assert_eq!(in_json("\"a\u{202e}\u{e0041}\""), "\"a\\u202e\\udb40\\udc41\"");
    }

    #[test]
    fn commands_begin_lines() {
        assert!(begins_command("::error::x") && begins_command(" \t::stop-commands::x\n"));
        assert!(!begins_command("a::b::c") && !begins_command("  ::text AS a\n::b::"));
    }

    #[test]
    fn addresses_keep_their_passwords() {
        assert_eq!(without_passwords("x postgresql://u:se:c@h/d y"), "x postgresql://u:…@h/d y");
        assert_eq!(without_passwords("a://u:b@h, c://d:e/f@g"), "a://u:…@h, c://d:…@g");
        assert_eq!(without_passwords("https://example.com/a:b"), "https://example.com/a:b");
        assert_eq!(without_passwords("a://u:b\"c@h a://u:x://y:ä@h"), "a://u:…@h a://u:…@h");
    }
}
