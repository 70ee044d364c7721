//! The transaction in which the server is asked: probes are sent without waiting for each other, each in its own savepoint, and everything is
//! rolled back at the end.

use std::pin::Pin;

use futures_util::{TryFutureExt, poll};
use rustc_hash::FxHashMap;
use tokio_postgres::SimpleQueryMessage;

use crate::catalog::{Session, Version, is_lesser};
use crate::model::{Error, Result};

use super::probe::Probe;

/// What the server said to one probe.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The text as it prints it.
    Text(String),
    /// Something that the text names does not exist; the server's words.
    Missing(String),
    /// It does not take it for another reason, or was not asked.
    Refused(String),
}

impl Reply {
    /// The text, if there is one.
    pub fn text(self) -> Option<String> {
        match self {
            Reply::Text(text) => Some(text),
            _ => None,
        }
    }
}

type Answer = Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>;

/// What a statement of a round is for.
enum Part {
    Begin,
    Domains,
    Group,
    Setup(Vec<usize>),
    Make,
    Probe(usize),
    Undo,
}

/// The statements of a round, group by group, each probe rolled back before the next one.
fn script(
    probes: &[Probe],
    groups: FxHashMap<(&str, Option<&str>), Vec<usize>>,
    begun: bool,
    server: Version,
) -> Vec<(Part, String)> {
    let undo = |of: &str| (Part::Undo, format!("ROLLBACK TO SAVEPOINT {of}; RELEASE SAVEPOINT {of}"));
    let mut script: Vec<(Part, String)> = Vec::new();
    if !begun {
        script.push((Part::Begin, BEGIN.into()));
    }
    let literal = |probe: &Probe| probe.make.iter().any(|statement| statement.contains('\''));
    if groups.values().flatten().filter_map(|at| probes.get(*at)).any(literal) {
        script.push((Part::Domains, domains(server)));
    }
    for ((path, setup), members) in groups {
        script.push((Part::Group, format!("SAVEPOINT setpoint_group; SET LOCAL search_path TO {path}")));
        script.extend(setup.map(|setup| (Part::Setup(members.clone()), setup.to_owned())));
        for at in members {
            let Some(probe) = probes.get(at) else { continue };
            script.push((Part::Undo, "SAVEPOINT setpoint_probe".into()));
            script.extend(probe.make.iter().map(|statement| (Part::Make, statement.clone())));
            script.push((Part::Probe(at), format!("SET LOCAL search_path TO pg_catalog, pg_temp; {}", probe.read)));
            script.push(undo("setpoint_probe"));
        }
        script.push(undo("setpoint_group"));
    }
    script
}

/// A transaction for scratch objects. It begins together with the first question, so that one question is one round trip.
pub struct Conversation<'a> {
    session: &'a Session,
    begun: bool,
    /// Why no scratch objects can be made.
    mute: Option<String>,
}

/// Begins, unless event triggers would fire on scratch objects. A superuser's session can leave out the usual ones; those that fire
/// in replicas fire then.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SELECT set_config('session_replication_role', 'replica', true) FROM pg_event_trigger \
    WHERE evtevent <> 'login' AND current_setting('is_superuser')::bool \
    HAVING bool_or(evtenabled IN ('O', 'A')) AND NOT bool_or(evtenabled IN ('R', 'A')); \
    SELECT min('they would fire'::text)::int FROM pg_event_trigger \
    WHERE evtevent <> 'login' AND current_setting('session_replication_role') <> 'replica' HAVING bool_or(evtenabled IN ('O', 'A'))";

/// Fails if reading a literal could run code by others: reading the text of an array, a range or a row over a domain runs
/// the domain's checks, also in a statement that is only parsed.
fn domains(server: Version) -> String {
    let [owner, writer] = ["t.typowner", "p.proowner"].map(|role| is_lesser(server, role));
    format!(
        "SELECT min('they would run'::text)::int FROM pg_type t WHERE t.typtype = 'd' AND t.oid >= 16384 \
         AND ({owner} OR EXISTS (SELECT FROM pg_proc p WHERE p.oid >= 16384 AND {writer})) HAVING count(*) > 0"
    )
}

/// What PostgreSQL says where a text is not a number, as here on purpose.
const WOULD_FIRE: &str = "22P02";

impl<'a> Conversation<'a> {
    /// With the server of a session that is not in a transaction.
    pub fn new(session: &'a Session) -> Self {
        let mute = session.standby.then(|| "a standby cannot have temporary tables".into());
        Self { session, begun: false, mute }
    }

    /// The server's version.
    pub fn server(&self) -> Version {
        self.session.version
    }

    /// Rolls everything back, without waiting: whatever the session is asked next comes after it.
    pub async fn end(self) {
        if self.begun {
            let mut sent = Box::pin(self.session.batch("ROLLBACK"));
            let _ = poll!(sent.as_mut());
        }
    }

