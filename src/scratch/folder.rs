//! The folder that a throwaway server has to itself: in memory where there is room, or else on a disk.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::catalog::account;
use crate::model::{Error, Result};

use super::process::cannot;

/// The name that every folder of ours starts with; the number of the process that made it follows.
pub(super) const PREFIX: &str = "setpoint-";

/// Where the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In memory, for servers that live for a moment and hold little. Making the files of a cluster takes a tenth of the time there.
    Memory,
    Disk,
}

impl Place {
    /// Memory, if this machine has a folder there with room for a server.
    pub(super) fn roomy() -> Self {
        if memory::has_room() { Self::Memory } else { Self::Disk }
    }

    fn base(self) -> PathBuf {
        match self {
            Self::Memory => PathBuf::from(memory::FOLDER),
            Self::Disk => on_disk(),
        }
    }
}

/// The folders of our folders.
pub(super) fn bases() -> [PathBuf; 2] {
    [Place::Memory.base(), Place::Disk.base()]
}

/// Makes a private folder with a path short enough for a socket (107 bytes). It is ours until it is given away.
pub(super) fn private(place: Place) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = place.base();
    for _ in 0..1000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot("create", &dir, &error)),
        }
    }
    Err(Error::failed(format!("no free name for a directory in {}", base.display()))
        .remedy("remove the leftovers there"))
}

/// Root's own folder may be closed to the server's user, and sockets cannot have a long path.
fn on_disk() -> PathBuf {
    let own = std::env::temp_dir();
    if account::current_uid() == Some(0) || own.as_os_str().len() > 60 || !own.is_dir() {
        PathBuf::from("/tmp")
    } else {
        own
    }
}

#[cfg(target_os = "linux")]
mod memory {
    use std::os::unix::fs::MetadataExt;

    /// Where Linux keeps shared memory.
    pub const FOLDER: &str = "/dev/shm";

    /// What has to be free in bytes: many times as much as a rehearsal takes, so that nobody else notices it.
    const ROOM: u64 = 2 << 30;

    /// True if the folder is in memory, nobody can exchange what others have in it, and much is free there, on the machine, and in what a
    /// container may use of it.
    pub fn has_room() -> bool {
        let private = std::fs::metadata(FOLDER).is_ok_and(|meta| meta.is_dir() && meta.mode() & 0o1002 != 0o0002);
        let free = rustix::fs::statfs(FOLDER).is_ok_and(|found| {
            let number = |value| u64::try_from(value).unwrap_or_default();
            let block = u64::try_from(found.f_bsize).unwrap_or_default();
            let in_memory = number(found.f_type) == u64::try_from(libc::TMPFS_MAGIC).unwrap_or(u64::MAX);
            in_memory && found.f_bavail.saturating_mul(block) >= ROOM
        });
        private
            && free
            && available().is_some_and(|bytes| bytes >= ROOM)
            && limit().is_none_or(|bytes| bytes >= 2 * ROOM)
    }

    /// What programs can get without anything being moved out.
    fn available() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes.saturating_mul(1024))
    }

    /// What the control groups of a container allow all its processes together.
    fn limit() -> Option<u64> {
        let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        files.iter().find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok())
    }
}

#[cfg(not(target_os = "linux"))]
mod memory {
    pub const FOLDER: &str = "/tmp";

    pub fn has_room() -> bool {
        false
    }
}
