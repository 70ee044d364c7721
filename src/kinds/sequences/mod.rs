//! Sequences, the columns that own them, and where numbering goes on.

// Kinds.
pub mod owned_by;
pub mod sequence;

// What they share.
pub mod numbering;
pub mod sequence_options;
