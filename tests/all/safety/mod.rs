//! Faults and enemies: what a hostile role, file, ledger or server tries, and what a fault at a bad moment leaves behind.

#[cfg(unix)]
mod lost_answers;
mod resumed_runs;
mod throwaway;
