//! Toolkit for reading a live database: the session, rows, the address book of OIDs, server versions.

pub mod book;
pub mod row;
mod session;
mod version;

pub use book::{Book, class};
pub use row::Row;
pub use session::{Connect, Session, server_error};
pub use version::Version;
