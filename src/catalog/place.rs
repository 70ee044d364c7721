//! The servers that a connection target names: host, address, port and password of each.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::{Error, Result};

use super::neighbour;
use super::parameters::Parameters;

/// One server.
#[derive(Clone)]
pub(super) struct Place {
    /// What people call it: a name, an address, or the directory of a socket.
    pub(super) host: String,
    /// True if only an address was given: there is no name that a certificate could be compared with.
    pub(super) nameless: bool,
    /// True if neither host nor address was given: the server is looked for where the platform keeps its sockets.
    pub(super) unnamed: bool,
    /// Where to connect to, if `host` is not to be looked up.
    pub(super) address: Option<IpAddr>,
    /// The port; part of a socket's name.
    pub(super) port: u16,
    /// The password for this server.
    pub(super) password: Option<Vec<u8>>,
}

impl Place {
    /// True if this is a socket of this machine.
    pub(super) fn is_socket(&self) -> bool {
        self.address.is_none() && self.host.starts_with('/')
    }

    /// The socket's file.
    pub(super) fn socket_file(&self) -> PathBuf {
        neighbour::socket_file(&self.host, self.port)
    }

    /// What password files call it.
    pub(super) fn in_passfile(&self) -> &str {
        let default = self.unnamed || self.host == neighbour::default_folder();
        if self.is_socket() && default { "localhost" } else { &self.host }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_socket() {
            write!(f, "{}/.s.PGSQL.{}", self.host, self.port)
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The servers that `host`, `hostaddr` and `port` name, without their passwords.
pub(super) fn places(found: &Parameters) -> Result<Vec<Place>> {
    let list = |key: &str| -> Vec<&str> { found.get(key).map_or_else(Vec::new, |text| text.split(',').collect()) };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len()).max(1);
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        let counted = format!("the connection names {} hosts and {} addresses", hosts.len(), addresses.len());
        return Err(Error::config(counted).remedy("give one hostaddr for each host, or none"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(Error::config(format!("the connection names {count} hosts and {} ports", ports.len()))
            .remedy("name one port for all hosts, or one for each"));
    }
    (0..count)
        .map(|index| {
            let port = match ports.get(index).or(ports.first()).map(|text| text.trim()) {
                None | Some("") => 5432,
                Some(text) => text.parse().map_err(|_| invalid("port", "a number up to 65535"))?,
            };
            let address: Option<IpAddr> = match addresses.get(index).map(|text| text.trim()) {
                None | Some("") => None,
                Some(text) => Some(text.parse().map_err(|_| invalid("hostaddr", "an IP address"))?),
            };
            let host = hosts.get(index).map(|host| host.trim()).filter(|host| !host.is_empty());
            let shown = match (host, address) {
                (Some(host), _) => host.to_owned(),
                (None, Some(address)) => address.to_string(),
                (None, None) => neighbour::folder_for(port).to_owned(),
            };
            let (nameless, unnamed) = (host.is_none() && address.is_some(), host.is_none() && address.is_none());
            Ok(Place { host: shown, nameless, unnamed, address, port, password: None })
        })
        .collect()
}

/// A parameter with an invalid value. The value is not repeated: an unusual password in a URL ends up in other parameters.
pub(super) fn invalid(key: &str, wanted: &str) -> Error {
    Error::config(format!("the value of the connection parameter {key} is not valid"))
        .remedy(format!("{key} is {wanted}"))
}

/// Puts things into a random order.
pub(super) fn shuffle<T>(things: &mut [T]) {
    for last in (1..things.len()).rev() {
        // Each `RandomState` has its own keys.
        let random = RandomState::new().build_hasher().finish();
        things.swap(last, usize::try_from(random % (last as u64 + 1)).unwrap_or(0));
    }
}
