//! Remembers for the sessions of one command that a server has just refused to turn event triggers off: whoever may not do that is no superuser, for
//! whom alone it matters. That is never kept for another command: the role may be a superuser then, or the server a newer one, and
//! login triggers of others would run as that superuser.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Connect;
use super::place::Place;

/// For how long it is taken to be still so.
const FRESH: Duration = Duration::from_secs(10);

/// A server, its port, and the user and database there.
type Key = (String, u16, String, String);

static REFUSED: Mutex<Option<HashMap<Key, Instant>>> = Mutex::new(None);

fn key(target: &Connect, place: &Place) -> Key {
    (place.host.clone(), place.port, target.user().to_owned(), target.database().to_owned())
}

/// True if that server refused it a moment ago.
pub(super) fn lately(target: &Connect, place: &Place) -> bool {
    let all = REFUSED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.as_ref().and_then(|all| all.get(&key(target, place))).is_some_and(|at| at.elapsed() < FRESH)
}

/// It refused it now.
pub(super) fn note(target: &Connect, place: &Place) {
    let mut all = REFUSED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.get_or_insert_default().insert(key(target, place), Instant::now());
}
