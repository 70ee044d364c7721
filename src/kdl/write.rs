//! The canonical layout.
use crate::kdl::Node;
/// Writes nodes as a file.
pub fn format_nodes(_nodes: &[Node]) -> String {
    String::new()
}
/// Writes one node at a depth.
pub fn write_node(_out: &mut String, _node: &Node, _depth: usize) {}
