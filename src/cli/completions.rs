//! `setpoint completions SHELL`: prints completions for a shell.

use clap::Args;
use clap_complete::Shell;

use super::App;
use crate::model::Result;

/// Print completions for a shell
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self, app: &App) -> Result<u8> {
        let mut out = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "setpoint", &mut out);
        app.print(&String::from_utf8_lossy(&out));
        Ok(0)
    }
}
