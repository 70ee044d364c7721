//! Foreign data: wrappers, servers, user mappings and foreign tables.

// Kinds.
pub mod foreign_data_wrapper;
pub mod foreign_table;
pub mod server;
pub mod user_mapping;

// What they share.
pub mod foreign_options;
