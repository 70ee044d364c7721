//! Views, materialized views, and the rewrite rules that views are made of.

// Kinds.
pub mod materialized_view;
pub mod rule;
pub mod view;

// What they share.
pub mod query;
