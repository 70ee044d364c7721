//! An open connection, with every setting pinned that changes what SQL means or how the catalog is shown.

use std::sync::PoisonError;

use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, SimpleQueryMessage, SimpleQueryRow};

use crate::model::{Error, Ident, Result};

use super::connect::Connect;
use super::dial::{LastWords, Line, Refused, cancel, dial};
use super::failure::{server_error, statement_error};
use super::interrupt::{self, Listed};
use super::pins;
use super::place::Place;
use super::pooler::refuse_transaction_mode;
use super::refusal::{Failure, connect_error};
use super::stream::Tls;
use super::version::NEWEST;
use super::wanted::Wanted;
use super::{Row, Version};

/// The oldest major version that is served.
pub const OLDEST: u32 = 13;

/// An open connection.
pub struct Session {
    /// The driver's client, for what the methods here do not offer. It sends without waiting: futures run together are
    /// pipelined.
    pub client: Client,
    /// The server's version.
    pub version: Version,
    /// The server process of this connection.
    pub backend_pid: i32,
    /// The database's name.
    pub database: String,
    /// The name of the user whose privileges apply.
    pub user: String,
    /// The name of the user that logged in. Code that runs in this session can get back to that user's privileges.
    pub login: String,
    /// True if the user whose privileges apply is a superuser.
    pub superuser: bool,
    /// True if the server is a standby: nothing can be written, not even temporary tables.
    pub standby: bool,
    /// True if transactions are read-only unless they say otherwise.
    pub read_only: bool,
    target: Connect,
    place: Place,
    tls: Option<Tls>,
    last_words: LastWords,
    task: JoinHandle<()>,
    listed: Option<Listed>,
}

impl Session {
    /// Connects for a purpose, which the server shows as `setpoint PURPOSE`. Of several servers the first that will do is taken.
    ///
    /// # Errors
    /// What the servers or the network report, and `Interrupted` as soon as somebody asks to stop. Who connects after that has
    /// something to bring to an end, and is let.
    pub async fn open(target: &Connect, purpose: &str) -> Result<Self> {
        if interrupt::is_asked() {
            return Self::open_one(target, purpose).await;
        }
        tokio::select! {
            opened = Self::open_one(target, purpose) => opened,
            () = interrupt::asked() => Err(interrupt::error()),
        }
    }

    async fn open_one(target: &Connect, purpose: &str) -> Result<Self> {
        let places = target.order();
        let mut refusals = Vec::new();
        for wanted in target.wanted().rounds() {
            refusals.clear();
            for place in &places {
                match Self::open_at(target, place, *wanted, purpose).await {
                    Ok(session) => return Ok(session),
                    Err(refused) if refused.next => refusals.push(refused.error),
                    Err(refused) => return Err(refused.error),
                }
            }
        }
        Err(none_will_do(target, refusals))
    }

    async fn open_at(target: &Connect, place: &Place, wanted: Wanted, purpose: &str) -> Result<Self, Refused> {
        let line = dial(target, place, purpose).await?;
        let (row, settled) = greet(&line, target, purpose).await.map_err(|error| Refused { error, next: false })?;
        let row = own_role(&line, target, row).await.map_err(|error| Refused { error, next: false })?;
        let version = Version(text(&row, 0).parse().unwrap_or(0));
        if !version.at_least(OLDEST) {
            let error = Error::failed(format!("the server runs PostgreSQL {version}, which is too old"))
                .detail(format!("connected to {settled}"))
                .remedy(format!("upgrade it to PostgreSQL {OLDEST} or newer"));
            return Err(Refused { error, next: false });
        }
        let superuser = text(&row, 4) == "on";
        let Line { client, task, last_words, tls, place: at, .. } = line;
        let session = Self {
            client,
            version,
            backend_pid: text(&row, 1).parse().unwrap_or(0),
            database: text(&row, 2).to_owned(),
            user: text(&row, 3).to_owned(),
            login: text(&row, 8).to_owned(),
            superuser,
            standby: text(&row, 5) == "t",
            read_only: text(&row, 6) == "on",
            target: settled,
            place: at,
            tls,
            last_words,
            task,
            listed: None,
        };
        let session = Self { listed: Some(Listed::new(session.canceller())), ..session };
        match session.unwanted(wanted) {
            None => Ok(session),
            Some(why) => {
                session.close().await;
                let asked = wanted.word();
                let error = Error::failed(format!("{place} {why}, and target_session_attrs={asked} asks for another"))
                    .detail(format!("connecting to {}", target.described()))
                    .remedy("name the right server, or all of them: postgresql://USER@HOST1,HOST2/DATABASE");
                Err(Refused { error, next: true })
            }
        }
    }

