//! Decides when two texts of different types are the same value: `1.5` and `1.50`, `'a'` and `'a '`, `2024-01-01` and `2024-01-01 00:00:00`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value as Json;

/// What two types have in common, so that their texts can be compared once they are in one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Numbers,
    /// Dates and times.
    Moments,
    Texts,
    Json,
}

impl Family {
    /// What two built-in types have in common, by their names in the catalog.
    pub fn of(one: &str, other: &str) -> Option<Self> {
        let both = |list: &[&str]| list.contains(&one) && list.contains(&other);
        if both(&["int2", "int4", "int8", "numeric", "float4", "float8"]) {
            Some(Self::Numbers)
        } else if both(&["date", "timestamp", "timestamptz"]) {
            Some(Self::Moments)
        } else if both(&["text", "varchar", "bpchar", "name", "citext"]) {
            Some(Self::Texts)
        } else if both(&["json", "jsonb"]) {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The text in the family's one form. Texts of arrays, ranges and rows are taken apart at their punctuation.
    pub fn form<'a>(self, text: &'a str) -> Cow<'a, str> {
        if self == Self::Json {
            return match serde_json::from_str::<Json>(text) {
                Ok(json) => Cow::Owned(sorted(&json)),
                Err(_) => Cow::Borrowed(text),
            };
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '(', ')', '[', ']', ',', '"']) {
            let (part, after) = rest.split_at(at);
            out.push_str(&self.part(part));
            let mut letters = after.chars();
            out.extend(letters.next().filter(|letter| *letter != '"'));
            rest = letters.as_str();
        }
        out.push_str(&self.part(rest));
        Cow::Owned(out)
    }

    fn part(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Numbers => number(text).map_or(Cow::Borrowed(text), Cow::Owned),
            Self::Moments => {
                let text = text.strip_suffix("+00").unwrap_or(text);
                Cow::Borrowed(text.strip_suffix(" 00:00:00").unwrap_or(text))
            }
            Self::Texts => Cow::Borrowed(text.trim_end_matches(' ')),
            Self::Json => Cow::Borrowed(text),
        }
    }
}

/// A decimal number without insignificant digits and signs: `-12.5` for `-0012.500`, also for `-1.25e+01`.
fn number(text: &str) -> Option<String> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (digits, power) = digits.split_once(['e', 'E']).map_or((digits, "0"), |(digits, power)| (digits, power));
    let power: i32 = power.parse().ok().filter(|power: &i32| power.abs() < 2000)?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.chars().chain(part.chars()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let mut all = format!("{whole}{part}");
    let mut point = i32::try_from(whole.len()).ok()? + power;
    while point < 0 {
        all.insert(0, '0');
        point += 1;
    }
    while usize::try_from(point).ok()? > all.len() {
        all.push('0');
    }
    let (whole, part) = all.split_at(usize::try_from(point).ok()?);
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    Some(match (whole.is_empty(), part.is_empty()) {
        (true, true) => "0".to_owned(),
        (false, true) => format!("{sign}{whole}"),
        _ => format!("{sign}{}.{part}", if whole.is_empty() { "0" } else { whole }),
    })
}

/// JSON with its keys in order and no spaces.
fn sorted(json: &Json) -> String {
    match json {
        Json::Array(list) => format!("[{}]", list.iter().map(sorted).collect::<Vec<_>>().join(",")),
        Json::Object(map) => {
            let map: BTreeMap<&String, String> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Json::Number(n) => number(&n.to_string()).unwrap_or_else(|| n.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_value_has_one_form() {
        let same = |family: Family, one: &str, other: &str| family.form(one) == family.form(other);
        assert!(same(Family::Numbers, "1.5", "1.50") && same(Family::Numbers, "-0", "0.00"));
        assert!(
            same(Family::Numbers, "1e+20", "100000000000000000000") && same(Family::Numbers, "1.2e-05", "0.000012")
        );
        assert!(
            same(Family::Numbers, "{1,NULL,2.50}", "{1.0,NULL,2.5}") && same(Family::Numbers, "[1,2)", "[1.0,2.00)")
        );
        assert!(
            !same(Family::Numbers, "1.5", "2")
                && !same(Family::Numbers, "NaN", "0")
                && !same(Family::Numbers, "15", "1.5")
        );
        assert!(same(Family::Texts, "a  ", "a") && same(Family::Texts, "{\"a  \",b}", "{a,b}"));
        assert!(!same(Family::Texts, "abcdef", "a") && !same(Family::Texts, "A", "a"));
        assert!(same(Family::Moments, "2024-01-01", "2024-01-01 00:00:00"));
        assert!(!same(Family::Moments, "2024-01-01 10:00:00", "2024-01-01"));
        assert!(same(Family::Json, "{\"b\": 1.0, \"a\":[ ]}", "{\"a\": [], \"b\": 1}"));
        assert!(!same(Family::Json, "{\"a\": 1}", "{\"a\": 2}"));
    }

    #[test]
    fn families_have_two_members_of_one_kind() {
        assert_eq!(Family::of("int4", "numeric"), Some(Family::Numbers));
        assert_eq!(Family::of("int4", "text"), None);
        assert_eq!(Family::of("", ""), None);
    }
}
