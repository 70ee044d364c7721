//! Removes what earlier runs left behind when the whole machine, or the process watching them, went down.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::catalog::account::Account;

use super::folder::{self, PREFIX};

/// Younger directories are left alone: their process may run in another container that shares the directory.
const AGE: Duration = Duration::from_secs(3600);

/// Removes directories whose process is gone and that belong to us. Failure is not an error: the next run tries again.
pub(super) fn sweep(account: Option<&Account>) {
    if !Path::new("/proc/self").exists() {
        return; // Without /proc there is no telling whether a process still runs.
    }
    let uid = account.map(|account| account.uid).or_else(crate::catalog::account::current_uid);
    let entries = folder::bases().into_iter().flat_map(fs::read_dir).flatten().flatten();
    for entry in entries {
        let Ok(meta) = entry.metadata() else { continue };
        let old = meta
            .modified()
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok())
            .is_some_and(|age| age > AGE);
        if meta.is_dir()
            && old
            && Some(meta.uid()) == uid
            && is_orphan(&entry.file_name().to_string_lossy())
            && !is_served(&entry.path())
        {
            _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// True if the name is one of ours and its process is gone.
fn is_orphan(name: &str) -> bool {
    let number =
        name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).and_then(|(pid, _)| pid.parse::<u32>().ok());
    number.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// True if a server still runs there.
fn is_served(dir: &Path) -> bool {
    let text = fs::read_to_string(dir.join("data").join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else { return false };
    let command = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains(&*dir.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_of_dead_processes() {
        assert!(is_orphan("setpoint-4194999-0"));
        assert!(!is_orphan(&format!("setpoint-{}-0", std::process::id())));
        assert!(!is_orphan("setpoint-notes") && !is_orphan("other-4194999-0"));
    }
}
