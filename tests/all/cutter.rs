//! A proxy in front of a server that cuts every connection at a chosen message, as a network does at the worst moment.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::support::TestDb;

/// Where to cut, counting from 1 over all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere.
    Never,
    /// After the server got that message of the client's.
    AfterFrontend(usize),
    /// Instead of that message of the server's, of those that answer something.
    Backend(usize),
}

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub frontend: usize,
    pub backend: usize,
}

struct State {
    cut: Cut,
    /// Nobody gets through any more once it has cut.
    deaf: bool,
    seen: Seen,
    done: bool,
    open: Vec<(TcpStream, UnixStream)>,
}

/// The proxy; it listens until the test's process ends.
pub struct Cutter {
    port: u16,
    user: String,
    state: Arc<Mutex<State>>,
}

impl Cutter {
    /// Listens in front of the server of `db`.
    pub fn start(db: &TestDb) -> Self {
        let socket = PathBuf::from(&db.connect.hosts()[0]).join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let state = State { cut: Cut::Never, deaf: false, seen: Seen::default(), done: false, open: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = shared.lock().expect("nobody panics with it");
                if state.done && state.deaf {
                    continue;
                }
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                let both = |client: &TcpStream, server: &UnixStream| {
                    (client.try_clone().expect("can be cloned"), server.try_clone().expect("can be cloned"))
                };
                state.open.push(both(&client, &server));
                let ((from_client, to_server), (to_client, from_server)) =
                    (both(&client, &server), both(&client, &server));
                let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
                let (ends, others) = (both(&client, &server), (client, server));
                std::thread::spawn(move || relay(from_client, to_server, &ends, &up, true));
                std::thread::spawn(move || relay(from_server, to_client, &others, &down, false));
            }
        });
        Self { port, user: db.connect.user().to_owned(), state }
    }

    /// Begins to count anew, and cuts there. `deaf`: afterwards nobody gets through.
    pub fn arm(&self, cut: Cut, deaf: bool) {
        let mut state = self.state.lock().expect("nobody panics with it");
        state.open.drain(..).for_each(|ends| close(&ends));
        state.cut = cut;
        state.deaf = deaf;
        state.seen = Seen::default();
        state.done = false;
    }

    /// What came through since.
    pub fn seen(&self) -> Seen {
        self.state.lock().expect("nobody panics with it").seen
    }

    /// A database of that server, through the proxy.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{}@127.0.0.1:{}/{database}?sslmode=disable", self.user, self.port)
    }
}

fn close((client, server): &(TcpStream, UnixStream)) {
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both)); // they may be closed already
}

/// Passes messages on, whole ones, until it is time.
fn relay(
    mut from: impl Read,
    mut to: impl Write,
    ends: &(TcpStream, UnixStream),
    state: &Mutex<State>,
    frontend: bool,
) {
    let (mut buffer, mut first) = (Vec::new(), frontend);
    let mut bytes = [0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        buffer.extend_from_slice(&bytes[..n]);
        let mut out = Vec::new();
        while let Some(length) = whole(&buffer, first) {
            let message: Vec<u8> = buffer.drain(..length).collect();
            // What only says that something was parsed, bound or described is not an answer that anybody waits for alone.
            let counts = frontend || !b"DSRKnt12TNA".contains(&message[0]);
            first = false;
            let now = counts && {
                let mut state = state.lock().expect("nobody panics with it");
                let seen = if frontend { &mut state.seen.frontend } else { &mut state.seen.backend };
                *seen += 1;
                let seen = state.seen;
                match state.cut {
                    Cut::AfterFrontend(at) => frontend && seen.frontend == at,
                    Cut::Backend(at) => !frontend && seen.backend == at,
                    Cut::Never => false,
                }
            };
            if now && frontend {
                out.extend_from_slice(&message);
            }
            if now {
                let _ = to.write_all(&out);
                // The server gets to do what it was told before it finds out that nobody listens.
                std::thread::sleep(std::time::Duration::from_millis(if frontend { 30 } else { 0 }));
                let mut state = state.lock().expect("nobody panics with it");
                state.done = true;
                state.open.drain(..).for_each(|ends| close(&ends));
                return;
            }
            out.extend_from_slice(&message);
        }
        if to.write_all(&out).is_err() {
            break;
        }
    }
    close(ends);
}

/// The length of the message at the beginning, if all of it is there.
fn whole(buffer: &[u8], first: bool) -> Option<usize> {
    let skip = usize::from(!first);
    let length = buffer.get(skip..skip + 4)?;
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize + skip;
    (buffer.len() >= length).then_some(length)
}
