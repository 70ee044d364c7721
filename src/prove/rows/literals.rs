//! Constants in constraints, and the values that they suggest for a column.

use crate::sql::lex::{self, Kind, Piece};

use super::dice::Dice;
use super::patterns;
use super::scalars::digits;
use super::types::{Shape, Type, Types};
use super::values::{Values, array, unique};

/// Lengths that are worth a string of their own.
const LENGTHS: std::ops::RangeInclusive<i128> = 0..=10_001;

/// What the constants of some texts are.
#[derive(Default)]
pub(super) struct Constants {
    /// Each with the type that it is cast to at once.
    strings: Vec<(String, String)>,
    numbers: Vec<String>,
    /// Names that there are: what a check looks up may have to exist.
    pub known: Vec<String>,
    /// How many are kept.
    pub room: usize,
    regex: bool,
    similar: bool,
    like: bool,
}

impl Constants {
    /// Of an expression; several may be added up.
    pub fn add(&mut self, text: &str) {
        let pieces: Vec<Piece<'_>> =
            lex::pieces(text).filter(|piece| !matches!(piece.kind, Kind::Space | Kind::Comment)).collect();
        for (at, piece) in pieces.iter().enumerate() {
            match piece.kind {
                Kind::String => self.string(piece.content(), cast(text, &pieces, at)),
                Kind::Dollars => lex::strings(piece.text).iter().for_each(|inside| self.add(inside)),
                Kind::Number => self.numbers.push(piece.text.to_owned()),
                Kind::Symbol if piece.text == "~" => match pieces.get(at + 1) {
                    Some(next) if next.text == "~" => self.like = true,
                    _ => self.regex = true,
                },
                Kind::Word if piece.text.starts_with("similar") => self.similar = true,
                Kind::Word if piece.text.starts_with("regexp_") || piece.text == "substring" => self.regex = true,
                Kind::Word if matches!(piece.text, "like" | "LIKE" | "ILIKE" | "ilike") => self.like = true,
                _ => {}
            }
        }
    }

    fn string(&mut self, content: String, cast: String) {
        // The constant that an array of constants became.
        if let Some(inside) = content.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && (cast.is_empty() || cast.contains("[]"))
        {
            let elements = inside.split(',').map(|element| element.trim().trim_matches('"').to_owned());
            self.strings.extend(elements.map(|element| (element, cast.replace("[]", ""))));
        }
        if content.parse::<f64>().is_ok_and(f64::is_finite) {
            self.numbers.push(content.clone());
        }
        // What a check concatenates may have to be split.
        let parts: Vec<&str> = content.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
        if (2..=6).contains(&parts.len()) && !looks_regex(&content) {
            self.numbers.extend(parts.iter().filter(|part| part.parse::<i64>().is_ok()).map(|part| (*part).to_owned()));
            self.strings.extend(parts.iter().map(|part| ((*part).to_owned(), String::new())));
        }
        self.strings.push((content, cast));
    }

    fn integers(&self) -> impl Iterator<Item = i128> {
        self.numbers.iter().filter_map(|number| number.parse().ok())
    }

    /// Values of a column of that type.
    pub fn values(&self, types: &Types, kind: u32, modifier: i32, inner: &Values, dice: &mut Dice) -> Vec<String> {
        let (kind, modifier) = below(types, kind, modifier);
        let Some(found) = types.get(kind) else { return Vec::new() };
        let mut out = match &found.shape {
            Shape::Array(element) => self.arrays(types, *element, inner, dice),
            Shape::Enum(_) | Shape::Composite(_) => Vec::new(),
            Shape::Domain { .. } => Vec::new(),
            Shape::Range(..) => self.cast_to(found),
            Shape::Base => self.scalars(found, modifier, dice),
        };
        unique(&mut out);
        out.truncate(120 + self.room);
        out
    }

    fn scalars(&self, kind: &Type, modifier: i32, dice: &mut Dice) -> Vec<String> {
        match kind.name.as_str() {
            "int2" => self.whole(i128::from(i16::MIN)..=i128::from(i16::MAX)),
            "int4" => self.whole(i128::from(i32::MIN)..=i128::from(i32::MAX)),
            "int8" => self.whole(i128::from(i64::MIN)..=i128::from(i64::MAX)),
            "oid" => self.whole(0..=i128::from(u32::MAX)),
            "numeric" | "float4" | "float8" | "money" => {
                let places = digits(modifier).map_or(3, |(_, scale)| usize::try_from(scale).unwrap_or(0));
                self.numbers.iter().flat_map(|number| beside(number, places)).collect()
            }
            "text" | "varchar" | "bpchar" | "citext" | "name" | "char" => self.texts(dice),
            "bytea" => self.lengths().map(|length| format!("\\x{}", "2a".repeat(length))).collect(),
            "json" | "jsonb" => self.documents(),
            _ => self.cast_to(kind),
        }
    }

    fn cast_to(&self, kind: &Type) -> Vec<String> {
        let same = |cast: &str| cast == kind.sql || cast.split('(').next() == Some(kind.sql.as_str());
        self.strings.iter().filter(|(_, cast)| same(cast)).map(|(text, _)| text.clone()).collect()
    }

    fn whole(&self, range: std::ops::RangeInclusive<i128>) -> Vec<String> {
        let near = |number: i128| [number, number - 1, number + 1];
        // The values that matter for a fraction are next to it.
        let fractions = self.numbers.iter().filter_map(|number| number.split_once('.')?.0.parse().ok());
        self.integers()
            .chain(fractions)
            .flat_map(near)
            .filter(|number| range.contains(number))
            .map(|number| number.to_string())
            .collect()
    }

