//! Records where a relative command (`rollback -1`, `apply +1`) is going until it knows that it got there: if run again after a fault, it
//! goes there and no further.

use crate::model::Result;

use super::{Direction, Pen};

/// The key in `setpoint.meta`.
pub(super) const KEY: &str = "headed";

/// A relative command that has not learned that it finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headed {
    /// Which way.
    pub direction: Direction,
    /// The revision that it was going to.
    pub goal: u32,
}

impl Headed {
    /// Reads the record. A malformed one counts as none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (word, goal) = text.split_once(' ')?;
        let direction = [Direction::Up, Direction::Down].into_iter().find(|direction| direction.word() == word)?;
        Some(Self { direction, goal: goal.parse().ok()? })
    }
}

/// Records where a relative command is going, before it begins.
///
/// # Errors
/// The server's.
pub async fn head_for(pen: Pen<'_>, headed: Headed) -> Result<()> {
    let insert =
        "INSERT INTO setpoint.meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value";
    pen.execute(insert, &[&KEY, &format!("{} {}", headed.direction.word(), headed.goal)]).await
}

/// Forgets it: the command knows how it ended, or another one says where to go.
///
/// # Errors
/// The server's.
pub async fn arrived(pen: Pen<'_>) -> Result<()> {
    pen.execute("DELETE FROM setpoint.meta WHERE key = $1", &[&KEY]).await
}
