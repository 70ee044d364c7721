//! Routines: functions, procedures and aggregates, and how other objects refer to functions.

// Kinds.
pub mod aggregate;
pub mod function;
pub mod procedure;

// What they share.
pub mod routine;
pub mod support;
pub mod support_function;
