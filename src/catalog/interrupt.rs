//! Handles Ctrl-C and SIGTERM: cancels what runs on the server, and lets the command say where things stand. A second signal ends it at once.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::{Class, Error};

use super::session::Canceller;

/// The exit code of a command that was ended by a signal, as shells have it for Ctrl-C.
pub const EXIT: i32 = 130;

/// How long to wait before what continues is cancelled again: a request that came between two statements did nothing.
pub const AGAIN: Duration = Duration::from_millis(250);

/// How often the sessions of commands that only read are cancelled.
const TIMES: u32 = 20;

static ASKED: AtomicBool = AtomicBool::new(false);
static HEEDED: AtomicBool = AtomicBool::new(false);
static PROMPTING: Mutex<Option<&str>> = Mutex::new(None);
static WRITING: AtomicU32 = AtomicU32::new(0);
static NOTICE: Notify = Notify::const_new();
static SESSIONS: Mutex<Vec<(u64, Canceller)>> = Mutex::new(Vec::new());

/// True once somebody asked to stop.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Waits until somebody asks to stop.
pub async fn asked() {
    loop {
        let notice = NOTICE.notified();
        if is_asked() {
            return;
        }
        notice.await;
    }
}

/// The message of a command that was told to stop.
pub fn error() -> Error {
    Error::new(Class::Interrupted, "interrupted")
}

/// While a question is on the terminal nothing runs: a signal ends the command then, with `farewell` as its last line.
pub fn while_prompting<T>(farewell: &'static str, ask: impl FnOnce() -> T) -> T {
    let prompting = |farewell| *PROMPTING.lock().unwrap_or_else(PoisonError::into_inner) = farewell;
    prompting(Some(farewell));
    let answer = ask();
    prompting(None);
    answer
}

/// Runs code that writes several files that belong together. A second signal, which ends the command at once, waits until it is done.
pub fn undivided<T>(write: impl FnOnce() -> T) -> T {
    /// One who writes, however the writing ends.
    struct Writer;
    impl Drop for Writer {
        fn drop(&mut self) {
            WRITING.fetch_sub(1, Ordering::SeqCst);
        }
    }
    WRITING.fetch_add(1, Ordering::SeqCst);
    let _writer = Writer;
    write()
}

/// A session that is cancelled with the others, as long as this lives.
pub(super) struct Listed(u64);

impl Listed {
    pub(super) fn new(canceller: Canceller) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        SESSIONS.lock().unwrap_or_else(PoisonError::into_inner).push((number, canceller));
        Self(number)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        SESSIONS.lock().unwrap_or_else(PoisonError::into_inner).retain(|(number, _)| *number != self.0);
    }
}

/// From now on the command looks whether it is asked to stop. Before that the first signal ends it.
pub fn heed() {
    HEEDED.store(true, Ordering::SeqCst);
}

/// Begins to listen for signals, in a thread of its own: the main one may be busy. If that is impossible, signals have their default effect.
pub fn listen() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let (ready, listens) = std::sync::mpsc::channel();
        let listener = std::thread::Builder::new().name("signals".into()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(signals(&ready));
        });
        if listener.is_ok() {
            let _ = listens.recv(); // an error means that nothing listens
        }
    });
}

#[cfg(unix)]
async fn signals(ready: &std::sync::mpsc::Sender<()>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let _ = ready.send(()); // the receiver exists
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    first().await;
    tokio::select! {
        () = next() => {}
        () = cancel_all() => next().await,
    }
    end().await;
}

#[cfg(not(unix))]
async fn signals(ready: &std::sync::mpsc::Sender<()>) {
    let _ = ready.send(()); // the receiver exists
    if tokio::signal::ctrl_c().await.is_err() {
        return;
    }
    first().await;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = cancel_all() => _ = tokio::signal::ctrl_c().await,
    }
    end().await;
}

/// Ends the process, but not between files that belong together.
async fn end() {
    while WRITING.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::process::exit(EXIT);
}

async fn first() {
    let farewell = *PROMPTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(farewell) = farewell {
        eprintln!("\n{farewell}");
    }
    if farewell.is_some() || !HEEDED.load(Ordering::SeqCst) {
        end().await;
    }
    ASKED.store(true, Ordering::SeqCst);
    NOTICE.notify_waiters();
}

/// Cancels what the listed sessions run, repeatedly.
async fn cancel_all() {
    for _ in 0..TIMES {
        let all: Vec<Canceller> =
            SESSIONS.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, one)| one.clone()).collect();
        for one in all {
            // A server that does not answer is not waited for.
            let _ = tokio::time::timeout(AGAIN, one.cancel()).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}