    fn lengths(&self) -> impl Iterator<Item = usize> {
        let near = |number: i128| [number, number + 1, number - 1];
        self.integers()
            .flat_map(near)
            .filter(|length| LENGTHS.contains(length))
            .filter_map(|length| usize::try_from(length).ok())
    }

    fn texts(&self, dice: &mut Dice) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for (text, _) in &self.strings {
            if self.like {
                out.extend(patterns::of_like(text, dice));
            }
            if self.similar {
                out.extend(patterns::of_similar(text, 20, dice));
            }
            if self.regex || looks_regex(text) {
                out.extend(patterns::of_regex(text, 24, dice));
            }
        }
        for (text, _) in &self.strings {
            out.push(text.clone());
            if text.len() < 80 {
                out.extend([format!("{text}a"), format!("a{text}b"), text.to_uppercase(), text.to_lowercase()]);
            }
        }
        for length in self.lengths() {
            out.extend(["x", "1", "0", "A"].map(|letter| letter.repeat(length)));
        }
        out.extend(self.numbers.iter().cloned());
        out
    }

    fn arrays(&self, types: &Types, element: u32, inner: &Values, dice: &mut Dice) -> Vec<String> {
        let delimiter = types.get(element).map_or(',', |element| element.delimiter);
        let found = self.values(types, element, -1, &Values::default(), dice);
        let mut out: Vec<String> = found.iter().map(|text| array(&[Some(text)], delimiter)).collect();
        let all: Vec<Option<&str>> = found.iter().map(|text| Some(text.as_str())).collect();
        out.extend(all.windows(2).map(|pair| array(pair, delimiter)));
        if !all.is_empty() {
            out.push(array(&all, delimiter));
        }
        let strings: Vec<Option<&str>> = self.strings.iter().map(|(text, _)| Some(text.as_str())).collect();
        if !strings.is_empty() {
            out.push(array(&strings, delimiter));
        }
        let some: Vec<&String> = inner.plain.iter().chain(&found).collect();
        for length in self.lengths().filter(|length| *length <= 40) {
            let elements: Vec<Option<&str>> =
                (0..length).filter_map(|at| some.get(at % some.len().max(1))).map(|text| Some(text.as_str())).collect();
            out.push(array(&elements, delimiter));
        }
        out
    }

    fn documents(&self) -> Vec<String> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut strings: Vec<String> =
            self.strings.iter().filter(|(_, cast)| !cast.starts_with("json")).map(|(text, _)| text.clone()).collect();
        unique(&mut strings);
        strings.truncate(8);
        let mut out: Vec<String> = self
            .strings
            .iter()
            .filter(|(text, cast)| cast.starts_with("json") && text.starts_with(['{', '[', '"']))
            .map(|(text, _)| text.clone())
            .collect();
        let mut leaves: Vec<String> = strings.iter().map(|text| quoted(text)).collect();
        leaves.extend(self.numbers.iter().flat_map(|number| beside(number, 0)).take(12));
        leaves.extend(self.known.iter().map(|text| quoted(text)));
        leaves.extend(["1", "true", "null", "\"x\"", "{}", "[]", "[1]", "{\"a\": 1}"].map(str::to_owned));
        for leaf in &leaves {
            out.extend(strings.iter().take(6).map(|key| format!("{{{}: {leaf}}}", quoted(key))));
            let all: Vec<String> = strings.iter().map(|key| format!("{}: {leaf}", quoted(key))).collect();
            out.push(format!("{{{}}}", all.join(", ")));
        }
        if let [outer, inside, ..] = &strings[..] {
            out.extend(leaves.iter().map(|leaf| format!("{{{}: {{{}: {leaf}}}}}", quoted(outer), quoted(inside))));
        }
        out.push(format!("[{}]", leaves.first().cloned().unwrap_or_default()));
        out.extend(
            self.lengths().filter(|length| *length <= 40).map(|length| format!("[{}]", vec!["1"; length].join(","))),
        );
        out
    }
}

fn looks_regex(text: &str) -> bool {
    text.contains(['^', '$', '\\', '[', '+', '*'])
}

/// The type that follows a literal: `'…'::text`.
fn cast(text: &str, pieces: &[Piece<'_>], at: usize) -> String {
    let Some(next) = pieces.get(at + 1).filter(|piece| piece.text == "::") else { return String::new() };
    let rest = &text[next.at + 2..];
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ' ' | '.' | '[' | ']' | '"')))
        .unwrap_or(rest.len());
    rest[..end].split(" AND").next().unwrap_or("").split(" OR").next().unwrap_or("").trim().to_owned()
}

fn below(types: &Types, kind: u32, modifier: i32) -> (u32, i32) {
    match types.shape(kind) {
        Some(Shape::Domain { base, modifier: inner, .. }) => {
            below(types, *base, if *inner >= 0 { *inner } else { modifier })
        }
        _ => (kind, modifier),
    }
}

/// A number and its neighbours: a whole one away, and as near as so many places allow.
pub(super) fn beside(number: &str, places: usize) -> Vec<String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let places = places.max(fraction.len()).min(12);
    let padded = format!("{fraction:0<places$}");
    let Ok(scaled) = format!("{whole}{padded}").parse::<i128>() else { return vec![number.to_owned()] };
    let one = 10_i128.pow(u32::try_from(places).unwrap_or(0));
    let shown = |value: i128| {
        let (sign, value) = (if value < 0 { "-" } else { "" }, value.abs());
        match places {
            0 => format!("{sign}{value}"),
            _ => format!("{sign}{}.{:0>places$}", value / one, value % one),
        }
    };
    let mut out: Vec<String> = [0, 1, -1, one, -one].into_iter().map(|step| shown(scaled + step)).collect();
    unique(&mut out);
    out
}
