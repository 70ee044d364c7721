//! Database → state: one consistent snapshot, one query per room, all sent without waiting for each other.

mod edges;
pub mod unmodelled;

pub use edges::edges;

use futures_util::future::try_join_all;

use crate::catalog::{Book, Row, Session, Version, class, server_error};
use crate::kinds::{self, generic};
use crate::model::{Error, Ident, ObjectId, Result, State};

/// What was read.
pub struct Live {
    /// Everything that the model covers.
    pub state: State,
    /// The addresses of the rows, for the edges.
    pub book: Book,
    /// What the model does not cover, by kind and name.
    pub unmodelled: Vec<String>,
    /// The server.
    pub server: Version,
}

/// Objects that extensions brought; what belongs to them is theirs too.
const MEMBERS: &str = "SELECT classid, objid FROM pg_depend WHERE deptype = 'e' AND objid >= 16384";
const ROLES: &str = "SELECT oid, rolname FROM pg_roles";

/// Reads the whole catalog in one transaction, which stays open for `edges`; `end` closes it.
///
/// # Errors
/// What the server reports, or a room whose query and reading do not agree.
pub async fn begin(session: &Session) -> Result<Live> {
    session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let server = session.version;
    let rooms = kinds::rooms();
    let client = &session.client;
    let queries = rooms.iter().map(|room| room.query(server)).chain([Some(unmodelled::query(server))]);
    let answers =
        try_join_all([Some(MEMBERS.into()), Some(ROLES.into())].into_iter().chain(queries).map(|query| async move {
            match query {
                Some(query) => client
                    .query(query.as_str(), &[])
                    .await
                    .map_err(|error| server_error(&error).detail(format!("while reading the catalog: {query}"))),
                None => Ok(Vec::new()),
            }
        }))
        .await?;
    let mut answers = answers.into_iter();
    let mut book = Book::new(server);
    for row in answers.next().unwrap_or_default() {
        let mut row = Row::new(row);
        book.add_member(row.oid(), row.oid());
    }
    for row in answers.next().unwrap_or_default() {
        let mut row = Row::new(row);
        book.add_role(row.oid(), Ident::new(row.text()));
    }
    let unmodelled = answers.next_back().unwrap_or_default().into_iter().map(Row::new).collect();
    let unmodelled = unmodelled::read(unmodelled, server).iter().map(ToString::to_string).collect();
    let mut named: Vec<Vec<(ObjectId, Row)>> = Vec::with_capacity(rooms.len());
    for (room, rows) in rooms.iter().zip(answers) {
        let mut list = Vec::with_capacity(rows.len());
        for row in rows {
            let mut row = Row::new(row);
            if let Some(id) = room.name(&mut row, &mut book) {
                list.push((id, row));
            }
            // A room that reads wrongly would lose objects in silence.
        }
        named.push(list);
    }
    let mut state = State::default();
    for (room, list) in rooms.iter().zip(named) {
        for (id, mut row) in list {
            let object = room.read(&mut row, &id, &book);
            if let Some(error) = row.error() {
                return Err(Error::failed(format!("the catalog row of {id} is not as expected: {error}"))
                    .remedy("please report this with the server's version"));
            }
            if let Some(mut object) = object {
                generic::drop_defaults(room.kind(), &mut object.attrs);
                state.put(id, object);
            }
        }
    }
    Ok(Live { state, book, unmodelled, server })
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
    let live = begin(session).await;
    let ended = end(session).await;
    let live = live?;
    ended?;
    Ok(live)
}

/// The object that a class and OID (and column number) of `pg_depend` stand for.
fn object(book: &Book, class: u32, oid: u32, sub: i32) -> Option<&ObjectId> {
    match i16::try_from(sub) {
        Ok(number) if class == class::PG_CLASS && number > 0 => book.column(oid, number),
        _ => book.get(class, oid),
    }
}
