//! Fake servers: each answers every connection as told, and records what it was sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a server says to whoever connects.
#[derive(Clone)]
pub enum Says {
    /// Asks for the password in clear, and then refuses.
    Clear,
    /// Asks for an MD5 hash, and then refuses.
    Md5,
    /// Begins SCRAM, and then refuses.
    Scram,
    /// Lets everybody in, and then refuses.
    Welcome,
    /// These bytes, and no more.
    Bytes(Vec<u8>),
    /// These bytes again and again.
    Endless(Vec<u8>),
}

/// One fake server; its thread ends with the test process.
pub struct Fake {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<usize>>,
}

impl Fake {
    /// Listens on a port of this machine.
    pub fn on_port(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("is bound").port();
        Self::serve(port, says, move || listener.accept().map(|(stream, _)| stream))
    }

    /// Listens on a socket.
    pub fn on_socket(file: &Path, says: Says) -> Self {
        let listener = UnixListener::bind(file).expect("the socket can be made");
        Self::serve(0, says, move || listener.accept().map(|(stream, _)| stream))
    }

    fn serve<S: Read + Write>(
        port: u16,
        says: Says,
        mut accept: impl FnMut() -> std::io::Result<S> + Send + 'static,
    ) -> Self {
        let (heard, sent) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let fake = Self { port, heard: Arc::clone(&heard), sent: Arc::clone(&sent) };
        std::thread::spawn(move || {
            while let Ok(mut stream) = accept() {
                answer(&mut stream, &says, &heard, &sent);
            }
        });
        fake
    }

    /// What followed the startup message, since the last question.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().expect("no panic"))
    }

    /// Bytes that were taken from the server.
    pub fn sent(&self) -> usize {
        *self.sent.lock().expect("no panic")
    }
}

/// Serves one connection. Errors end it, as they would a server's.
pub fn answer<S: Read + Write>(stream: &mut S, says: &Says, heard: &Mutex<Vec<String>>, sent: &Mutex<usize>) {
    let Some(mut startup) = message(stream, false) else { return };
    while startup.get(..4) == Some(&80_877_103_u32.to_be_bytes()[..]) {
        let Some(next) = stream.write_all(b"N").ok().and_then(|()| message(stream, false)) else { return };
        startup = next;
    }
    heard.lock().expect("no panic").push(format!("startup {}", readable(&startup)));
    let refusal = error("the end");
    let mut say = |bytes: &[u8]| {
        let said = stream.write_all(bytes);
        *sent.lock().expect("no panic") += bytes.len();
        said.is_ok()
    };
    let request = |code: u32, more: &[u8]| {
        [&b"R"[..], &u32::try_from(more.len() + 8).expect("fits").to_be_bytes(), &code.to_be_bytes(), more].concat()
    };
    let asks = match says {
        Says::Clear => request(3, b""),
        Says::Md5 => request(5, b"salt"),
        Says::Scram => request(10, b"SCRAM-SHA-256\0\0"),
        Says::Welcome => {
            say(&[request(0, b""), refusal].concat());
            return;
        }
        Says::Bytes(bytes) => {
            say(bytes);
            return;
        }
        Says::Endless(bytes) => {
            // Enough to tell those who stop from those who do not.
            for _ in 0..(64 << 20) / bytes.len() {
                if !say(bytes) {
                    return;
                }
            }
            return;
        }
    };
    say(&asks);
    if let Some(password) = message(stream, true) {
        heard.lock().expect("no panic").push(format!("password {}", readable(&password)));
    }
    let _ = stream.write_all(&refusal);
}

/// An `ErrorResponse` with that message.
pub fn error(text: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C28000\0M{text}\0\0");
    [&b"E"[..], &u32::try_from(fields.len() + 4).expect("fits").to_be_bytes(), fields.as_bytes()].concat()
}

fn message<S: Read>(stream: &mut S, typed: bool) -> Option<Vec<u8>> {
    let mut head = [0; 5];
    let head = if typed { &mut head[..] } else { &mut head[1..] };
    stream.read_exact(head).ok()?;
    let length = u32::from_be_bytes(head[head.len() - 4..].try_into().ok()?) as usize;
    let mut body = vec![0; length.checked_sub(4)?];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Bytes as text: Latin-1, without the zero at the end.
fn readable(bytes: &[u8]) -> String {
    bytes.strip_suffix(b"\0").unwrap_or(bytes).iter().map(|byte| char::from(*byte)).collect()
}
