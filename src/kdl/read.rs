//! The strict reader.
use crate::kdl::{Node, Problem};
/// Nodes deeper than this are refused.
pub const MAX_DEPTH: usize = 64;
/// Reads a file's text into nodes.
pub fn read(_file: u32, _text: &str) -> Result<Vec<Node>, Vec<Problem>> {
    Ok(vec![])
}
