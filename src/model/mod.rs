//! The model of a schema: identifiers, object ids, attributes, states and errors. Imports nothing else of this crate.

mod error;
mod hash;
mod id;
mod ident;
mod index;
mod kind;
pub mod painted;
mod shown;
mod state;
mod value;

pub use error::{Class, Error, InFiles, Result, SAME_COMMAND, Wrong};
pub use hash::{Digest, Texts};
pub use id::{ObjectId, grantor};
pub use ident::{Ident, MAX_NAME_BYTES};
#[cfg(test)]
pub use index::work;
pub use kind::{Address, Attr, Form, Key, Kind, KindRef, Namespace, OnChange, Shape, Within, attr};
pub use shown::{begins_command, harmless, in_json, in_line, is_obeyed, without_passwords};
pub use state::{By, Change, Edges, Object, Part, Span, State};
pub use value::{Attrs, Expr, Field, Options, SqlType, Text, Value};
