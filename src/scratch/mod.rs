//! Throwaway PostgreSQL servers and databases: nothing of the user's is touched, and nothing is left behind.

mod binaries;
mod confine;
mod folder;
mod helped;
mod keeper;
mod process;
mod server;
mod site;
mod sweep;
mod template;

pub use binaries::{Binaries, VARIABLE, find, find_in};
pub use confine::Walls;
pub use server::Server;
pub use site::{Author, Site, lacks_rights};
