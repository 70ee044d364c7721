//! What people and programs read: text for terminals, JSON with a version.

pub mod json;
pub mod text;
