//! Takes apart an object's text to see where it belongs: `comment on column public.orders.total` is in a column, in a table, in a schema.

use crate::kinds;
use crate::model::Address as Kinds;

/// True if that is the text of a routine.
pub fn is_routine(text: &str) -> bool {
    let kind = kinds::find(first(text)).map(kinds::Room::kind);
    kind.is_some_and(|kind| kind.address == Kinds::Routine)
}

/// An object's text taken apart; the reverse of how an id is displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The kind's word.
    pub word: String,
    /// The names from the schema inwards, as SQL quotes them; the last one with its signature. A facet has at most its own.
    pub names: Vec<String>,
    /// What a facet is on.
    pub on: Option<Box<Address>>,
}

impl Address {
    /// Takes a text apart. What is not an object of a known kind is one name.
    pub fn parse(text: &str) -> Self {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        if kind(word) == Some(Kinds::Facet) {
            let on = |rest: &str| rest.strip_prefix("on ").filter(|on| kind(first(on)).is_some()).map(Self::parse);
            if let Some(parent) = on(rest) {
                return Self { word: word.into(), names: Vec::new(), on: Some(Box::new(parent)) };
            }
            let mut end = name_end(rest);
            // Who gave a right belongs to its name.
            if let Some(by) = rest.get(end..).and_then(|rest| rest.strip_prefix(" by ")) {
                end += " by ".len() + name_end(by);
            }
            let (own, rest) = (rest.get(..end).unwrap_or(rest), rest.get(end..).unwrap_or_default());
            if let Some(parent) = on(rest.trim_start()) {
                return Self { word: word.into(), names: vec![own.into()], on: Some(Box::new(parent)) };
            }
        }
        let names = if kind(word).is_some() { split(rest) } else { vec![rest.to_string()] };
        Self { word: word.into(), names, on: None }
    }

    /// The own name; empty for facets without one.
    pub fn name(&self) -> &str {
        self.names.last().map_or("", |name| name)
    }

    /// How objects of this kind are addressed; `None` for a kind that is not known.
    pub fn kind(&self) -> Option<Kinds> {
        kind(&self.word)
    }

    /// The path without the kind: `public.orders.total`.
    pub fn path(&self) -> String {
        self.names.join(".")
    }

    /// What it belongs to. A part's parent is only known by its path: `kind_of` says what stands there.
    pub fn parent(&self, kind_of: &dyn Fn(&str) -> Option<String>) -> Option<Address> {
        if let Some(on) = &self.on {
            return Some(on.as_ref().clone());
        }
        let (_, outer) = self.names.split_last().filter(|(_, outer)| !outer.is_empty())?;
        let word = match self.kind()? {
            Kinds::Schema | Kinds::Global => return None,
            Kinds::Qualified | Kinds::Routine => "schema".to_string(),
            _ => kind_of(&outer.join(".")).unwrap_or_else(|| if outer.len() > 1 { "table" } else { "" }.to_string()),
        };
        Some(Address { word, names: outer.to_vec(), on: None })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.on, self.names.is_empty()) {
            (Some(on), true) => write!(f, "{} on {on}", self.word),
            (Some(on), false) => write!(f, "{} {} on {on}", self.word, self.path()),
            (None, _) => write!(f, "{} {}", self.word, self.path()),
        }
    }
}

fn kind(word: &str) -> Option<Kinds> {
    kinds::find(word).map(|room| room.kind().address)
}

fn first(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

/// Where a name ends: at a space outside of quotes.
fn name_end(text: &str) -> usize {
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        c == ' ' && !quoted
    });
    end.unwrap_or(text.len())
}

/// Splits a path at its dots, outside of quotes and of a signature.
fn split(path: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut quoted, mut inside) = (false, false);
    for c in path.chars() {
        quoted ^= c == '"';
        inside |= c == '(' && !quoted;
        match out.last_mut() {
            Some(_) if c == '.' && !quoted && !inside => out.push(String::new()),
            Some(name) => name.push(c),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_apart_and_put_together() {
        for text in [
            "schema app",
            "table public.orders",
            "column public.\"a.b\".\"x \"\"y\"",
            "comment on column public.orders.total",
            "default on column public.orders.total",
            "grant reporting on table public.orders",
            "grant \"odd on one\" on table public.orders",
            "grant on on table public.orders",
            "grant reporting by app_admin on table public.orders",
            "grant by by \"on by\" on column public.orders.total",
            "function public.f(integer, app.t)",
            "comment on function public.f(numeric(1,2))",
            "default-privileges app(tables in public)",
            "grant reporting on default-privileges app(tables in public)",
            "extension citext",
        ] {
            assert_eq!(Address::parse(text).to_string(), text);
        }
        let none = |_: &str| None;
        let of = |text: &str| Address::parse(text).parent(&none).map(|parent| parent.to_string());
        assert_eq!(of("column public.orders.total").as_deref(), Some("table public.orders"));
        assert_eq!(of("function public.f(app.t)").as_deref(), Some("schema public"));
        assert_eq!(of("comment on column public.v.a").as_deref(), Some("column public.v.a"));
        assert_eq!(of("extension citext"), None);
        let view = |path: &str| (path == "public.v").then(|| "view".to_string());
        let parent = Address::parse("column public.v.a").parent(&view).expect("it has one");
        assert_eq!(parent.to_string(), "view public.v");
        assert_eq!(Address::parse("column public.\"a.b\".c").name(), "c");
    }
}
