//! Throwaway PostgreSQL servers and databases: nothing of the user's is touched, nothing stays behind.

mod binaries;
mod process;
mod server;
mod sweep;
mod template;

pub use binaries::{Binaries, VARIABLE, find, find_in};
pub use server::Server;
