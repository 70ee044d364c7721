//! Stores a reading of the catalog as bytes, to be reused while the catalog is unchanged: the state, its dependencies, and what is not
//! modelled.

use crate::catalog::Version;
use crate::model::{ObjectId, Result};

use super::fingerprint::Fingerprint;
use super::packed;
use super::{Decoder, Dependencies, Encoder, Live};

/// An earlier reading, and how the catalog was then.
#[derive(Debug, Clone)]
pub struct Stored {
    /// How the catalog was.
    pub fingerprint: Fingerprint,
    /// What was read.
    pub reading: Vec<u8>,
}

impl Stored {
    /// Stores a reading with the rows of `pg_depend`.
    ///
    /// # Errors
    /// None in practice: the compressor's.
    pub fn new(live: &Live, depends: &[(ObjectId, ObjectId)], fingerprint: Fingerprint) -> Result<Self> {
        let mut encoder = Encoder::default();
        encoder.number(live.unmodelled.len() as u64);
        live.unmodelled.iter().for_each(|name| encoder.text(name));
        encoder.state(&live.state);
        encoder.number(depends.len() as u64);
        for (from, to) in depends {
            encoder.id(from);
            encoder.id(to);
        }
        let reading = packed::pack(&encoder.finish(), 1)?;
        Ok(Self { fingerprint, reading })
    }

    /// The reading again.
    ///
    /// # Errors
    /// If its bytes are not of this tool's making.
    pub(super) fn live(&self, server: Version) -> Result<Live> {
        let bytes = packed::unpack(&self.reading, packed::MOST)?;
        let mut decoder = Decoder::new(&bytes)?;
        let unmodelled = (0..decoder.number()?).map(|_| decoder.text().map(|name| name.to_string()));
        let unmodelled = unmodelled.collect::<Result<Vec<_>>>()?;
        let state = decoder.state()?;
        let depends = (0..decoder.number()?).map(|_| Ok((decoder.id()?, decoder.id()?))).collect::<Result<Vec<_>>>()?;
        Ok(Live { state, dependencies: Dependencies::Known(depends), unmodelled, server })
    }
}
