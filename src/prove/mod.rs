//! Trying things out where nothing can break: databases on throwaway servers.

mod workshop;

pub use workshop::Workshop;
