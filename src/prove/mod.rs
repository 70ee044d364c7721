//! Trying things out where nothing can break: databases on throwaway servers.

mod replay;
mod workshop;

pub use replay::Replay;
pub use workshop::Workshop;
