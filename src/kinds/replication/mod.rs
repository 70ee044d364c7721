//! Logical replication: publications and what they publish.

pub mod publication;
pub mod publication_schema;
pub mod publication_table;
