//! Reads a database into a state: one consistent snapshot, one query per room, all sent without waiting for each other.

mod attached;
pub mod default_opclasses;
mod edges;
mod encoding;
mod fingerprint;
pub mod packed;
mod stored;
pub mod unmodelled;
pub mod untested;

pub use attached::attached;
pub use edges::{Dependencies, edges};
pub use encoding::{Decoder, Encoder};
pub use fingerprint::{Fingerprint, Prints, take as fingerprint};
pub use stored::Stored;

use futures_util::TryStreamExt;
use futures_util::stream::FuturesOrdered;

use crate::catalog::{Book, Row, Session, Version, server_error};
use crate::kinds::{self, Room, acl, generic, key_parts};
use crate::model::{Error, Ident, ObjectId, Result, State};
use crate::sql;

/// What was read.
pub struct Live {
    /// Everything that the model covers.
    pub state: State,
    /// The dependencies, for the edges.
    pub dependencies: Dependencies,
    /// What the model does not cover, by kind and name.
    pub unmodelled: Vec<String>,
    /// The server.
    pub server: Version,
}

/// Objects that belong to extensions, and their parts.
const MEMBERS: &str =
    "SELECT classid, objid FROM pg_depend WHERE refclassid = 3079 AND deptype = 'e' AND objid >= 16384";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Bytes of `pg_attribute`; some hundred tables have so many.
const WORTH_A_CONNECTION: u32 = 2 << 20;

const ROLES: &str = "SELECT oid, rolname FROM pg_roles";

/// What is read before any room.
const PRELUDES: [&str; 4] = [MEMBERS, ROLES, key_parts::ODD_PARTS, acl::GUESTS];

/// Reads the whole catalog in one transaction, which stays open for `edges`; `end` closes it.
///
/// All queries are sent at once, and each answer is read while the server works on the next. An answer refers to what the
/// answers before it have named, so the rooms' order matters. Where the catalog is large, a second connection that sees the same
/// snapshot answers the first half of the rooms.
///
/// An earlier reading is used instead if the catalog has not changed since.
///
/// # Errors
/// What the server reports, or a room whose query and reading do not agree.
pub async fn begin(session: &Session, earlier: Option<&Stored>) -> Result<Live> {
    session.batch(BEGIN).await?;
    if let Some(earlier) = earlier {
        // The server looks while the bytes are unpacked: the question is sent first.
        let unpacked = async { earlier.live(session.version) };
        let (now, live) = futures_util::future::join(fingerprint(session, None), unpacked).await;
        // Bytes that cannot be read are as good as none: the catalog is there.
        if let (Some(now), Ok(live)) = (now?, live)
            && now.all.is_still(&earlier.fingerprint)
        {
            return Ok(live);
        }
    }
    Ok(read_rooms(session, false).await?.0)
}

/// Reads everything; to store it, also the dependencies and the fingerprint of the catalog.
async fn read_rooms(session: &Session, keep: bool) -> Result<(Live, Option<Stored>)> {
    let server = session.version;
    let rooms = kinds::rooms();
    let second = second(session).await?;
    let half = rooms.len() / 2;
    let beside = second.as_ref().unwrap_or(session);
    let of_room =
        |(at, room): (usize, &&dyn Room)| answer(if at < half { beside } else { session }, room.query(server));
    let mut answers: FuturesOrdered<_> =
        PRELUDES.into_iter().map(|query| answer(session, Some(query.into()))).collect();
    answers.extend(rooms.iter().enumerate().map(of_room));
    answers.push_back(answer(session, Some(unmodelled::query(server))));
    let print = if keep { fingerprint::query(session, None) } else { None };
    if let Some(print) = &print {
        answers.push_back(answer(beside, Some(print.clone())));
        answers.push_back(answer(beside, Some(edges::DEPENDS.into())));
    }
    let mut book = Book::new(server);
    for mut row in answers.try_next().await?.unwrap_or_default() {
        book.add_member(row.oid(), row.oid());
    }
    for mut row in answers.try_next().await?.unwrap_or_default() {
        book.add_role(row.oid(), Ident::new(row.text()));
    }
    for mut row in answers.try_next().await?.unwrap_or_default() {
        key_parts::note(&mut row, &mut book);
    }
    for mut row in answers.try_next().await?.unwrap_or_default() {
        acl::note_guest(&mut row, &mut book);
    }
    let mut state = State::default();
    for room in rooms {
        let rows = answers.try_next().await?.unwrap_or_default();
        read_room(*room, rows, &mut book, &mut state)?;
    }
    let unmodelled = unmodelled::read(answers.try_next().await?.unwrap_or_default(), server);
    let unmodelled = unmodelled.iter().map(ToString::to_string).collect();
    let mut live = Live { state, dependencies: Dependencies::Known(Vec::new()), unmodelled, server };
    let mut stored = None;
    if print.is_some() {
        let prints = fingerprint::read(session, answers.try_next().await?.unwrap_or_default());
        let rows = answers.try_next().await?.unwrap_or_default();
        let depends: Vec<_> =
            edges::named(&book, rows.into_iter()).map(|(from, to)| (from.clone(), to.clone())).collect();
        stored = prints.map(|prints| Stored::new(&live, &depends, prints.all)).transpose()?;
    }
    live.dependencies = Dependencies::Unread(Box::new(book));
    Ok((live, stored))
}

