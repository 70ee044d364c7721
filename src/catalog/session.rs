//! A session.
/// How to connect.
pub struct Connect;
/// A session.
pub struct Session;
/// Translates.
pub fn server_error(error: &tokio_postgres::Error) -> crate::model::Error {
    crate::model::Error::failed(error.to_string())
}
