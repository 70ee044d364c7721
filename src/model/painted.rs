//! Source text as diagnostics show it: whatever may be a secret is masked.

use std::ops::Range;

use super::shown::passwords;

/// Parts of names that tell a secret.
pub const TELLING: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "api_key",
    "apikey",
    "access_key",
    "accesskey",
    "private_key",
    "privatekey",
    "auth_key",
    "client_key",
    "server_key",
    "bearer",
    "connstr",
    "conn_str",
];

/// Nodes whose arguments and values may be secrets themselves.
const HOLDERS: &[&str] = &["option", "options", "secret", "user-mapping", "env", "url"];

/// The places of a line that may hold secrets. `around` are the lines before and after it, of which it may be a part.
pub fn secrets(line: &str, around: &[&str]) -> Vec<Range<usize>> {
    let mut found = passwords(line);
    let lower = line.to_ascii_lowercase();
    let first = |line: &str| {
        line.trim_start().split([' ', '"', '=', '{', '\t']).next().unwrap_or_default().to_ascii_lowercase()
    };
    let first = first(line);
    let holder = HOLDERS.contains(&first.as_str()) || TELLING.iter().any(|word| first.contains(word));
    for word in TELLING {
        for (at, _) in lower.match_indices(word) {
            found.extend(after(line, at + word.len(), holder));
        }
    }
    // `value=` beside a name that tells, or on the next line.
    let telling = |line: &&str| TELLING.iter().any(|word| line.to_ascii_lowercase().contains(word));
    if telling(&line) || around.iter().any(telling) {
        for key in ["value=", "value =", "value "] {
            for (at, _) in lower.match_indices(key) {
                found.extend(to_end(line, at + key.len()));
            }
        }
        // A value alone on its line.
        let alone = line.trim();
        if around.iter().any(telling) && (alone.starts_with('"') || alone.starts_with('#')) {
            found.extend(to_end(line, 0));
        }
    }
    found.sort_by_key(|range| range.start);
    found
}

/// What follows a name that tells: a value after `=`, a string of SQL, and in some nodes anything.
fn after(line: &str, end: usize, holder: bool) -> Option<Range<usize>> {
    let rest = line.get(end..)?;
    let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    let rest = rest.get(name..)?;
    let quote = usize::from(rest.starts_with(['"', '`']));
    let rest = rest.get(quote..)?;
    let space = rest.len() - rest.trim_start().len();
    let value = rest.trim_start();
    let start = end + name + quote + space;
    match value.chars().next()? {
        '=' | ':' => to_end(line, start + 1),
        '\'' => to_end(line, start),
        // `value=` is looked for by itself.
        _ if value.starts_with("value") => None,
        _ if holder && space > 0 => to_end(line, start),
        _ => None,
    }
}

/// From there to the end of the line, without the braces and quotes around it.
fn to_end(line: &str, start: usize) -> Option<Range<usize>> {
    let rest = line.get(start..)?;
    let skipped = rest.len() - rest.trim_start_matches([' ', '"', '\'', '#', '=']).len();
    let kept = rest.trim_end_matches([' ', '{', '}', ';', '"', '\'', '\\', '#', ')', ',']).len();
    // The name of a variable is not one.
    let value = rest.get(skipped..kept.max(skipped))?;
    // `secret password env=VARIABLE` names one after the option.
    let named = value.split_whitespace().nth(1).is_some_and(|word| word.starts_with("env=SETPOINT_SECRET_"));
    let variable =
        named || value.starts_with("env=") || value.starts_with("env ") || value.starts_with("SETPOINT_SECRET_");
    (!value.is_empty() && !variable).then(|| start + skipped..start + skipped + value.len())
}

/// The text with those places masked, one star for each character.
pub fn painted(line: &str, secrets: &[Range<usize>]) -> String {
    let hidden = |at: usize| secrets.iter().any(|range| range.contains(&at));
    line.char_indices().map(|(at, c)| if hidden(at) { '*' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        painted(line, &secrets(line, &[]))
    }

    #[test]
    fn secrets_are_painted_over() {
        assert_eq!(
            shown("env prod url=\"postgresql://u:SECRET@h/d\" x"),
            "env prod url=\"postgresql://u:******@h/d\" x"
        );
        assert_eq!(
            shown("env a url=\"host=h password=SECRET dbname=x\""),
            "env a url=\"host=h password=***************\""
        );
        assert_eq!(shown("options password=SECRET {"), "options password=****** {");
        assert_eq!(shown("option password \"SECRET\""), "option password \"******\"");
        assert_eq!(shown("option \"password\" value=\"SECRET\""), "option \"password\" value=\"******\"");
        assert_eq!(shown("    secret password env=SETPOINT_SECRET_X"), "    secret password env=SETPOINT_SECRET_X");
        assert_eq!(shown("CREATE ROLE x PASSWORD 'SECRET';"), "CREATE ROLE x PASSWORD '******';");
        assert_eq!(painted("value=SECRET", &secrets("value=SECRET", &["option password \\"])), "value=******");
    }

    #[test]
    fn ordinary_columns_are_shown() {
        for line in [
            "column password txet not-null",
            "column \"password_hash\" \"varchar(20)\"",
            "index tokens_user token",
            "grant select to=tokens",
        ] {
            assert_eq!(shown(line), line);
        }
    }
}
