//! A node of the graph: an object and what happens to it.

use crate::model::{Object, ObjectId, State};

/// What a node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// From this old name.
    Rename(ObjectId),
    Drop,
    /// A type is dropped and recreated under columns that use it; these columns.
    Rebuild(Vec<ObjectId>),
    Alter(Vec<&'static str>),
    Create,
}

/// An object and what happens to it.
#[derive(Debug, Clone)]
pub struct Node {
    pub id: ObjectId,
    pub act: Act,
    /// Dropped and recreated in the same plan.
    pub replaced: bool,
    /// What stands in for the object on one side of the node.
    pub placeholder: Option<Placeholder>,
}

/// What stands in for an object while others are made or dropped that need it, and that it needs.
#[derive(Debug, Clone)]
pub struct Placeholder {
    pub object: Object,
    pub side: Side,
    /// The others.
    pub circle: Vec<ObjectId>,
}

/// On which side of a node an object is a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl Node {
    /// A node without a placeholder.
    pub fn new(id: ObjectId, act: Act, replaced: bool) -> Self {
        Self { id, act, replaced, placeholder: None }
    }

    /// The object before the node does what it does.
    pub fn before<'a>(&'a self, old: &'a State) -> Option<&'a Object> {
        self.stands_in(Side::Before).or_else(|| old.get(&self.id))
    }

    /// The object after that.
    pub fn after<'a>(&'a self, new: &'a State) -> Option<&'a Object> {
        self.stands_in(Side::After).or_else(|| new.get(&self.id))
    }

    /// The placeholder on that side.
    pub fn stands_in(&self, side: Side) -> Option<&Object> {
        self.placeholder.as_ref().filter(|placeholder| placeholder.side == side).map(|placeholder| &placeholder.object)
    }

    /// True if the object is missing, or only its placeholder is there, until another node of the object.
    pub fn opens(&self) -> bool {
        self.replaced && self.act == Act::Drop || self.stands_in(Side::After).is_some()
    }

    /// True if it continues with what another node of the object began.
    pub fn goes_on(&self) -> bool {
        self.replaced && self.act != Act::Drop || self.stands_in(Side::Before).is_some()
    }
}
