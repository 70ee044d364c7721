//! The language of files: how nodes become objects and objects become nodes, and what to say about nodes that mean nothing.

pub mod generic;
pub mod habits;
pub mod meant;
pub mod scope;
pub mod short;
pub mod sql_text;
