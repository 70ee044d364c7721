//! setpoint keeps a PostgreSQL database in step with the schema you declare.
#![forbid(unsafe_code)]

pub mod apply;
pub mod catalog;
pub mod cli;
pub mod diff;
pub mod introspect;
pub mod kdl;
pub mod kinds;
pub mod ledger;
pub mod load;
pub mod model;
pub mod plan;
pub mod project;
pub mod prove;
pub mod report;
pub mod sameness;
pub mod scratch;
pub mod sql;
