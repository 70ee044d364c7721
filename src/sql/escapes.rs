//! Decodes escapes in strings and names (src/backend/parser/scan.l and parser.c).

/// Decodes what follows a backslash in `E'…'`: the characters, and how many bytes were used.
pub fn in_string(rest: &str) -> (Option<char>, usize) {
    let Some(first) = rest.chars().next() else { return (None, 0) };
    let code = |from: usize, most: usize, radix: u32| {
        let digits = rest.get(from..).unwrap_or("").chars().take(most).take_while(|c| c.is_digit(radix)).count();
        let value = u32::from_str_radix(rest.get(from..from + digits)?, radix).ok()?;
        Some((char::from_u32(value), from + digits))
    };
    let found = match first {
        '0'..='7' => code(0, 3, 8),
        'x' => code(1, 2, 16),
        'u' => code(1, 4, 16),
        'U' => code(1, 8, 16),
        _ => None,
    };
    let meant = match first {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        other => other,
    };
    found.unwrap_or((Some(meant), first.len_utf8()))
}

/// Decodes what follows the escape character in `U&"…"`: the characters, and how many bytes were used.
pub fn in_unicode(rest: &str, escape: char) -> (Option<char>, usize) {
    if rest.starts_with(escape) {
        return (Some(escape), escape.len_utf8());
    }
    let (from, digits) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
    let code = rest.get(from..from + digits).and_then(|code| u32::from_str_radix(code, 16).ok());
    match code {
        Some(code) => (char::from_u32(code), from + digits),
        None => (Some(escape), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_what_postgresql_takes_them_for() {
        for (rest, meant) in [
            ("'", (Some('\''), 1)),
            ("n", (Some('\n'), 1)),
            ("1014", (Some('A'), 3)),
            ("x41b", (Some('A'), 3)),
            ("u0041", (Some('A'), 5)),
            ("U00000041", (Some('A'), 9)),
            ("xyz", (Some('x'), 1)),
            ("", (None, 0)),
        ] {
            assert_eq!(in_string(rest), meant, "{rest}");
        }
        for (rest, meant) in
            [("0061t", (Some('a'), 4)), ("+000061t", (Some('a'), 7)), ("!0", (Some('!'), 1)), ("zz", (Some('!'), 0))]
        {
            assert_eq!(in_unicode(rest, '!'), meant, "{rest}");
        }
    }
}
