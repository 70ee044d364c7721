//! Secrets that statements need: passed to the session as settings, so that no statement contains one, and only while nothing that the
//! session does is logged.

use tokio_postgres::Statement;

use crate::catalog::{Pipeline, Session};
use crate::kinds;
use crate::kinds::foreign_options::{PREFIX, SECRET, setting};
use crate::model::{Error, Result};
use crate::plan::{Action, Step};

use super::Progress;

/// When a setting causes secrets to be logged.
enum Tells {
    /// With any value but the silent one.
    Unless,
    /// With these values.
    With(&'static [&'static str]),
    /// Only together with another one that does; it is turned off if possible.
    Along,
}

/// Settings that write statements, their parameters or what comes of them to the log, or keep them in statistics: a name, the value
/// that prevents it, and when it happens.
const TELLTALES: &[(&str, &str, Tells)] = &[
    ("log_statement", "none", Tells::With(&["all"])),
    ("log_min_duration_statement", "-1", Tells::Unless),
    ("log_min_duration_sample", "-1", Tells::Unless),
    ("log_transaction_sample_rate", "0", Tells::Unless),
    ("log_parameter_max_length", "0", Tells::Along),
    ("log_parameter_max_length_on_error", "0", Tells::Along),
    ("log_min_error_statement", "panic", Tells::Along),
    ("debug_print_raw_parse", "off", Tells::Unless),
    ("debug_print_parse", "off", Tells::Unless),
    ("debug_print_rewritten", "off", Tells::Unless),
    ("debug_print_plan", "off", Tells::Unless),
    ("auto_explain.log_min_duration", "-1", Tells::Unless),
    ("pg_stat_statements.track", "none", Tells::With(&["all"])),
    ("pg_stat_statements.track_utility", "off", Tells::Along),
    ("pg_stat_monitor.pgsm_track", "none", Tells::With(&["all"])),
    ("pg_store_plans.track", "none", Tells::With(&["all"])),
    ("pgaudit.log", "none", Tells::Unless),
    ("pgaudit.log_parameter", "off", Tells::Along),
];

/// The environment variables that steps require, and the settings that have to be off meanwhile.
pub struct Secrets {
    variables: Vec<(String, String)>,
    /// What may be silenced: name, value now, silent value.
    silenced: Vec<(String, String, &'static str)>,
}

/// Settings that are silenced for a while so that secrets can be passed. Each secret is set only around the one statement that takes it, so
/// that other code, including other people's, cannot read it.
pub struct Lent<'a> {
    lender: &'a Secrets,
    settings: Vec<String>,
    /// Sets a setting until the end of the transaction, or of the session outside of any.
    give: Statement,
}

impl Secrets {
    /// Finds out what the steps need. If secrets would be logged and the role may not prevent it, the user is warned
    /// before any of them is sent.
    ///
    /// # Errors
    /// What the server reports.
    pub async fn new<'a>(
        session: &Session,
        steps: impl Iterator<Item = &'a Step> + Clone,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        // Other variables of the environment are never read.
        let ours =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let named = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let variables: Vec<(String, String)> = ours
            .filter(|(name, _)| name.len() > PREFIX.len() && name.starts_with(PREFIX) && named(name))
            .filter(|(name, _)| steps.clone().any(|step| asks_for(step, name)))
            .collect();
        let mut lender = Self { variables, silenced: Vec::new() };
        if !lender.variables.is_empty() {
            lender.look(session, progress).await?;
        }
        Ok(lender)
    }

    /// Finds out what logs what, and whether the role may prevent it.
    async fn look(&mut self, session: &Session, progress: &mut dyn Progress) -> Result<()> {
        let names: Vec<&str> = TELLTALES.iter().map(|(name, ..)| *name).collect();
        // A parameter's privileges came with PostgreSQL 15.
        let granted =
            if session.version.at_least(15) { "pg_catalog.has_parameter_privilege(name, 'SET')" } else { "false" };
        let query = format!(
            "SELECT name, setting, context = 'user' OR pg_catalog.current_setting('is_superuser') = 'on' OR {granted} \
             FROM pg_catalog.pg_settings WHERE name = ANY ($1)"
        );
        let mut told = Vec::new();
        for mut row in session.rows(&query, &[&names]).await? {
            let (name, value, may) = (row.text().to_string(), row.text().to_string(), row.next::<bool>());
            let Some((_, silent, tells)) = TELLTALES.iter().find(|(known, ..)| *known == name) else { continue };
            if value == *silent {
                continue;
            }
            if may {
                self.silenced.push((name, value, silent));
            } else if match tells {
                Tells::Unless => true,
                Tells::With(values) => values.contains(&value.as_str()),
                Tells::Along => false,
            } {
                told.push(name);
            }
        }
        if !told.is_empty() {
            let variables: Vec<&str> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
            let list = told.join(", ");
            let remedy = if session.version.at_least(15) {
                format!(
                    "have a superuser GRANT SET ON PARAMETER {list} TO {}",
                    crate::sql::name(&session.user.as_str().into())
                )
            } else {
                "run this as a superuser, or have these settings turned off meanwhile".to_owned()
            };
            progress.warning(&format!(
                "the server may write {} to its log or statistics ({list}), and {} cannot prevent that; {remedy}",
                variables.join(", "),
                session.user
            ));
        }
        Ok(())
    }

    /// Gets ready to lend the secrets that these steps require.
    ///
    /// # Errors
    /// What the server reports; nothing is lent then.
    pub async fn lend<'a>(
        &'a self,
        session: &Session,
        steps: impl Iterator<Item = &Step> + Clone,
    ) -> Result<Option<Lent<'a>>> {
        let wanted = self.variables.iter().filter(|(name, _)| steps.clone().any(|step| asks_for(step, name)));
        let wanted: Vec<&(String, String)> = wanted.collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        set(session, self.silenced.iter().map(|(name, _, silent)| (name.as_str(), *silent))).await?;
        // As parameters: neither the server's list of running queries nor an error shows them.
        let give = session.client.prepare("SELECT pg_catalog.set_config($1, $2, false)").await;
        let give = give.map_err(|error| session.error(&error))?;
        Ok(Some(Lent { lender: self, settings: wanted.iter().map(|(name, _)| setting(name)).collect(), give }))
    }
}

