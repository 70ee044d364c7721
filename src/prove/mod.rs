//! Trying things out where nothing can break: databases on throwaway servers.

mod compare;
mod cycle;
mod dump;
mod replay;
pub mod rows;
mod runner;
mod workshop;

pub use cycle::Prover;
pub use replay::Replay;
pub use runner::untrusted;
pub use workshop::Workshop;
