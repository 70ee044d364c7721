//! Full text search: configurations, dictionaries, parsers and templates.

// Kinds.
pub mod text_search_configuration;
pub mod text_search_dictionary;
pub mod text_search_parser;
pub mod text_search_template;

// What they share.
pub mod objects;
