//! Toolkit for reading a live database: the session, rows, the address book of OIDs, server versions.

pub mod account;
pub mod book;
mod certificate;
mod connect;
mod dial;
mod failure;
pub mod interrupt;
mod parameters;
mod passfile;
mod pins;
mod pipeline;
mod place;
mod pooler;
mod refusal;
mod remembered;
pub mod row;
mod session;
mod tls;
mod version;
mod wanted;

pub use book::{Address, Book, class};
pub use connect::Connect;
pub use failure::{server_error, statement_error};
pub use pins::PIN_PATH;
pub use pipeline::Pipeline;
pub use pooler::transaction_mode;
pub use remembered::cache;
pub use row::Row;
pub use session::{Canceller, OLDEST, Session};
pub use tls::SslMode;
pub use version::{NEWEST, Version};
