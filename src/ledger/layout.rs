//! The ledger's tables: their exact definition, and how they are created.

use std::fmt::Write as _;

use crate::catalog::{Session, event_triggers_of_lesser_roles, server_error};
use crate::model::{Error, Ident, Result};
use crate::sql;

use super::Pen;
use super::trust::{self, Standing};

/// The version of the ledger's own layout.
pub const FORMAT: i32 = 3;

/// The type of a column. Nothing but types of the server's own is in the ledger.
#[derive(Clone, Copy)]
pub(super) enum Type {
    Boolean,
    Bytes,
    Bigint,
    Integer,
    Text,
    Texts,
    Time,
}

impl Type {
    const fn sql(self) -> &'static str {
        match self {
            Self::Boolean => "pg_catalog.bool",
            Self::Bytes => "pg_catalog.bytea",
            Self::Bigint => "pg_catalog.int8",
            Self::Integer => "pg_catalog.int4",
            Self::Text => "pg_catalog.text",
            Self::Texts => "pg_catalog.text[]",
            Self::Time => "pg_catalog.timestamptz",
        }
    }

    /// Its OID, which is the same on every server (src/include/catalog/pg_type.dat), and that of its B-tree operator class.
    const fn oids(self) -> (u32, u32) {
        match self {
            Self::Boolean => (16, 424),
            Self::Bytes => (17, 428),
            Self::Bigint => (20, 3124),
            Self::Integer => (23, 1978),
            Self::Text => (25, 3126),
            Self::Texts => (1009, 397),
            Self::Time => (1184, 3127),
        }
    }
}

/// A table of the ledger; every column is NOT NULL, and its key are its first columns.
pub(super) struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Type)],
    pub key: usize,
    /// True if the first column is an identity.
    pub identity: bool,
}

