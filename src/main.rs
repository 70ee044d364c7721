//! The command line of setpoint; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    setpoint::cli::main()
}