impl Lent<'_> {
    fn of(&self, step: &Step) -> impl Iterator<Item = &(String, String)> {
        self.lender.variables.iter().filter(move |(name, _)| asks_for(step, name))
    }

    /// Sends the secrets that the step takes. Returns the number of answers to expect.
    pub async fn give(&self, pipeline: &mut Pipeline<'_>, step: &Step) -> usize {
        let mut sent = 0;
        for (name, value) in self.of(step) {
            pipeline.execute(&self.give, vec![Box::new(setting(name)), Box::new(value.clone())]).await;
            sent += 1;
        }
        sent
    }

    /// Unsets them right after the step. Returns the number of answers to expect.
    pub async fn clear(&self, pipeline: &mut Pipeline<'_>, step: &Step) -> usize {
        let settings: Vec<String> = self.of(step).map(|(name, _)| setting(name)).collect();
        let cleared = calls(settings.iter().map(|name| (name.as_str(), "")));
        match cleared {
            Some(sql) => pipeline.batch(sql).await,
            None => return 0,
        }
        1
    }

    /// The same outside of a transaction, where each waits for its answer.
    ///
    /// # Errors
    /// What the server reports; nothing is lent then.
    pub async fn give_now(&self, session: &Session, step: &Step) -> Result<()> {
        for (name, value) in self.of(step) {
            if let Err(error) =
                session.rows("SELECT pg_catalog.set_config($1, $2, false)", &[&setting(name), value]).await
            {
                self.clear_now(session, step).await;
                return Err(without(error, value));
            }
        }
        Ok(())
    }

    /// Unsets it. If the connection is gone, so is the setting.
    pub async fn clear_now(&self, session: &Session, step: &Step) {
        let settings: Vec<String> = self.of(step).map(|(name, _)| setting(name)).collect();
        let _ = set(session, settings.iter().map(|name| (name.as_str(), ""))).await;
    }

    /// An error without the secrets in it.
    pub fn without(&self, error: Error) -> Error {
        self.lender.variables.iter().fold(error, |error, (_, value)| without(error, value))
    }

    /// Removes the secrets, and turns logging back on. If the connection is gone, so are they.
    pub async fn take_back(self, session: &Session) {
        let taken = set(session, self.settings.iter().map(|name| (name.as_str(), ""))).await;
        if taken.is_ok() {
            let before = self.lender.silenced.iter().map(|(name, value, _)| (name.as_str(), value.as_str()));
            let _ = set(session, before).await; // a session that stays silent does no harm
        }
    }
}

/// True if a step takes its secret from that variable. Plans of earlier builds do not say so, nor does what a person wrote: their
/// statements are looked into, if they are about what may have secrets.
fn asks_for(step: &Step, variable: &str) -> bool {
    if !step.secrets.is_empty() {
        return step.secrets.iter().any(|secret| secret == variable);
    }
    let kind = step.object.split(' ').next().and_then(kinds::find).map(|room| room.kind());
    let may = step.action == Action::Manual || kind.is_some_and(|kind| kind.attr(SECRET.name).is_some());
    may && step.sql.contains(&format!("'{}'", setting(variable)))
}

async fn set<'a>(session: &Session, settings: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
    match calls(settings) {
        Some(sql) => session.batch(&sql).await,
        None => Ok(()),
    }
}

fn calls<'a>(settings: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let calls: Vec<String> = settings
        .map(|(name, value)| {
            format!("pg_catalog.set_config({}, {}, false)", crate::sql::literal(name), crate::sql::literal(value))
        })
        .collect();
    (!calls.is_empty()).then(|| format!("SELECT {}", calls.join(", ")))
}

/// The error without the secret in it.
fn without(mut error: Error, secret: &str) -> Error {
    if !secret.is_empty() {
        error.message = error.message.replace(secret, "…");
        error.details.iter_mut().for_each(|line| *line = line.replace(secret, "…"));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Mode;

    fn step(object: &str, action: Action, secrets: &[&str], sql: &str) -> Step {
        Step {
            object: object.into(),
            action,
            with: Vec::new(),
            about: Vec::new(),
            sql: sql.into(),
            mode: Mode::Normal,
            transaction: 1,
            path: Vec::new(),
            lock: None,
            fill: None,
            locks: Vec::new(),
            rights: Vec::new(),
            secrets: secrets.iter().map(ToString::to_string).collect(),
            hazards: Vec::new(),
            inverse: Vec::new(),
        }
    }

    #[test]
    fn a_step_says_which_variables_it_takes() {
        let (mapping, a, b) = ("user-mapping s.app", "SETPOINT_SECRET_A", "SETPOINT_SECRET_B");
        let sql = "DO $$ current_setting('setpoint.secret_a') $$";
        let new = step(mapping, Action::Create, &[b], sql);
        assert!(asks_for(&new, b) && !asks_for(&new, a), "the text of the statement is not looked at");
        for (object, action, asks) in
            [(mapping, Action::Create, true), ("", Action::Manual, true), ("view public.v", Action::Create, false)]
        {
            assert_eq!(asks_for(&step(object, action, &[], sql), a), asks, "an earlier plan's {object}");
        }
    }
}
