//! Tables and their columns: defaults, identities, inheritance, storage, statistics.

// Kinds.
pub mod cluster;
pub mod column;
pub mod default;
pub mod identity;
pub mod replica_identity;
pub mod statistics;
pub mod table;

// What they share.
pub mod filling;
pub mod index_of;
pub mod inheritance;
pub mod toast;
