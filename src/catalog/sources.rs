//! Where the parts of an address come from, and which password may go there. What the project's files say never changes an address that the
//! process gives (its environment and command line), and never receives a password that was given for another place.

use std::collections::BTreeSet;

use crate::model::{Error, Result};

use super::conninfo::{self, Pairs};
use super::parameters::{Does, LIBPQ, Lookup, Resolved, known, serve};
use super::service;
use super::tls::SslMode;

/// Who wrote an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Whoever runs the program: its command line or environment.
    Process,
    /// `setpoint.kdl`; the password comes from elsewhere.
    Project,
    /// `.env`, which may hold passwords.
    DotEnv,
}

/// Everything that says something about a connection.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The address: a URL, `key=value` pairs, a database name, or nothing.
    pub text: Option<&'a str>,
    /// Who wrote it.
    pub by: By,
    /// The process's environment.
    pub process: Lookup<'a>,
    /// libpq's variables in `.env`.
    pub dot_env: Lookup<'a>,
}

/// Parameters that decide neither where a password goes nor how well it is protected on the way.
const ELSEWHERE: &[&str] =
    &["dbname", "passfile", "connect_timeout", "options", "target_session_attrs", "load_balance_hosts"];

impl<'a> Sources<'a> {
    /// What the process alone says.
    pub fn of_process(text: Option<&'a str>, process: Lookup<'a>) -> Self {
        Self { text, by: By::Process, process, dot_env: &|_| None }
    }

    /// True if the process says where to connect to.
    fn is_given(&self) -> bool {
        let said = |name: &&str| set((self.process)(name)).is_some();
        match self.text {
            Some(_) => self.by == By::Process,
            None => ["PGHOST", "PGHOSTADDR", "PGSERVICE"].iter().any(said),
        }
    }

    /// Combines the address, then the service file, then libpq's variables, each filling in what those before it left out.
    ///
    /// # Errors
    /// `Config` for what cannot be understood or honoured.
    pub(super) fn resolve(&self) -> Result<Resolved> {
        let pairs = self.text.map_or_else(|| Ok(Pairs::new()), conninfo::read)?;
        let (mut parameters, mut password) = known(pairs)?;
        let (mut password_from, mut notes, mut withheld) = (None, Vec::new(), None);
        // What the project's files say.
        let mut filed: BTreeSet<String> = BTreeSet::new();
        if self.by != By::Process {
            filed.extend(parameters.keys().cloned());
        }
        let given = self.is_given();
        let dot_env = |name: &str| set((self.dot_env)(name)).filter(|_| !given);
        let env = |name: &str| set((self.process)(name)).or_else(|| dot_env(name));
        let is_filed = |name: &str| set((self.process)(name)).is_none() && dot_env(name).is_some();
        // `.env` names the server, although somebody else gives the rest.
        let mut completed = self.by == By::DotEnv;
        if let Some(service) = parameters.get("service").cloned().or_else(|| env("PGSERVICE")) {
            let named = parameters.get("servicefile").map(String::as_str);
            let (pairs, file) = service::find(&service, named, &env)?;
            let in_file = |error: Error| error.detail(format!("in {}, service {service}", file.display()));
            let (found, secret) = known(pairs).map_err(in_file)?;
            let projects = filed.contains("servicefile") || is_filed("PGSERVICEFILE") || is_filed("PGSYSCONFDIR");
            let moved = !projects && ["host", "hostaddr", "port"].iter().any(|key| filed.contains(*key));
            if password.is_none() && secret.is_some() {
                if moved || is_filed("PGHOSTADDR") {
                    withheld = Some(format!("the password of the connection service “{service}”"));
                } else {
                    password_from = Some(format!("the connection service “{service}”"));
                    password = secret;
                }
            }
            for (key, value) in found {
                if projects && !parameters.contains_key(&key) {
                    filed.insert(key.clone());
                }
                parameters.entry(key).or_insert(value);
            }
        }
        for (key, variable, does) in LIBPQ {
            let Some(variable) = variable.filter(|name| *name != "PGPASSWORD") else { continue };
            if given && set((self.process)(variable)).is_none() && set((self.dot_env)(variable)).is_some() {
                if matches!(does, Does::Works) && !parameters.contains_key(*key) {
                    notes.push(variable.to_owned());
                }
                continue;
            }
            let Some(value) = env(variable) else { continue };
            match does {
                Does::Works if !parameters.contains_key(*key) => {
                    if is_filed(variable) {
                        filed.insert((*key).to_owned());
                        completed |= !ELSEWHERE.contains(key);
                    }
                    parameters.insert((*key).to_owned(), value);
                }
                // A project's file does not weaken what the process demands.
                Does::Works if *key == "sslmode" && filed.contains(*key) && !is_filed(variable) => {
                    let rank = |text: &str| SslMode::named(text).ok();
                    if parameters.get(*key).is_some_and(|filed| rank(filed) < rank(&value)) {
                        parameters.insert((*key).to_owned(), value);
                    }
                }
                Does::Works | Does::Nothing => {}
                Does::Harm(harmless, instead) if !parameters.contains_key(*key) => {
                    serve(variable, &value, harmless, instead)?;
                }
                Does::Harm(..) => {}
            }
        }
        if password.is_none() {
            let process = set((self.process)("PGPASSWORD"));
            if process.is_some() && completed {
                withheld = Some("PGPASSWORD of the environment".to_owned());
            }
            let found = process.filter(|_| !completed).or_else(|| set((self.dot_env)("PGPASSWORD")));
            password_from = found.as_ref().map(|_| "PGPASSWORD".to_owned());
            password = found.map(String::into_bytes);
        }
        // As in libpq, only if nothing else sets the level of protection.
        if env("PGREQUIRESSL").is_some_and(|value| value.starts_with('1')) {
            parameters.entry("sslmode".to_owned()).or_insert_with(|| "require".to_owned());
        }
        if parameters.get("dbname").is_some_and(|name| name.contains("://")) {
            return Err(Error::config("the connection's database is an address, not a name")
                .detail("it is not repeated here, because it may hold a password")
                .remedy("give the address to DATABASE_URL, and a name alone to dbname and PGDATABASE"));
        }
        parameters.retain(|_, value| !value.is_empty());
        let by_address = filed.contains("hostaddr");
        let password = password.filter(|password| !password.is_empty());
        let withheld = withheld.filter(|_| password.is_none());
        Ok(Resolved { parameters, password, password_from, by_address, withheld, passed_over: notes })
    }
}

fn set(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}
