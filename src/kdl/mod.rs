//! KDL v2: nodes with spans, a fast strict reader, a canonical writer, layout, diagnostics, and a second reader as a witness. The only user of the KDL crates.

mod diagnose;
mod explain;
mod format;
#[cfg(test)]
pub(crate) mod layouts;
mod node;
mod problem;
mod quick;
mod read;
mod splice;
mod tokens;
pub mod witness;
mod write;

pub use format::{format, unix_lines};
pub use node::{Arg, Node, Prop, Scalar};
pub use problem::{Problem, Sources};
pub use read::{MAX_BYTES, MAX_DEPTH, Texts, read, read_large, read_with};
pub use splice::Splices;
pub use write::{format_nodes, write_node};
