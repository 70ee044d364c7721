//! What a person allows a command that changes a database to do.

use std::time::Duration;

use crate::apply::{Allow, Fill, Options};
use crate::model::{Class, Error, Result};
use crate::plan::chain::Chain;
use crate::plan::{Hazard, Step};
use crate::project::Project;

/// Reads `--allow`'s words.
///
/// # Errors
/// `Usage` for a word that is not a hazard.
fn allowed(words: &[String]) -> Result<Allow> {
    let mut out = Allow::default();
    for word in words.iter().map(|w| w.trim()).filter(|w| !w.is_empty()) {
        if word == "all" {
            out.all = true;
            continue;
        }
        let known = || Hazard::ALL.map(Hazard::word).join(", ");
        let hazard = Hazard::parse(word).ok_or_else(|| {
            Error::new(Class::Usage, format!("`{word}` is not a hazard"))
                .remedy(format!("--allow takes all, {}", known()))
        })?;
        out.hazards.push(hazard);
    }
    Ok(out)
}

/// Refuses steps whose hazards are not all allowed.
///
/// # Errors
/// `Refused`, with each hazard, its step and its reason.
pub fn check_hazards<'a>(steps: impl IntoIterator<Item = &'a Step>, allow: &Allow) -> Result<()> {
    let mut missing: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for step in steps {
        for finding in step.hazards.iter().filter(|f| !allow.covers(f.hazard)) {
            if !missing.contains(&finding.hazard.word()) {
                missing.push(finding.hazard.word());
            }
            lines.push(format!("{}: {} ({})", finding.hazard.word(), finding.reason, step.object));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut error = Error::refused("this is dangerous, and was not allowed");
    let more = lines.len().saturating_sub(20);
    for line in lines.into_iter().take(20) {
        error = error.detail(line);
    }
    if more > 0 {
        error = error.detail(format!("and {more} more"));
    }
    Err(error.remedy(format!("if that is what you want: --allow {}", missing.join(","))))
}

/// What commands that change a database take.
#[derive(clap::Args, Debug, Clone)]
pub struct Approval {
    /// Answer yes to the question before anything is changed
    #[arg(long)]
    pub auto_approve: bool,
    /// Hazards that are accepted (`all` for every one)
    #[arg(long, value_name = "HAZARD[,…]", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// The value for existing rows in a new column that must not be NULL
    #[arg(long, value_name = "COLUMN=EXPRESSION")]
    pub fill: Vec<String>,
    /// How long a step waits for a lock before the transaction is tried again
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub lock_timeout: Duration,
    /// How long one statement may take (0: no limit)
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = duration)]
    pub statement_timeout: Duration,
    /// How long to wait for the server to come up, and for another setpoint on this database
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = duration)]
    pub wait: Duration,
}

impl Approval {
    /// As the executor takes it.
    ///
    /// # Errors
    /// `Usage` for an unknown hazard.
    pub fn options(&self, project: &Project) -> Result<Options> {
        Ok(Options {
            wait: self.wait,
            lock_timeout: self.lock_timeout,
            statement_timeout: (!self.statement_timeout.is_zero()).then_some(self.statement_timeout),
            allow: allowed(&self.allow)?,
            fills: self.fill.iter().map(|text| Fill::parse(text)).collect::<Result<_>>()?,
            // Plans that cannot be read cannot be compared with.
            plans: Chain::read(&project.plans_dir).unwrap_or_default(),
            manage: project.manage.clone(),
            ..Options::default()
        })
    }
}

/// `300ms`, `3s`, `2min`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 =
        text[..split].parse().map_err(|_| format!("`{text}` is not a duration: write 300ms, 3s or 2min"))?;
    let millis = match &text[split..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("`{unit}` is not a unit: write ms, s, min or h")),
    };
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}
