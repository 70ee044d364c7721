//! Who owns objects, who may do what with them, and which rows: owners, privileges, policies, roles.

// Kinds.
pub mod default_privileges;
pub mod grant;
pub mod owner;
pub mod policy;
pub mod revoke;

// What they share.
pub mod acl;
pub mod held;
pub mod manage;
pub mod rights;
pub mod roles;
