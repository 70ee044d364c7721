//! Encodes states as bytes: each text once, ids in a table where parents come first, values behind a tag. Kinds and attributes are stored by
//! name, so that another version of setpoint can say what it does not know.

use rustc_hash::FxHashMap;

use crate::kinds;
use crate::model::{Attr, Attrs, Error, Expr, Object, ObjectId, Options, Result, Shape, SqlType, State, Text, Value};

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const INT: u8 = 2;
const TEXT: u8 = 3;
const TYPE: u8 = 4;
const EXPR: u8 = 5;
const REF: u8 = 6;
const LIST: u8 = 7;
const OPTIONS: u8 = 8;
const RECORD: u8 = 9;

/// Turns values into bytes, in the order in which a `Decoder` is to be asked for them.
#[derive(Debug, Default)]
pub struct Encoder {
    texts: Table<Text>,
    ids: Table<ObjectId>,
    body: Vec<u8>,
}

/// What was encountered so far, and its bytes.
#[derive(Debug)]
struct Table<T> {
    numbers: FxHashMap<T, u64>,
    bytes: Vec<u8>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), bytes: Vec::new() }
    }
}

impl Encoder {
    /// A number.
    pub fn number(&mut self, number: u64) {
        put(&mut self.body, number);
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        let number = self.text_number(&Text::from(text));
        put(&mut self.body, number);
    }

    /// An id.
    pub fn id(&mut self, id: &ObjectId) {
        let number = self.id_number(id);
        put(&mut self.body, number);
    }

    /// A state: its objects with their attributes, in its order.
    pub fn state(&mut self, state: &State) {
        self.number(state.len() as u64);
        for (id, object) in state.iter() {
            self.id(id);
            self.attrs(&object.attrs);
        }
    }

    /// All of it.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.texts.bytes.len() + self.ids.bytes.len() + self.body.len() + 16);
        put(&mut out, self.texts.numbers.len() as u64);
        out.extend(self.texts.bytes);
        put(&mut out, self.ids.numbers.len() as u64);
        out.extend(self.ids.bytes);
        out.extend(self.body);
        out
    }

    fn text_number(&mut self, text: &Text) -> u64 {
        if let Some(number) = self.texts.numbers.get(text) {
            return *number;
        }
        let number = self.texts.numbers.len() as u64;
        put(&mut self.texts.bytes, text.len() as u64);
        self.texts.bytes.extend(text.as_bytes());
        self.texts.numbers.insert(text.clone(), number);
        number
    }

    fn id_number(&mut self, id: &ObjectId) -> u64 {
        if let Some(number) = self.ids.numbers.get(id) {
            return *number;
        }
        let parent = id.parent().map_or(0, |parent| self.id_number(parent) + 1);
        let kind = self.text_number(&Text::from(id.kind().word));
        let name = self.text_number(&id.name().text());
        let signature = id.signature().map_or(0, |signature| self.text_number(signature) + 1);
        for part in [parent, kind, name, signature] {
            put(&mut self.ids.bytes, part);
        }
        let number = self.ids.numbers.len() as u64;
        self.ids.numbers.insert(id.clone(), number);
        number
    }

    fn attrs(&mut self, attrs: &Attrs) {
        self.number(attrs.iter().count() as u64);
        for (name, value) in attrs.iter() {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        let tag = match value {
            Value::Bool(false) => FALSE,
            Value::Bool(true) => TRUE,
            Value::Int(_) => INT,
            Value::Text(_) => TEXT,
            Value::Type(_) => TYPE,
            Value::Expr(_) => EXPR,
            Value::Ref(_) => REF,
            Value::List(_) => LIST,
            Value::Options(_) => OPTIONS,
            Value::Record(_) => RECORD,
        };
        self.body.push(tag);
        match value {
            Value::Bool(_) => {}
            Value::Int(number) => self.body.extend(number.to_le_bytes()),
            Value::Text(text) | Value::Type(SqlType(text)) | Value::Expr(Expr(text)) => {
                let number = self.text_number(text);
                self.number(number);
            }
            Value::Ref(id) => self.id(id),
            Value::List(list) => {
                self.number(list.len() as u64);
                list.iter().for_each(|value| self.value(value));
            }
            Value::Options(Options(list)) => {
                self.number(list.len() as u64);
                list.iter().for_each(|text| self.text(text));
            }
            Value::Record(attrs) => self.attrs(attrs),
        }
    }
}

/// Seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads what an `Encoder` wrote. Each question fails on bytes that are damaged or of a model that this tool does not know.
#[derive(Debug)]
pub struct Decoder<'a> {
    texts: Vec<Text>,
    ids: Vec<ObjectId>,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads the tables of texts and ids.
    ///
    /// # Errors
    /// As all questions.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut decoder = Self { texts: Vec::new(), ids: Vec::new(), rest: bytes };
        for _ in 0..decoder.number()? {
            let length = decoder.size()?;
            let (text, rest) = decoder.rest.split_at_checked(length).ok_or_else(|| broken("it ends in a text"))?;
            decoder.rest = rest;
            let text = std::str::from_utf8(text).map_err(|_| broken("a text is not UTF-8"))?;
            decoder.texts.push(text.into());
        }
        for _ in 0..decoder.number()? {
            let parent = match decoder.number()? {
                0 => None,
                number => Some(decoder.id_at(number - 1)?),
            };
            let word = decoder.text()?;
            let kind = kinds::find(&word).ok_or_else(|| newer(&format!("the kind `{word}`")))?.kind();
            let name = decoder.text()?;
            let id = match decoder.number()? {
                0 => ObjectId::new(kind, parent, name),
                number => ObjectId::routine(kind, parent, name, decoder.text_at(number - 1)?),
            };
            decoder.ids.push(id);
        }
        Ok(decoder)
    }

    /// A number.
    ///
    /// # Errors
    /// As all questions.
    pub fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(broken("a number is too long"))
    }

    /// A text.
    ///
    /// # Errors
    /// As all questions.
    pub fn text(&mut self) -> Result<Text> {
        let number = self.number()?;
        self.text_at(number)
    }

    /// An id.
    ///
    /// # Errors
    /// As all questions.
    pub fn id(&mut self) -> Result<ObjectId> {
        let number = self.number()?;
        self.id_at(number)
    }

    /// A state.
    ///
    /// # Errors
    /// As all questions.
    pub fn state(&mut self) -> Result<State> {
        let mut state = State::default();
        let length = self.size()?;
        state.objects_mut().reserve(length.min(self.rest.len()));
        for _ in 0..length {
            let id = self.id()?;
            let attrs = self.attrs(id.kind().attrs)?;
            state.put(id, Object::new(attrs));
        }
        Ok(state)
    }

    fn attrs(&mut self, table: &'static [Attr]) -> Result<Attrs> {
        let mut attrs = Attrs::new();
        for _ in 0..self.number()? {
            let name = self.text()?;
            let attr = table.iter().find(|attr| attr.name == &*name);
            let attr = attr.ok_or_else(|| newer(&format!("the attribute `{name}`")))?;
            attrs.put(attr.name, self.value(&attr.shape)?);
        }
        Ok(attrs)
    }

    fn value(&mut self, shape: &Shape) -> Result<Value> {
        Ok(match self.byte()? {
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| broken("it ends in a number"))?;
                self.rest = rest;
                Value::Int(i64::from_le_bytes(*bytes))
            }
            TEXT => Value::Text(self.text()?),
            TYPE => Value::Type(SqlType(self.text()?)),
            EXPR => Value::Expr(Expr(self.text()?)),
            REF => Value::Ref(self.id()?),
            LIST => Value::List((0..self.size()?).map(|_| self.value(shape)).collect::<Result<_>>()?),
            OPTIONS => Value::Options(Options((0..self.size()?).map(|_| self.text()).collect::<Result<_>>()?)),
            RECORD => match shape {
                Shape::Record(table) | Shape::Records(table) => Value::Record(self.attrs(table)?),
                _ => return Err(newer("a value")),
            },
            _ => return Err(newer("a value")),
        })
    }

    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| broken("it ends too early"))?;
        self.rest = rest;
        Ok(*byte)
    }

    fn size(&mut self) -> Result<usize> {
        usize::try_from(self.number()?).map_err(|_| broken("a number is too large"))
    }

    fn text_at(&self, number: u64) -> Result<Text> {
        let text = usize::try_from(number).ok().and_then(|number| self.texts.get(number));
        text.cloned().ok_or_else(|| broken("a text is missing"))
    }

    fn id_at(&self, number: u64) -> Result<ObjectId> {
        let id = usize::try_from(number).ok().and_then(|number| self.ids.get(number));
        id.cloned().ok_or_else(|| broken("an id is missing"))
    }
}

