//! The command line of setpoint; everything else is in the library.
fn main() {}