/// Another connection with the snapshot of this one's transaction; `None` if it would not pay, or cannot be had.
async fn second(session: &Session) -> Result<Option<Session>> {
    if session.standby {
        return Ok(None);
    }
    let export = format!(
        "SELECT CASE WHEN pg_relation_size('pg_attribute') > {WORTH_A_CONNECTION} THEN pg_export_snapshot() END"
    );
    let snapshot = session.rows(&export, &[]).await?.into_iter().next().and_then(|mut row| row.text_opt());
    let Some(snapshot) = snapshot else { return Ok(None) };
    let Ok(second) = Session::open(session.target(), "catalog").await else { return Ok(None) };
    let same = format!("{BEGIN}; SET TRANSACTION SNAPSHOT {}", sql::literal(&snapshot));
    Ok(second.batch(&same).await.is_ok().then_some(second))
}

/// The rows of one query; none if the room has no rows of its own.
async fn answer(session: &Session, query: Option<String>) -> Result<Vec<Row>> {
    let Some(query) = query else { return Ok(Vec::new()) };
    let rows = session.client.query_typed(&query, &[]).await;
    let rows = rows.map_err(|error| server_error(&error).detail(format!("while reading the catalog: {query}")))?;
    Ok(rows.into_iter().map(Row::new).collect())
}

/// Names what the rows stand for, then reads them: objects of a kind may refer to each other.
fn read_room(room: &dyn Room, rows: Vec<Row>, book: &mut Book, state: &mut State) -> Result<()> {
    let mut named: Vec<(ObjectId, Row)> = Vec::with_capacity(rows.len());
    named.extend(rows.into_iter().filter_map(|mut row| room.name(&mut row, book).map(|id| (id, row))));
    for (id, mut row) in named {
        let object = room.read(&mut row, &id, book);
        // A room that reads wrongly would lose objects in silence.
        if let Some(error) = row.error() {
            return Err(Error::failed(format!("the catalog row of {id} is not as expected: {error}"))
                .remedy("please report this with the server's version"));
        }
        if let Some(mut object) = object {
            generic::drop_defaults(room.kind(), &mut object.attrs);
            state.put(id, object);
        }
    }
    Ok(())
}

/// Ends the reading transaction: an open snapshot stalls concurrent index builds.
///
/// # Errors
/// What the server reports.
pub async fn end(session: &Session) -> Result<()> {
    session.batch("COMMIT").await
}

/// Reads everything and ends the transaction.
///
/// # Errors
/// As `begin`.
pub async fn read(session: &Session) -> Result<Live> {
    read_or_recall(session, None).await
}

/// The same, if an earlier reading may be enough.
///
/// # Errors
/// As `begin`.
pub async fn read_or_recall(session: &Session, earlier: Option<&Stored>) -> Result<Live> {
    let live = begin(session, earlier).await;
    let ended = end(session).await;
    let live = live?;
    ended?;
    Ok(live)
}

/// The same, with a form that can be kept for later; none if the user may not see all that counts.
///
/// # Errors
/// As `begin`.
pub async fn read_to_keep(session: &Session) -> Result<(Live, Option<Stored>)> {
    session.batch(BEGIN).await?;
    let read = read_rooms(session, true).await;
    let ended = end(session).await;
    let read = read?;
    ended?;
    Ok(read)
}

/// The object that a class and OID (and column number) of `pg_depend` stand for. System columns are part of the table.
fn object(book: &Book, class: u32, oid: u32, sub: i32) -> Option<&ObjectId> {
    if sub > 0 { book.object(class, oid, sub) } else { book.whole(class, oid) }
}
