//! Sockets on this machine: where the platform puts them, and whether the process at the other end belongs to the expected user.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::model::{Error, Result};

use super::account;
use super::place::Place;

/// The folders that builds of libpq look in: those of distributions, then PostgreSQL's own.
const FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Users that run servers.
const SERVERS: [&str; 2] = ["postgres", "_postgres"];

/// The folder that is used without a host: the distribution's, if it exists.
pub(super) fn default_folder() -> &'static str {
    FOLDERS.into_iter().find(|folder| Path::new(folder).is_dir()).unwrap_or("/tmp")
}

/// Where to connect to without a host: the first of the platform's folders with a socket by an expected user; else the first with
/// any socket, which is then refused; else the default folder.
pub(super) fn folder_for(port: u16) -> &'static str {
    let file = |folder: &str| socket_file(folder, port);
    let kept = |folder: &&str| socket_owner(&file(folder)).is_some_and(|owner| is_trusted(Path::new(folder), owner));
    let there = |folder: &&str| fs::symlink_metadata(file(folder)).is_ok();
    FOLDERS.into_iter().find(kept).or_else(|| FOLDERS.into_iter().find(there)).unwrap_or_else(default_folder)
}

/// The socket of a port in a folder.
pub(super) fn socket_file(folder: &str, port: u16) -> PathBuf {
    Path::new(folder).join(format!(".s.PGSQL.{port}"))
}

/// Refuses a socket that was not named and belongs to an unexpected user.
///
/// # Errors
/// `Refused`, with the owner.
pub(super) fn vet(place: &Place) -> Result<()> {
    let file = place.socket_file();
    match fs::symlink_metadata(&file) {
        Ok(meta) if !meta.file_type().is_socket() => Err(Error::refused(format!("{} is not a socket", file.display()))
            .detail("setpoint looks for a server's socket there, because no host is given")
            .remedy("name the host: postgresql://USER@HOST/DATABASE")),
        Ok(meta) if !is_trusted(Path::new(&place.host), meta.uid()) => Err(stranger(place, meta.uid())),
        _ => Ok(()),
    }
}

/// Checks who is at the other end of a socket. Returns who it is if no password may go there.
///
/// # Errors
/// `Refused` if `requirepeer` names another user, or if the socket was not named and belongs to an unexpected user.
pub(super) fn check(place: &Place, peer: u32, required: Option<&str>) -> Result<Option<String>> {
    if let Some(required) = required {
        return match account::name_of(peer) {
            Some(name) if name == required => Ok(None),
            _ => Err(Error::refused(format!("the server at {place} is run by {}", shown(peer)))
                .detail("requirepeer names another user, whose server it must be")
                .remedy("check whose server listens there, then requirepeer (PGREQUIREPEER)")),
        };
    }
    if is_trusted(Path::new(&place.host), peer) {
        return Ok(None);
    }
    if place.unnamed { Err(stranger(place, peer)) } else { Ok(Some(shown(peer))) }
}

fn stranger(place: &Place, owner: u32) -> Error {
    Error::refused(format!("the socket {place} belongs to {}", shown(owner)))
        .detail("no host is given, and setpoint then accepts only servers run by root, by you, or by the owner of the socket's folder")
        .remedy(format!(
            "name the host if that is the right server (postgresql://USER@localhost/DATABASE, or host={} requirepeer=THAT_USER)",
            place.host
        ))
}

/// True for users who may be taken for the server's in a folder: root, ourselves, those that servers run as, and the owner of the
/// folder unless everybody may put sockets there.
fn is_trusted(folder: &Path, uid: u32) -> bool {
    let owns = || fs::metadata(folder).is_ok_and(|meta| meta.uid() == uid && meta.mode() & 0o002 == 0);
    uid == 0
        || account::current_uid() == Some(uid)
        || SERVERS.into_iter().any(|name| account::named(name).is_some_and(|account| account.uid == uid))
        || owns()
}

fn socket_owner(file: &Path) -> Option<u32> {
    fs::symlink_metadata(file).ok().filter(|meta| meta.file_type().is_socket()).map(|meta| meta.uid())
}

fn shown(uid: u32) -> String {
    match account::name_of(uid) {
        Some(name) => format!("the user {name}"),
        None => format!("the user with number {uid}"),
    }
}
