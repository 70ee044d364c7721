//! SQL text: quoting names on the way out, reading names, types and references on the way in.

pub mod balance;
pub mod conversion;
mod escapes;
pub mod lex;
pub mod names;
pub mod operators;
mod options;
pub mod places;
mod quote;
pub mod reference;
mod respell;
pub mod signature;
pub mod stars;
pub mod statement;
pub mod steady;
pub mod types;

pub use options::{
    definition, definition_changes, definitions, foreign_option_changes, foreign_options, option_changes, options,
};
pub use quote::{literal, name, name_list, operator_path, path, role, schema_path, target};
pub use respell::respelled;
