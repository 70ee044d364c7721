//! Faults and attacks: what a hostile role, file, ledger or server tries, and what a fault at a bad moment leaves behind.

mod altered_ledger;
mod between;
mod captured_names;
mod certs;
mod chains;
mod conninfo;
mod edited_plans;
mod ends;
mod evaluated_steps;
pub mod fake;
mod folded_expressions;
#[cfg(unix)]
mod interrupted;
mod judged_again;
mod keys;
mod lent_rights;
mod locks_first;
mod login_triggers;
#[cfg(unix)]
mod lost_answers;
mod newer_server;
#[cfg(unix)]
mod one_source;
#[cfg(unix)]
mod outward_links;
mod overlapping;
mod own_certificate;
mod parsed_literals;
mod parsed_steps;
mod planted_ledger;
mod resumed_runs;
mod revoked;
mod rights;
mod rights_by_kind;
mod secrets;
mod settings;
mod shared_ledger;
mod stopped;
mod strangers;
mod target_runs_nothing;
mod terminal;
mod throwaway;
mod together;
