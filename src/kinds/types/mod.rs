//! Types: enums, domains, composite types and ranges, and the collations and casts of types.

// Kinds.
pub mod attribute;
pub mod cast;
pub mod collation;
pub mod composite;
pub mod domain;
pub mod enumeration;
pub mod range;
pub mod value;

// What they share.
pub mod collated;
pub mod domains;
pub mod values;
