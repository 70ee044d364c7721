//! Collects what an object refers to: by the form of its attributes, and from its room for the rest.

use crate::model::{ObjectId, SqlType, Text};

/// The needs of one object, before they are looked up in a state.
#[derive(Debug, Default)]
pub struct Refs {
    /// Objects by address; those that are not in the state (an extension's) mean nothing.
    pub objects: Vec<ObjectId>,
    /// Types by text.
    pub types: Vec<SqlType>,
    /// SQL text in which names are looked for.
    pub texts: Vec<Text>,
    /// Bodies in which routines are called; what else they name is looked up when they run.
    pub bodies: Vec<Text>,
}

impl Refs {
    /// Needs this object.
    pub fn object(&mut self, id: ObjectId) {
        self.objects.push(id);
    }

    /// Needs this type.
    pub fn sql_type(&mut self, text: &SqlType) {
        self.types.push(text.clone());
    }

    /// Needs whatever this SQL text names.
    pub fn names_in(&mut self, text: Text) {
        self.texts.push(text);
    }

    /// Rather comes after the routines that this body calls: a constraint that uses it is checked as soon as it is made.
    pub fn calls_in(&mut self, body: Text) {
        self.bodies.push(body);
    }
}