/// Bytes that no version of the tool wrote.
pub(super) fn broken(why: &str) -> Error {
    Error::failed("a state in the ledger cannot be read").detail(why.to_owned())
}

fn newer(what: &str) -> Error {
    Error::refused("a state in the ledger was written by a newer version of setpoint")
        .detail(format!("this version does not know {what}"))
        .remedy("upgrade setpoint")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Form, Key, OnChange, attr};

    fn round_trip(state: &State) -> State {
        let mut encoder = Encoder::default();
        encoder.state(state);
        Decoder::new(&encoder.finish()).unwrap().state().unwrap()
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let schema = kinds::schema::id("public");
        let kind = |word: &str| kinds::find(word).unwrap().kind();
        let table = ObjectId::new(kind("table"), Some(schema.clone()), "Odd \"name\"");
        let column = ObjectId::new(kind("column"), Some(table.clone()), "id");
        let function = ObjectId::routine(kind("function"), Some(schema.clone()), "f", "integer, text");
        let mut state = State::default();
        state.put(schema, Object::default());
        state.put(table.clone(), Object::default());
        state.put(function, Object::default());
        let mut attrs = Attrs::new();
        attrs.put("type", Value::Type(SqlType::new("numeric(12,2)")));
        attrs.put("not-null", Value::Bool(true));
        state.put(column.clone(), Object::new(attrs));
        let default = ObjectId::facet(kind("default"), column);
        state.put(default, Object::new(Attrs::new().with(Key::<Expr>::new("value"), Expr::new("now()"))));
        let comment = ObjectId::facet(kind("comment"), table);
        state.put(comment, Object::new(Attrs::new().with(Key::<Text>::new("text"), Text::from("数据 \u{1F600}"))));
        let back = round_trip(&state);
        assert_eq!(back.len(), state.len());
        for ((id, object), (back_id, back_object)) in state.iter().zip(back.iter()) {
            assert_eq!((id, object), (back_id, back_object));
        }
    }

    #[test]
    fn every_shape_of_value_comes_back() {
        static INNER: [Attr; 1] =
            [attr(Key::<i64>::new("n"), Shape::Int, Form::Property, OnChange::Alter, "A number.")];
        static TABLE: [Attr; 4] = [
            attr(Key::<Attrs>::new("one"), Shape::Record(&INNER), Form::Child, OnChange::Alter, "One."),
            attr(Key::<Vec<Attrs>>::new("many"), Shape::Records(&INNER), Form::Repeated, OnChange::Alter, "Many."),
            attr(
                Key::<Vec<ObjectId>>::new("refs"),
                Shape::Refs(&["schema"]),
                Form::Child,
                OnChange::Alter,
                "References.",
            ),
            attr(Key::<Options>::new("with"), Shape::Options, Form::Child, OnChange::Alter, "Options."),
        ];
        let inner = |n| Attrs::new().with(Key::<i64>::new("n"), n);
        let mut all = Attrs::new();
        all.put("one", Value::Record(inner(-7)));
        all.put("many", Value::List(vec![Value::Record(inner(i64::MIN)), Value::Record(inner(i64::MAX))]));
        let schema = kinds::schema::id("a.b");
        all.put("refs", Value::List(vec![Value::Ref(schema.clone()), Value::Ref(schema)]));
        all.put("with", Value::Options(Options(vec!["b=2".into(), "a=1".into()])));
        let mut encoder = Encoder::default();
        encoder.attrs(&all);
        encoder.number(u64::MAX);
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(&bytes).unwrap();
        assert_eq!(decoder.attrs(&TABLE).unwrap(), all);
        assert_eq!(decoder.number().unwrap(), u64::MAX);
        assert!(decoder.number().is_err());
    }

    #[test]
    fn damage_and_the_unknown_are_refused() {
        let mut encoder = Encoder::default();
        encoder.id(&kinds::schema::id("public"));
        let bytes = encoder.finish();
        for length in 0..bytes.len() {
            assert!(Decoder::new(&bytes[..length]).and_then(|mut d| d.id()).is_err(), "{length}");
        }
        let changed = String::from_utf8_lossy(&bytes).replace("schema", "schemo");
        assert!(Decoder::new(changed.as_bytes()).unwrap_err().to_string().contains("schemo"));
    }
}
