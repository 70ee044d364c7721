//! Content hashes of objects and states: blake3 over an unambiguous byte form, independent of order and machine.

use super::{Object, ObjectId, OnChange, State, Value};

/// 128 bits of a blake3 hash, written as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The hash of plain bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::finish(blake3::Hasher::new().update(bytes))
    }

    /// The hash of several texts, each kept apart from the next.
    pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Texts::default();
        texts.into_iter().for_each(|text| all.add(text));
        all.digest()
    }

    /// The hash of one object and its id. With `shape` it is the same for what was written and for what the server made of it:
    /// expressions count only as present, types without their schema, and what only matters at creation not at all.
    pub fn of_object(id: &ObjectId, object: &Object, shape: bool) -> Self {
        let mut hasher = blake3::Hasher::new();
        feed_text(&mut hasher, &id.to_string());
        let compared = |name: &str| {
            id.kind().attr(name).is_none_or(|attr| matches!(attr.on_change, OnChange::Alter | OnChange::Replace))
        };
        feed_attrs(&mut hasher, object.attrs.iter().filter(|(name, _)| !shape || compared(name)), shape);
        Self::finish(&hasher)
    }

    /// The hash of a whole state, whatever the order of its objects.
    pub fn of_state(state: &State) -> Self {
        let mut all: Vec<Digest> = state.iter().map(|(id, object)| Self::of_object(id, object, false)).collect();
        all.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for digest in all {
            hasher.update(&digest.0);
        }
        Self::finish(&hasher)
    }

    /// Reads 32 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes)
    }
}

/// Texts that are hashed one after the other, as `Digest::of_texts` does.
#[derive(Debug, Default)]
pub struct Texts(blake3::Hasher);

impl Texts {
    /// The next text.
    pub fn add(&mut self, text: &str) {
        feed_text(&mut self.0, text);
    }

    /// The hash of all of them.
    pub fn digest(&self) -> Digest {
        Digest::finish(&self.0)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (two, byte) in text.chunks_exact_mut(2).zip(self.0) {
            two.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

fn feed_text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn feed_attrs<'a>(hasher: &mut blake3::Hasher, attrs: impl Iterator<Item = (&'static str, &'a Value)>, shape: bool) {
    let mut sorted: Vec<_> = attrs.collect();
    sorted.sort_by_key(|(name, _)| *name);
    hasher.update(&(sorted.len() as u64).to_le_bytes());
    for (name, value) in sorted {
        feed_text(hasher, name);
        feed_value(hasher, value, shape);
    }
}

fn feed_value(hasher: &mut blake3::Hasher, value: &Value, shape: bool) {
    match value {
        Value::Bool(b) => {
            hasher.update(&[0, u8::from(*b)]);
        }
        Value::Int(i) => {
            hasher.update(&[1]).update(&i.to_le_bytes());
        }
        Value::Text(t) => {
            hasher.update(&[2]);
            feed_text(hasher, t);
        }
        Value::Type(t) => {
            hasher.update(&[3]);
            let text = t.as_str();
            feed_text(hasher, if shape { text.rsplit('.').next().unwrap_or(text) } else { text });
        }
        Value::Expr(e) => {
            hasher.update(&[4]);
            if !shape {
                feed_text(hasher, e.as_str());
            }
        }
        Value::Ref(id) => {
            hasher.update(&[5]);
            feed_text(hasher, &id.to_string());
        }
        Value::List(list) => {
            hasher.update(&[6]).update(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|v| feed_value(hasher, v, shape));
        }
        Value::Options(options) => {
            hasher.update(&[8]).update(&(options.0.len() as u64).to_le_bytes());
            options.sorted().into_iter().for_each(|text| feed_text(hasher, text));
        }
        Value::Record(record) => {
            hasher.update(&[7]);
            feed_attrs(hasher, record.iter(), shape);
        }
    }
}
