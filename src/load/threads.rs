//! Distributes work on many files among threads where that pays: reading takes half the time of a load.

use std::path::PathBuf;
use std::thread::Builder;

/// Bytes of files for which starting a thread pays.
const WORTH_A_THREAD: usize = 64 << 10;

/// What `work` makes of the files, in their order. It gets a row of files and the index of the first, and gives one result for each.
pub fn share_out<T: Send>(
    files: &[(PathBuf, String)],
    work: impl Fn(usize, &[(PathBuf, String)]) -> Vec<T> + Sync,
) -> Vec<T> {
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(bytes / WORTH_A_THREAD).clamp(1, 8);
    let share = files.len().div_ceil(threads).max(1);
    let work = &|at: usize, files: &[(PathBuf, String)]| work(at * share, files);
    std::thread::scope(|scope| {
        let mut rows = files.chunks(share).enumerate();
        let first = rows.next();
        let others: Vec<_> =
            rows.map(|(at, row)| (at, row, Builder::new().spawn_scoped(scope, move || work(at, row)).ok())).collect();
        let mut out = first.map_or_else(Vec::new, |(at, row)| work(at, row));
        for (at, row, thread) in others {
            out.extend(match thread {
                // A panic of the work is a fault of ours in any thread.
                Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                None => work(at, row), // the system has no thread to spare
            });
        }
        out
    })
}
