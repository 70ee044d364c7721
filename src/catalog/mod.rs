//! Toolkit for reading a live database: the session, rows, the address book of OIDs, server versions.

pub mod account;
pub mod book;
mod connect;
mod failure;
mod parameters;
mod pipeline;
pub mod row;
mod session;
mod version;

pub use book::{Address, Book, class};
pub use connect::{Connect, SslMode};
pub use failure::{server_error, statement_error};
pub use pipeline::Pipeline;
pub use row::Row;
pub use session::{Canceller, OLDEST, Session};
pub use version::Version;
