//! Reads the schema files in a separate thread while the server answers.

use std::cell::{Cell, OnceCell};
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};

use crate::load::{self, Loaded};
use crate::model::Result;

/// A desired state that is being read.
pub struct Loading {
    schema_dir: PathBuf,
    thread: Cell<Option<JoinHandle<Result<Loaded>>>>,
    loaded: OnceCell<Loaded>,
}

impl Loading {
    /// Begins to read.
    pub(super) fn start(schema_dir: PathBuf) -> Self {
        let dir = schema_dir.clone();
        // Without a thread to spare, the files are read when they are asked for.
        let thread = Builder::new().name("load".into()).spawn(move || load::load(&dir)).ok();
        Self { schema_dir, thread: Cell::new(thread), loaded: OnceCell::new() }
    }

    /// Waits for the state.
    ///
    /// # Errors
    /// `Config` with every problem of every file.
    pub fn loaded(&self) -> Result<&Loaded> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let loaded = match self.thread.take() {
            // A panic of the reader is a fault of ours in any thread.
            Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => load::load(&self.schema_dir),
        }?;
        Ok(self.loaded.get_or_init(|| loaded))
    }

    /// The outcome of something else, unless it failed and the files are wrong, too: that can be fixed without a database.
    ///
    /// # Errors
    /// As `loaded`, or the other outcome's own.
    pub fn before<T>(&self, other: Result<T>) -> Result<T> {
        if other.is_err() {
            self.loaded()?;
        }
        other
    }
}
