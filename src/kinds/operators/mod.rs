//! Operators, operator classes and operator families.

// Kinds.
pub mod operator;
pub mod operator_class;
pub mod operator_family;

// What they share.
pub mod default_opclass;
pub mod operator_members;
