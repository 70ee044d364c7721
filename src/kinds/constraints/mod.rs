//! Constraints: primary keys, unique constraints, foreign keys, checks and exclusion constraints.

// Kinds.
pub mod check;
pub mod exclude;
pub mod foreign_key;
pub mod primary_key;
pub mod unique;

// What they share.
pub mod choose_name;
pub mod constraint;
pub mod key_constraint;