const fn table(name: &'static str, key: usize, columns: &'static [(&'static str, Type)]) -> Table {
    Table { name, columns, key, identity: false }
}

const META: Table = table("meta", 1, &[("key", Type::Text), ("value", Type::Text)]);
const REVISION: Table = table(
    "revision",
    1,
    &[
        ("number", Type::Integer),
        ("name", Type::Text),
        ("plan_hash", Type::Text),
        ("how", Type::Text),
        ("by_role", Type::Text),
        ("at", Type::Time),
        ("tool", Type::Text),
        ("plan", Type::Text),
        ("snapshot", Type::Bytes),
    ],
);
const EVENT: Table = Table {
    name: "event",
    key: 1,
    identity: true,
    columns: &[
        ("id", Type::Bigint),
        ("number", Type::Integer),
        ("name", Type::Text),
        ("plan_hash", Type::Text),
        ("what", Type::Text),
        ("by_role", Type::Text),
        ("at", Type::Time),
        ("tool", Type::Text),
        ("plan", Type::Text),
    ],
};
const RUN: Table = table(
    "run",
    1,
    &[
        ("number", Type::Integer),
        ("name", Type::Text),
        ("direction", Type::Text),
        ("plan_hash", Type::Text),
        ("plan", Type::Text),
        ("goal", Type::Integer),
        ("top", Type::Integer),
        ("by_role", Type::Text),
        ("at", Type::Time),
        ("tool", Type::Text),
    ],
);
const JOURNAL: Table = table(
    "journal",
    4,
    &[
        ("number", Type::Integer),
        ("direction", Type::Text),
        ("step", Type::Integer),
        ("sub", Type::Integer),
        ("done", Type::Boolean),
        ("at", Type::Time),
    ],
);
const MEMO: Table = table("memo", 1, &[("key", Type::Text), ("stored", Type::Texts)]);
const READING: Table = table(
    "reading",
    1,
    &[("by_role", Type::Text), ("digest", Type::Text), ("next", Type::Bigint), ("reading", Type::Bytes)],
);

/// The tables of all layouts.
pub(super) const TABLES: &[Table] = &[META, REVISION, EVENT, RUN, JOURNAL, MEMO];

/// The form of `reading` in each layout that had one, newest first; layout 1 had none.
pub(super) const READINGS: &[(i32, Table)] = &[
    (3, READING),
    (
        2,
        table(
            "reading",
            1,
            &[
                ("by_role", Type::Text),
                ("digest", Type::Text),
                ("next", Type::Bigint),
                ("state", Type::Bytes),
                ("addresses", Type::Bytes),
            ],
        ),
    ),
    (
        2,
        table(
            "reading",
            1,
            &[("by_role", Type::Text), ("digest", Type::Text), ("next", Type::Bigint), ("body", Type::Bytes)],
        ),
    ),
];

/// The sequence behind the events' identity, as the catalog describes it to `trust`.
pub(super) const SEQUENCE: (&str, &str) = ("event_id_seq", "S p 0 f f 20 1 1 9223372036854775807 1 1 f event 1");

impl Table {
    /// What the catalog says of it to `trust`.
    pub fn shape(&self) -> String {
        let mut out = "r p 2 f f".to_owned();
        for (at, (name, kind)) in self.columns.iter().enumerate() {
            let identity = if self.identity && at == 0 { "a" } else { "-" };
            _ = write!(out, " {name} {} t {identity}", kind.oids().0);
        }
        out.push_str(" key");
        let key = self.columns.iter().take(self.key);
        (1..=self.key).for_each(|at| _ = write!(out, " {at}"));
        key.for_each(|(_, kind)| _ = write!(out, " {}", kind.oids().1));
        out
    }

    /// The statement that makes it. Every table has a primary key: publications FOR ALL TABLES exist, and would refuse updates without
    /// one. What is large is not compressed by the server: bytes are already, and a plan of a thousand tables would cost more
    /// time than its megabytes are worth.
    fn create(&self) -> String {
        let mut out = format!("CREATE TABLE setpoint.{} (", self.name);
        for (at, (name, kind)) in self.columns.iter().enumerate() {
            let identity = if self.identity && at == 0 { " GENERATED ALWAYS AS IDENTITY" } else { "" };
            _ = write!(out, "{name} {} NOT NULL{identity}, ", kind.sql());
        }
        let key: Vec<&str> = self.columns.iter().take(self.key).map(|(name, _)| *name).collect();
        _ = write!(out, "PRIMARY KEY ({})); ", key.join(", "));
        out + &self.storage()
    }

    /// The statement that has the server keep large values as they are.
    fn storage(&self) -> String {
        let large = ["plan", "snapshot", "reading"];
        let columns = self.columns.iter().filter(|(name, _)| large.contains(name));
        let alter: Vec<String> = columns.map(|(name, _)| format!("ALTER COLUMN {name} SET STORAGE EXTERNAL")).collect();
        match alter.is_empty() {
            true => String::new(),
            false => format!("ALTER TABLE setpoint.{} {}; ", self.name, alter.join(", ")),
        }
    }
}

/// What is done about event triggers that call functions of lesser roles, and would fire when the ledger is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTriggers {
    /// The ledger is not made.
    Refused,
    /// A person allowed it (`runs-as-you`).
    Allowed,
}

/// Makes the ledger where there is none, and brings an older one up to date. To be called under the lock only.
///
/// # Errors
/// The server's, a ledger of a newer layout, and a schema `setpoint` that is not ours to write to.
pub async fn create(pen: Pen<'_>, of_others: EventTriggers) -> Result<()> {
    let session = pen.session;
    session.batch("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    match create_within(pen, of_others).await {
        Ok(_) => session.batch("COMMIT").await,
        Err(error) => {
            let _ = session.batch("ROLLBACK").await; // the first error is the one to tell
            Err(error)
        }
    }
}

/// The same in the session's transaction, with the number of that transaction if anything had to be done. Nothing is taken over that
/// somebody else made in the meantime: without IF NOT EXISTS, the second one fails. What was created is checked like any other
/// ledger before the transaction commits.
pub(super) async fn create_within(pen: Pen<'_>, of_others: EventTriggers) -> Result<Option<String>> {
    let session = pen.session;
    let standing = trust::look(session).await?;
    if standing.layout == Some(FORMAT) && pen.is_careful() {
        return Ok(None);
    }
    standing.ours(session)?;
    if standing.layout == Some(FORMAT) {
        return Ok(None);
    }
    session.batch("SET LOCAL client_min_messages = warning").await?;
    quiet(session, of_others).await?;
    session.batch(&statements(&standing)).await?;
    let made: &[&str] = if standing.layout.is_some() {
        &["reading"]
    } else {
        &["meta", "revision", "event", "run", "journal", "memo", "reading"]
    };
    withdraw(session, made, !standing.schema).await?;
    let after = trust::look(session).await?;
    after.ours(session)?;
    let insert = "INSERT INTO setpoint.meta (key, value) VALUES ('format', $1) \
                  ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value \
                  RETURNING (pg_catalog.pg_current_xact_id()::text::numeric % 4294967296)::text";
    let row = session.client.query_one(insert, &[&FORMAT.to_string()]).await.map_err(|e| server_error(&e))?;
    row.try_get(0).map(Some).map_err(|e| server_error(&e))
}

/// Event triggers have nothing to do with the ledger: a superuser turns them off. Before PostgreSQL 17 that leaves those that fire in
/// replicas, too, and no other role can turn off any; what others could write into them is not run without asking.
async fn quiet(session: &Session, of_others: EventTriggers) -> Result<()> {
    let firing: &[&str] = match (session.superuser, session.version.at_least(17)) {
        (true, true) => return session.batch("SET LOCAL event_triggers = off").await,
        (true, false) => &["A", "R"],
        (false, _) => &["O", "A"],
    };
    if of_others == EventTriggers::Refused {
        let found = event_triggers_of_lesser_roles(session, firing).await?;
        if !found.is_empty() {
            let error = Error::refused("creating the ledger would run other roles' code with your privileges");
            let error = found.into_iter().fold(error, |error, function| error.detail(format!("it calls {function}")));
            return Err(error.remedy(
                "turn each of them off meanwhile, as a superuser: ALTER EVENT TRIGGER … DISABLE; or make its function yours: \
                 ALTER FUNCTION … OWNER TO CURRENT_USER",
            ));
        }
    }
    match session.superuser {
        true => session.batch("SET LOCAL session_replication_role = replica").await,
        false => Ok(()),
    }
}

/// Upgrades the existing layout to the current one. A reading can be recreated, so an older layout's need not be kept.
fn statements(standing: &Standing) -> String {
    let mut out = String::new();
    if !standing.schema {
        out.push_str(
            "CREATE SCHEMA setpoint; COMMENT ON SCHEMA setpoint IS \
             'The ledger of setpoint: which revisions of its schema this database has. Made by the tool; leave it alone.'; ",
        );
    }
    match standing.layout {
        None => TABLES.iter().for_each(|table| out.push_str(&table.create())),
        Some(1) => TABLES.iter().for_each(|table| out.push_str(&table.storage())),
        Some(_) => {
            out.push_str("DROP TABLE setpoint.reading; ");
            TABLES.iter().for_each(|table| out.push_str(&table.storage()));
        }
    }
    out + &READING.create()
}

/// Takes back what default privileges gave to others on tables, and on the schema if `schema`, that were just made.
async fn withdraw(session: &Session, tables: &[&str], schema: bool) -> Result<()> {
    let query = "SELECT DISTINCT c.relkind::text, c.relname::text, a.grantee = 0, pg_get_userbyid(a.grantee)::text \
                 FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND \
                 (c.relname = ANY ($1::text[]) OR c.relkind = 'S' AND 'event' = ANY ($1::text[])), aclexplode(c.relacl) a \
                 WHERE n.nspname = 'setpoint' AND a.grantee <> c.relowner \
                 UNION SELECT 'schema', n.nspname::text, a.grantee = 0, pg_get_userbyid(a.grantee)::text \
                 FROM pg_namespace n, aclexplode(n.nspacl) a WHERE $2 AND n.nspname = 'setpoint' AND a.grantee <> n.nspowner";
    let mut out = String::new();
    for mut row in session.rows(query, &[&tables, &schema]).await? {
        let kind = match &*row.text() {
            "schema" => "SCHEMA ",
            "S" => "SEQUENCE setpoint.",
            _ => "TABLE setpoint.",
        };
        let (name, public, role) = (row.text(), row.next::<bool>(), row.text());
        let role = if public { "PUBLIC".to_owned() } else { sql::name(&Ident::from(&*role)).to_string() };
        _ = write!(out, "REVOKE ALL ON {kind}{} FROM {role}; ", sql::name(&Ident::from(&*name)));
    }
    if out.is_empty() { Ok(()) } else { session.batch(&out).await }
}

/// Makes sure that the ledger describes its own tables; one that a newer tool has written is refused.
pub(super) fn check_format(said: Option<&str>, layout: i32) -> Result<()> {
    let format = said.unwrap_or_default();
    if format.parse() == Ok(layout) {
        return Ok(());
    }
    let mend = format!(
        "INSERT INTO setpoint.meta VALUES ('format', '{layout}') ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value"
    );
    if let Some(newer) = newer(said) {
        let upgrade = newer.remedy.clone().unwrap_or_default();
        return Err(newer.remedy(format!("{upgrade}; if no newer one was ever used here: {mend}")));
    }
    Err(Error::stale("this database's ledger has another layout than it claims")
        .detail(format!("its tables have layout {layout}, and setpoint.meta says `{format}`"))
        .remedy(mend))
}

/// A layout that is not known is perhaps a later one.
pub(super) fn newer(said: Option<&str>) -> Option<Error> {
    let format = said?.parse::<i32>().ok().filter(|format| *format > FORMAT)?;
    let error = Error::refused("this database's ledger was written by a newer version of setpoint");
    Some(
        error
            .detail(format!("schema setpoint has layout {format}, this tool knows {FORMAT}"))
            .remedy("upgrade setpoint"),
    )
}
