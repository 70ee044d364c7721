//! One room per kind of object. The list of rooms is the only place that knows all of them.

pub mod acl;
mod answers;
pub mod choose_name;
pub mod collated;
pub mod constraint;
pub mod default_opclass;
pub mod domains;
pub mod filling;
pub mod firing;
pub mod foreign_options;
pub mod generic;
pub mod habits;
pub mod held;
pub mod index_of;
pub mod inheritance;
pub mod key_constraint;
pub mod key_parts;
pub mod manage;
pub mod meant;
pub mod numbering;
mod operator_members;
pub mod query;
pub mod refs;
pub mod rights;
pub mod roles;
mod room;
mod routine;
pub mod scope;
mod sequence_options;
mod short;
mod sql_text;
mod statement;
mod support;
mod support_function;
mod target;
#[cfg(test)]
pub mod testing;
mod text_search;
pub mod toast;
pub mod values;

pub use answers::{BuiltIns, Context, Direction, Disturbance, Evaluates, Folded, Heirs, Holds, Need, Reaction};
pub use room::Room;
pub use statement::{LockMode, Mode, Statement};

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::model::KindRef;

/// Kinds that are types of the same name.
pub const IS_TYPE: &[&str] =
    &["enum", "domain", "type", "range", "table", "view", "materialized-view", "foreign-table"];

macro_rules! rooms {
    ($($room:ident),* $(,)?) => {
        $(pub mod $room;)*
        static ROOMS: &[&dyn Room] = &[$(&$room::ROOM),*];
    };
}

// In the order of reading: what a row belongs or refers to is read before it.
rooms![
    schema,
    extension,
    collation,
    enumeration,
    value,
    domain,
    composite,
    attribute,
    sequence,
    function,
    procedure,
    range,
    foreign_data_wrapper,
    server,
    user_mapping,
    aggregate,
    operator,
    cast,
    operator_family,
    operator_class,
    text_search_parser,
    text_search_template,
    text_search_dictionary,
    text_search_configuration,
    table,
    foreign_table,
    view,
    materialized_view,
    column,
    identity,
    owned_by,
    default,
    primary_key,
    unique,
    check,
    exclude,
    index,
    foreign_key,
    trigger,
    policy,
    rule,
    statistics,
    publication,
    publication_table,
    publication_schema,
    event_trigger,
    replica_identity,
    cluster,
    comment,
    index_comment,
    default_privileges,
    owner,
    grant,
    revoke,
];

/// All rooms, in the order of reading.
pub fn rooms() -> &'static [&'static dyn Room] {
    ROOMS
}

/// The room of the kind with that word.
pub fn find(word: &str) -> Option<&'static dyn Room> {
    static PLACES: LazyLock<FxHashMap<&str, usize>> = LazyLock::new(|| places(|kind| kind.word));
    ROOMS.get(*PLACES.get(word)?).copied()
}

/// The room of a kind. Every kind has one: kinds are made by rooms.
pub fn room(kind: KindRef) -> &'static dyn Room {
    ROOMS.get(rank(kind)).copied().unwrap_or(ROOMS[0])
}

/// The place of a kind in the list of rooms: the order in which a plan prefers to create.
pub fn rank(kind: KindRef) -> usize {
    static PLACES: LazyLock<FxHashMap<usize, usize>> = LazyLock::new(|| places(address));
    PLACES.get(&address(kind)).copied().unwrap_or(usize::MAX)
}

fn address(kind: KindRef) -> usize {
    std::ptr::from_ref(kind).addr()
}

fn places<K: std::hash::Hash + Eq>(key: impl Fn(KindRef) -> K) -> FxHashMap<K, usize> {
    ROOMS.iter().enumerate().map(|(place, room)| (key(room.kind()), place)).collect()
}
