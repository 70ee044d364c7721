//! Faults and enemies: what a hostile role, file, ledger or server tries, and what a fault at a bad moment leaves behind.

mod altered_ledger;
mod captured_names;
#[cfg(unix)]
mod interrupted;
mod locks_first;
mod conninfo;
pub mod fake;
#[cfg(unix)]
mod lost_answers;
mod newer_server;
mod planted_ledger;
mod resumed_runs;
mod rights;
mod secrets;
mod strangers;
mod target_runs_nothing;
mod terminal;
mod throwaway;
mod together;
