//! Reports progress to stderr while a run goes on, with one line per statement if more detail was requested.

use super::App;
use crate::apply::Progress;
use crate::ledger::Direction;
use crate::plan::Step;

/// Tells on stderr.
pub struct Tell<'a>(pub &'a App);

impl Progress for Tell<'_> {
    fn begin(&mut self, label: &str, direction: Direction, total: usize, done: usize) {
        let verb = if direction == Direction::Up { "applying" } else { "rolling back" };
        let from = if done > 0 { format!(", going on after {done}") } else { String::new() };
        self.0.say(&format!("{verb} {label}: {total} statements{from}"));
    }

    fn step(&mut self, number: usize, step: &Step) {
        if self.0.globals.verbose {
            self.0.say(&format!("  {number}: {} {}", step.action.word(), step.object));
        }
    }

    fn waiting(&mut self, message: &str) {
        self.0.say(&format!("waiting: {message}"));
    }

    fn note(&mut self, message: &str) {
        self.0.say(&format!("note: {message}"));
    }

    fn warning(&mut self, message: &str) {
        self.0.warn(message);
    }

    fn end(&mut self, label: &str, direction: Direction) {
        let verb = if direction == Direction::Up { "applied" } else { "rolled back" };
        self.0.say(&format!("{verb} {label}"));
    }
}