    /// Asks all probes; those that could not be made come with their reason.
    pub async fn ask(&mut self, probes: impl Iterator<Item = Result<Probe, String>>) -> Result<Vec<Reply>> {
        let mut wanted: Vec<Result<usize, String>> = Vec::new();
        let mut unique: Vec<Probe> = Vec::new();
        let mut places: FxHashMap<Probe, usize> = FxHashMap::default();
        for probe in probes {
            wanted.push(probe.map(|probe| {
                *places.entry(probe).or_insert_with_key(|probe| {
                    unique.push(probe.clone());
                    unique.len() - 1
                })
            }));
        }
        let mut replies = if self.mute.is_none() { self.unique(&unique).await? } else { Vec::new() };
        if let Some(reason) = &self.mute {
            replies = vec![Reply::Refused(reason.clone()); unique.len()];
        }
        let reply = |at: usize| replies.get(at).cloned().unwrap_or_else(|| Reply::Refused("it was not asked".into()));
        Ok(wanted.into_iter().map(|at| at.map_or_else(Reply::Refused, reply)).collect())
    }

    async fn unique(&mut self, probes: &[Probe]) -> Result<Vec<Reply>> {
        let mut replies: Vec<Option<Reply>> = vec![None; probes.len()];
        for attempt in 0.. {
            // Probes that need the same scratch table share it.
            let mut groups: FxHashMap<(&str, Option<&str>), Vec<usize>> = FxHashMap::default();
            for (at, probe) in probes.iter().enumerate() {
                let setup = probe.setups.get(attempt).map(String::as_str);
                let wanted = replies.get(at).is_some_and(Option::is_none) && (setup.is_some() || attempt == 0);
                if wanted {
                    groups.entry((&probe.path, setup)).or_default().push(at);
                }
            }
            if groups.is_empty() || self.mute.is_some() {
                break;
            }
            self.round(probes, groups, attempt, &mut replies).await?;
        }
        let unasked = || Reply::Refused("its table could not be created as a scratch table".into());
        Ok(replies.into_iter().map(|reply| reply.unwrap_or_else(unasked)).collect())
    }

    /// Sends one batch and takes the replies; a group whose table could not be made stays without, unless it has no other way.
    async fn round(
        &mut self,
        probes: &[Probe],
        groups: FxHashMap<(&str, Option<&str>), Vec<usize>>,
        attempt: usize,
        replies: &mut [Option<Reply>],
    ) -> Result<()> {
        let script = script(probes, groups, std::mem::replace(&mut self.begun, true), self.session.version);
        // Polled once in order, all are sent in order before the first answer is waited for.
        let mut sent = Vec::with_capacity(script.len());
        for (part, text) in &script {
            let mut future: Pin<Box<dyn Future<Output = Answer> + Send>> = match part {
                // By themselves, and as one statement each: nothing in a text of the files can be a second one.
                Part::Setup(_) | Part::Make => {
                    Box::pin(self.session.client.query_typed(text, &[]).map_ok(|_| Vec::new()))
                }
                _ => Box::pin(self.session.client.simple_query(text)),
            };
            let early = match poll!(future.as_mut()) {
                std::task::Poll::Ready(answer) => Some(answer),
                std::task::Poll::Pending => None,
            };
            sent.push((part, future, early));
        }
        let mut broken: Option<String> = None;
        let mut unmade: Option<Reply> = None;
        for (part, future, early) in sent {
            let answer = match early {
                Some(answer) => answer,
                None => future.await,
            };
            if let Some(error) = answer.as_ref().err().filter(|error| error.is_closed()) {
                return Err(self.session.error(error));
            }
            match (part, answer) {
                (Part::Begin, Err(error)) if error.code().is_some_and(|code| code.code() == WOULD_FIRE) => {
                    self.mute = Some("event triggers would fire on scratch objects".into());
                }
                (Part::Domains, Err(error)) if error.code().is_some_and(|code| code.code() == WOULD_FIRE) => {
                    self.mute = Some("it could run the checks of domains that other roles wrote".into());
                }
                (Part::Begin, Err(error)) => return Err(self.session.error(&error)),
                (Part::Setup(members), answer) => {
                    broken = answer.err().map(|error| message(&self.session.error(&error)));
                    if let Some(reason) = &broken {
                        for at in members {
                            let more = probes.get(*at).is_some_and(|p| p.setups.len() > attempt + 1);
                            if let Some(slot) = replies.get_mut(*at).filter(|_| !more) {
                                *slot = Some(Reply::Refused(reason.clone()));
                            }
                        }
                    }
                }
                (Part::Group, _) => broken = None,
                (Part::Make, Err(error)) if unmade.is_none() => unmade = Some(self.refusal(&error)),
                (Part::Probe(at), answer) => {
                    let reply = unmade.take().unwrap_or_else(|| self.reply(answer));
                    if let Some(slot) = replies.get_mut(*at).filter(|_| broken.is_none()) {
                        *slot = Some(reply);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn reply(&self, answer: Answer) -> Reply {
        match answer {
            Ok(messages) => {
                let row = messages
                    .iter()
                    .rev()
                    .find_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None });
                match row.and_then(|row| row.try_get(0).ok().flatten()) {
                    Some(text) => Reply::Text(text.to_string()),
                    None => Reply::Refused("the server printed nothing".into()),
                }
            }
            Err(error) => self.refusal(&error),
        }
    }

    fn refusal(&self, error: &tokio_postgres::Error) -> Reply {
        // undefined_column, _table, _function, _object (types, collations), invalid_schema_name
        let code = error.code().map_or("", tokio_postgres::error::SqlState::code);
        let missing = matches!(code, "42703" | "42P01" | "42883" | "42704" | "3F000");
        let text = message(&self.session.error(error));
        if missing { Reply::Missing(text) } else { Reply::Refused(text) }
    }
}

fn message(error: &Error) -> String {
    error.message.clone()
}
