//! A reading as bytes, for a database whose catalog is still what it was: the state, the addresses of its rows, what is unmodelled.

use crate::catalog::{Address, Book, Version};
use crate::model::{Error, Result};

use super::fingerprint::Fingerprint;
use super::{Decoder, Encoder, Live};

/// An earlier reading, and how the catalog was then.
#[derive(Debug, Clone)]
pub struct Stored {
    /// How the catalog was.
    pub fingerprint: Fingerprint,
    /// What was read.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// Keeps a reading.
    ///
    /// # Errors
    /// None in practice: the compressor's.
    pub fn new(live: &Live, fingerprint: Fingerprint) -> Result<Self> {
        let mut encoder = Encoder::default();
        encoder.number(live.unmodelled.len() as u64);
        live.unmodelled.iter().for_each(|name| encoder.text(name));
        encoder.state(&live.state);
        let rows: Vec<_> = live.book.rows().collect();
        encoder.number(rows.len() as u64);
        for (address, id) in rows {
            let (what, one, two) = match address {
                Address::Whole(class, oid) => (0, class, oid),
                Address::Part(class, oid) => (1, class, oid),
                Address::Column(relation, number) => (2, relation, u32::from(number.cast_unsigned())),
            };
            [what, one, two].into_iter().for_each(|number| encoder.number(u64::from(number)));
            encoder.id(id);
        }
        let bytes = zstd::encode_all(encoder.finish().as_slice(), 1)
            .map_err(|e| Error::failed(format!("the reading cannot be compressed: {e}")))?;
        Ok(Self { fingerprint, bytes })
    }

    /// The reading again; `None` if its bytes are not of this tool's making.
    pub(super) fn live(&self, server: Version) -> Option<Live> {
        let bytes = zstd::decode_all(self.bytes.as_slice()).ok()?;
        let mut decoder = Decoder::new(&bytes).ok()?;
        let unmodelled = (0..decoder.number().ok()?).map(|_| decoder.text().ok().map(|name| name.to_string()));
        let unmodelled = unmodelled.collect::<Option<Vec<_>>>()?;
        let state = decoder.state().ok()?;
        let mut book = Book::new(server);
        for _ in 0..decoder.number().ok()? {
            let mut number = || decoder.number().ok().and_then(|number| u32::try_from(number).ok());
            let (what, one, two) = (number()?, number()?, number()?);
            let id = decoder.id().ok()?;
            match what {
                0 => book.add(one, two, id),
                1 => book.add_part(one, two, id),
                _ => book.add_column(one, u16::try_from(two).ok()?.cast_signed(), id),
            }
        }
        Some(Live { state, book, unmodelled, server })
    }
}