    /// What is wrong with the server.
    fn unwanted(&self, wanted: Wanted) -> Option<&'static str> {
        let (standby, read_only) = (self.standby, self.standby || self.read_only);
        match wanted {
            Wanted::Primary | Wanted::ReadWrite if standby => Some("is a standby"),
            Wanted::ReadWrite if read_only => Some("is read-only"),
            Wanted::ReadOnly if !read_only => Some("can be written to"),
            Wanted::Standby if !standby => Some("is a primary"),
            _ => None,
        }
    }

    /// Refuses to change a server that was not tested, unless the user said so.
    ///
    /// # Errors
    /// `Refused` with the way to say so.
    pub fn may_change(&self) -> Result<()> {
        if !self.version.is_untested() || self.target.may_be_untested() {
            return Ok(());
        }
        let (version, newest) = (self.version, NEWEST);
        Err(Error::refused(format!(
            "PostgreSQL {version} is newer than {newest}, the newest that this setpoint was tested with"
        ))
        .detail("its new features would be neither seen nor kept")
        .detail(format!("connected to {}", self.target))
        .remedy("use a newer setpoint; or, if you know what is new there, `--untested-server`"))
    }

    /// Another connection to the same database.
    pub async fn another(&self, purpose: &str) -> Result<Self> {
        Self::open(&self.target, purpose).await
    }

    /// What this is connected to.
    pub fn target(&self) -> &Connect {
        &self.target
    }

    /// Runs statements without parameters and without results, in one round trip.
    pub async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| self.error_in(&error, sql))
    }

    /// Runs a query.
    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        // Without parameters there is no type to ask for: one round trip instead of two.
        let rows = if params.is_empty() {
            self.client.query_typed(sql, &[]).await
        } else {
            self.client.query(sql, params).await
        };
        Ok(rows.map_err(|error| self.error_in(&error, sql))?.into_iter().map(Row::new).collect())
    }

    /// Runs a statement and returns the number of rows it touched.
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        self.client.execute(sql, params).await.map_err(|error| self.error_in(&error, sql))
    }

    /// The error of a call on `client` in our terms; knows why the connection ended, if it did.
    pub fn error(&self, error: &tokio_postgres::Error) -> Error {
        let reason = error.is_closed().then(|| self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone());
        reason.flatten().unwrap_or_else(|| server_error(error))
    }

    fn error_in(&self, error: &tokio_postgres::Error, sql: &str) -> Error {
        if error.is_closed() { self.error(error) } else { statement_error(error, sql) }
    }

    /// What sets everything again as it was at the start, role and timeouts included: for after statements that people wrote, which
    /// may have set anything. Not in a transaction that failed.
    pub fn pins(&self) -> String {
        let role = (self.user != self.login).then(|| Ident::from(self.user.as_str()));
        pins::again(role.as_ref())
    }

    /// A handle that cancels what this session runs, from elsewhere.
    pub fn canceller(&self) -> Canceller {
        Canceller {
            token: self.client.cancel_token(),
            target: self.target.clone(),
            place: self.place.clone(),
            tls: self.tls.clone(),
        }
    }

    /// Exempts it from those that Ctrl-C cancels: code that has to finish something on it takes care of that.
    #[must_use]
    pub fn unlisted(mut self) -> Self {
        self.listed = None;
        self
    }

    /// Ends the connection and waits until it is closed on this side.
    pub async fn close(self) {
        let Self { client, task, listed, .. } = self;
        drop(listed);
        drop(client);
        // The task only fails if it was aborted, and then the connection is closed too.
        _ = task.await;
    }
}

