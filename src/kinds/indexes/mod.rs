//! Indexes, the parts of their keys, and the comments on those behind constraints.

// Kinds.
pub mod index;
pub mod index_comment;

// What they share.
pub mod key_parts;
