//! `runs-as-you`: code of a less privileged role would run with the privileges of whoever runs the plan. It depends on who that is, so no
//! plan has it: `apply` and `rollback` ask the live database.

use super::{Finding, Hazard};

/// How many functions are named.
const SHOWN: usize = 5;

/// Functions of others that a step may call. `functions` are texts like `m.f(integer), which mallory owns`.
pub fn functions(functions: &[String]) -> Finding {
    found(format!("with your privileges it may call {}", list(functions)))
}

/// The owner's expressions would be evaluated, and the owner cannot run the step himself.
pub fn owner(owner: &str, lacks: &str, functions: &[String]) -> Finding {
    let called = if functions.is_empty() { String::new() } else { format!(": {}", list(functions)) };
    found(format!("it runs code of {owner} with your privileges{called}; it cannot run as {owner}, because {lacks}"))
}

/// Functions of others that event triggers call for every step.
pub fn event_triggers(functions: &[String]) -> Finding {
    found(format!("with your privileges every step calls {}", list(functions)))
}

fn found(reason: String) -> Finding {
    Finding { hazard: Hazard::RunsAsYou, reason }
}

fn list(functions: &[String]) -> String {
    let shown: Vec<&str> = functions.iter().take(SHOWN).map(String::as_str).collect();
    let more = functions.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", shown.join("; "))
}
