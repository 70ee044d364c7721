//! What becomes of values whose type changes: whether they stay the same, and the SQL that converts them.
//!
//! This is the only place that knows. It deals with types alone; `kinds::values` says what a declared type consists of, and which columns
//! have it. `tests/all/values.rs` checks it against a server, with values at the edges of every type.

mod casts;
mod keeps;
mod using;

pub use using::using;

use super::types::Parsed;
use crate::model::{ObjectId, Text};

/// What the values of a type consist of, once domains are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// A type that is built in or an extension's, with its modifiers; no array.
    Scalar(Parsed),
    /// An enum, with its values.
    Words(ObjectId, Vec<Text>),
    /// A range or multirange, with its subtype.
    Range(ObjectId, Box<Stands>),
    /// A composite type, with its attributes.
    Fields(ObjectId, Vec<(Text, Stands)>),
    /// An array.
    List(Box<Stands>),
}

/// What becomes of values on the way to another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every value of the old type is one of the new type, and comes back from it as it was.
    Keeps,
    /// What does not fit is an error; nothing is changed in silence.
    MayFail,
    /// A conversion would change some values. A column's step looks at each of them and fails where it would; what has no place for
    /// such a look, as an attribute, changes them.
    Looks,
    /// Values are changed, for that reason.
    Loses(String),
    /// The same moment is written with a zone that was not given; it comes back as it was.
    NeedsZone,
    /// Not one value of the old type can be written in the new one.
    Impossible,
}

impl Stands {
    /// The type as SQL, with its modifiers.
    pub fn text(&self) -> String {
        match self {
            Self::Scalar(parsed) => parsed.normalised(|_| None),
            Self::Words(id, _) | Self::Range(id, _) | Self::Fields(id, _) => super::path(id),
            Self::List(of) => format!("{}[]", of.text()),
        }
    }

    /// Repeats the type's own name, where it is called otherwise for a time.
    #[must_use]
    pub fn called(mut self, name: &ObjectId, now: &ObjectId) -> Self {
        match &mut self {
            Self::Words(id, _) | Self::Range(id, _) | Self::Fields(id, _) if id == name => *id = now.clone(),
            Self::List(of) => **of = (**of).clone().called(name, now),
            _ => {}
        }
        self
    }

    /// The type of the elements.
    fn element(&self) -> &Self {
        match self {
            Self::List(of) => of.element(),
            other => other,
        }
    }

    /// True if no extension has a say in what its values are.
    fn is_built_in(&self) -> bool {
        match self {
            Self::Scalar(parsed) => parsed.is_built_in(),
            Self::Words(..) => true,
            Self::Range(_, of) | Self::List(of) => of.is_built_in(),
            Self::Fields(_, fields) => fields.iter().all(|(_, of)| of.is_built_in()),
        }
    }
}

/// What becomes of values of the old type in a column that gets the new one.
pub fn verdict(old: &Stands, new: &Stands) -> Verdict {
    use Stands::{Fields, List, Range, Scalar, Words};
    if old == new {
        return Verdict::Keeps;
    }
    if casts::never(old, new) || casts::one_way(new, old) {
        return Verdict::Impossible;
    }
    if casts::one_way(old, new) {
        return Verdict::Loses(format!("a cast makes {} of {}, and none leads back", new.text(), old.text()));
    }
    match (old, new) {
        (List(old), List(new)) => verdict(old, new),
        (Words(_, old), Words(_, new)) => match old.iter().all(|word| new.contains(word)) {
            true => Verdict::Keeps,
            false => Verdict::MayFail,
        },
        (Scalar(old), Words(..)) if keeps::is_text(old) => Verdict::MayFail,
        (Range(_, old), Range(_, new)) if old == new => Verdict::MayFail, // another order may turn bounds around
        (Fields(_, old), Fields(_, new)) if old.iter().map(|(_, t)| t).eq(new.iter().map(|(_, t)| t)) => Verdict::Keeps,
        (_, Scalar(new)) if keeps::is_any_text(new) && old.is_built_in() => Verdict::Keeps,
        (Scalar(old), Scalar(new)) => keeps::scalars(old, new),
        _ => Verdict::Looks,
    }
}

/// True where a time without a zone becomes one with a zone or the other way around: what it means cannot be guessed.
pub fn needs_zone(old: &Stands, new: &Stands) -> bool {
    match (old.element(), new.element()) {
        (Stands::Scalar(old), Stands::Scalar(new)) => keeps::needs_zone(old, new),
        _ => false,
    }
}

/// True where values may be equal in the new type that were not in the old one, though each of them stays what it is: `citext`.
pub fn other_equality(old: &Stands, new: &Stands) -> bool {
    match (old.element(), new.element()) {
        (Stands::Scalar(old), Stands::Scalar(new)) => {
            keeps::is_text(new)
                && (&old.name, &old.schema) != (&new.name, &new.schema)
                && !matches!(new.name.as_str(), "text" | "character varying")
        }
        _ => false,
    }
}

/// The same as `verdict` where PostgreSQL's assignment does it, without a step that could look: an attribute's new type.
pub fn by_assignment(old: &Stands, new: &Stands) -> Verdict {
    match verdict(old, new) {
        Verdict::Looks => Verdict::Loses(format!("{} cannot hold every value of {}", new.text(), old.text())),
        other => other,
    }
}