/// Cancels a session's running statement.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    target: Connect,
    place: Place,
    tls: Option<Tls>,
}

impl Canceller {
    /// Asks the server to cancel; the statement then fails with SQLSTATE 57014.
    pub async fn cancel(&self) -> Result<()> {
        cancel(&self.target, &self.place, &self.token, self.tls.as_ref()).await
    }
}

/// Pins the settings and asks for the facts in one message. Where the server does not know the mark that we connected with,
/// somebody stands between: nothing is pinned before it is certain that the session is ours alone.
async fn greet(line: &Line, target: &Connect, purpose: &str) -> Result<(SimpleQueryRow, Connect)> {
    let settled = target.settled(&line.place, line.startup);
    if line.mark.is_some() || target.startup().is_some() {
        let row = ask(line, target, line.mark.as_deref()).await?;
        if text(&row, 7) == "t" {
            return Ok((row, settled));
        }
    }
    let second = dial(&settled, &line.place, purpose).await.map_err(|refused| refused.error)?;
    refuse_transaction_mode(line, &second, &settled).await?;
    drop(second.client);
    // The task only fails if it was aborted, and then the connection is closed too.
    _ = second.task.await;
    Ok((ask(line, target, None).await?, settled))
}

/// Takes the session back from a role that the database's owner chose for everybody. The one that a role has for itself stays.
async fn own_role(line: &Line, target: &Connect, row: SimpleQueryRow) -> Result<SimpleQueryRow> {
    let chosen_here = target.config().get_options().is_some_and(|options| options.contains("role"));
    if text(&row, 3) == text(&row, 8) || chosen_here {
        return Ok(row);
    }
    let answer = line.client.simple_query(pins::ROLE_OF_THE_DATABASE).await.map_err(|error| server_error(&error))?;
    if !answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))) {
        return Ok(row);
    }
    line.client.batch_execute("SET ROLE NONE").await.map_err(|error| server_error(&error))?;
    ask(line, target, None).await
}

async fn ask(line: &Line, target: &Connect, mark: Option<&str>) -> Result<SimpleQueryRow> {
    let question = pins::greeting(mark);
    let asked = line.client.simple_query(&question);
    let answer = match target.timeout().login {
        Some(timeout) => tokio::time::timeout(timeout, asked).await.map_err(|_| Failure::TimedOut),
        None => Ok(asked.await),
    };
    let failure = match answer.and_then(|answer| answer.map_err(Failure::Driver)) {
        Ok(messages) => {
            let row = messages.into_iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            match row {
                Some(row) => return Ok(row),
                None => Failure::Ours(Error::failed("the server did not answer the first question")),
            }
        }
        Err(failure) => failure,
    };
    Err(connect_error(&failure, target, &line.place))
}

fn text(row: &SimpleQueryRow, column: usize) -> &str {
    row.try_get(column).ok().flatten().unwrap_or_default()
}

/// No server of a list can be used; what one alone says is the error itself.
fn none_will_do(target: &Connect, mut refusals: Vec<Error>) -> Error {
    if refusals.len() == 1
        && let Some(only) = refusals.pop()
    {
        return only;
    }
    let remedy = refusals.iter().find_map(|error| error.remedy.clone());
    let mut all = Error::failed(format!("none of the {} servers can be used", refusals.len()));
    all.details.extend(refusals.into_iter().map(|error| error.message));
    all.details.push(format!("connecting to {}", target.described()));
    all.remedy = remedy;
    all
}
