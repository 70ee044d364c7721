//! Tests plans where nothing can break: in databases on throwaway servers.

mod answer;
pub mod claims;
mod compare;
mod cycle;
mod dump;
mod load;
mod observed;
mod rehearsal;
mod replay;
mod routines;
pub mod rows;
mod runner;
mod seal;
mod stage;
mod trip;
mod values;
mod workshop;

pub use cycle::{Prover, now};
pub use rehearsal::{Rehearsal, refusal};
pub use replay::Replay;
pub use runner::{Watch, untrusted};
pub use seal::{End, Sealed};
pub use stage::Scene;
pub use workshop::Workshop;
