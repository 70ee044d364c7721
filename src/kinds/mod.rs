//! One room per kind of object, in folders by subject. The list of rooms is the only place that knows all of them.

mod access;
mod constraints;
mod database;
mod foreign;
mod indexes;
mod language;
mod operators;
mod replication;
mod routines;
mod sequences;
mod tables;
mod text_search;
mod triggers;
mod types;
mod views;

mod answers;
pub mod refs;
mod room;
mod statement;
mod target;
#[cfg(test)]
pub mod testing;

// Whoever uses a module names it without the folder that it lies in.
pub use access::{acl, held, manage, rights, roles};
pub use answers::{BuiltIns, Context, Direction, Disturbance, Evaluates, Folded, Heirs, Holds, Need, Reaction};
pub use constraints::{choose_name, constraint, key_constraint};
pub use foreign::foreign_options;
pub use indexes::key_parts;
pub use language::{generic, habits, meant, scope};
pub use operators::{default_opclass, operator_members};
pub use room::Room;
pub use sequences::numbering;
pub use statement::{LockMode, Mode, Statement};
pub use tables::{filling, index_of, inheritance, toast};
pub use triggers::firing;
pub use types::{collated, domains, values};
pub use views::query;

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::model::KindRef;

use language::{short, sql_text};
use routines::{routine, support, support_function};
use sequences::sequence_options;

/// Kinds that are types of the same name.
pub const IS_TYPE: &[&str] =
    &["enum", "domain", "type", "range", "table", "view", "materialized-view", "foreign-table"];

/// Makes the list of rooms, and each of them known as `kinds::ROOM`, without its folder.
macro_rules! rooms {
    ($($subject:ident::$room:ident),* $(,)?) => {
        $(pub use $subject::$room;)*
        static ROOMS: &[&dyn Room] = &[$(&$subject::$room::ROOM),*];
    };
}

// In the order of reading: what a row belongs or refers to is read before it.
rooms![
    database::schema,
    database::extension,
    types::collation,
    types::enumeration,
    types::value,
    types::domain,
    types::composite,
    types::attribute,
    sequences::sequence,
    routines::function,
    routines::procedure,
    types::range,
    foreign::foreign_data_wrapper,
    foreign::server,
    foreign::user_mapping,
    routines::aggregate,
    operators::operator,
    types::cast,
    operators::operator_family,
    operators::operator_class,
    text_search::text_search_parser,
    text_search::text_search_template,
    text_search::text_search_dictionary,
    text_search::text_search_configuration,
    tables::table,
    foreign::foreign_table,
    views::view,
    views::materialized_view,
    tables::column,
    tables::identity,
    sequences::owned_by,
    tables::default,
    constraints::primary_key,
    constraints::unique,
    constraints::check,
    constraints::exclude,
    indexes::index,
    constraints::foreign_key,
    triggers::trigger,
    access::policy,
    views::rule,
    tables::statistics,
    replication::publication,
    replication::publication_table,
    replication::publication_schema,
    triggers::event_trigger,
    tables::replica_identity,
    tables::cluster,
    database::comment,
    indexes::index_comment,
    access::default_privileges,
    access::owner,
    access::grant,
    access::revoke,
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
