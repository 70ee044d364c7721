//! The database as a whole: its schemas and extensions, and comments on anything in it.

pub mod comment;
pub mod extension;
pub mod schema;
