//! A proxy in front of a server's socket that counts round trips: how often its client waits for answers before it asks for more.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use setpoint::catalog::Connect;

/// A client that says nothing for so long waits for answers.
pub const SILENCE: Duration = Duration::from_millis(50);

/// The same database through such a socket, for one session, and the number of its round trips. The socket's folder stays until the
/// system clears its temporary ones.
pub fn counted(connect: &Connect) -> (Connect, Arc<AtomicUsize>) {
    let folder = std::env::temp_dir().join(format!("setpoint-trips-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let host = connect.hosts().first().expect("it has a place").clone();
    let sockets =
        std::fs::read_dir(&host).expect("it is a folder").filter_map(Result::ok).map(|entry| entry.file_name());
    let name = sockets.map(|name| name.to_string_lossy().into_owned());
    let name = { name }.find(|name| name.starts_with(".s.PGSQL.") && !name.ends_with(".lock")).expect("a socket");
    let port = name.trim_start_matches(".s.PGSQL.").parse().expect("a port");
    let _ = std::fs::remove_file(folder.join(&name));
    let listener = UnixListener::bind(folder.join(&name)).expect("a socket can be made");
    let (trips, server) = (Arc::new(AtomicUsize::new(0)), Path::new(&host).join(&name));
    let counter = Arc::clone(&trips);
    std::thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client comes");
        relay(client, &UnixStream::connect(server).expect("the server is there"), &counter).expect("sockets of ours");
    });
    (Connect::socket(&folder, port, connect.user(), connect.database()), trips)
}

fn relay(mut client: UnixStream, server: &UnixStream, trips: &AtomicUsize) -> std::io::Result<()> {
    client.set_read_timeout(Some(SILENCE))?;
    let (mut asked, mut answers) = (server.try_clone()?, server.try_clone()?);
    let held: Arc<Mutex<Vec<u8>>> = Arc::default();
    let holding = Arc::clone(&held);
    std::thread::spawn(move || {
        let mut bytes = [0; 1 << 16];
        while let Ok(n @ 1..) = answers.read(&mut bytes) {
            holding.lock().expect("nobody panics with it").extend_from_slice(&bytes[..n]);
        }
    });
    let (mut bytes, mut answered) = ([0; 1 << 16], true);
    loop {
        match client.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                trips.fetch_add(usize::from(answered), Ordering::SeqCst);
                answered = false;
                asked.write_all(&bytes[..n])?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let answer = std::mem::take(&mut *held.lock().expect("nobody panics with it"));
                answered |= !answer.is_empty();
                client.write_all(&answer)?;
            }
            Err(error) => return Err(error),
        }
    }
}
