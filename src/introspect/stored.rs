//! A reading as bytes, for a database whose catalog is still what it was: the state, the addresses of its rows, what is unmodelled.

use std::borrow::Cow;

use crate::catalog::{Address, Book, Version};
use crate::model::{Error, Result};

use super::encoding::broken;
use super::fingerprint::Fingerprint;
use super::{Decoder, Encoder, Live};

/// An earlier reading, and how the catalog was then.
#[derive(Debug, Clone)]
pub struct Stored {
    /// How the catalog was.
    pub fingerprint: Fingerprint,
    /// What was read.
    pub state: Vec<u8>,
    /// The addresses of the rows.
    pub addresses: Vec<u8>,
}

/// Where the rows of a reading are: unpacked when somebody asks, for a plan with nothing to do does not.
#[derive(Debug)]
pub enum Addresses {
    /// Just read.
    Book(Book),
    /// Of an earlier reading.
    Stored(Vec<u8>),
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
        let addresses = match &live.addresses {
            Addresses::Book(book) => pack(encode(book))?,
            Addresses::Stored(bytes) => bytes.clone(),
        };
        Ok(Self { fingerprint, state: pack(encoder)?, addresses })
    }

    /// The reading again.
    ///
    /// # Errors
    /// If its bytes are not of this tool's making.
    pub(super) fn live(&self, server: Version) -> Result<Live> {
        let bytes = unpack(&self.state)?;
        let mut decoder = Decoder::new(&bytes)?;
        let unmodelled = (0..decoder.number()?).map(|_| decoder.text().map(|name| name.to_string()));
        let unmodelled = unmodelled.collect::<Result<Vec<_>>>()?;
        let state = decoder.state()?;
        Ok(Live { state, addresses: Addresses::Stored(self.addresses.clone()), unmodelled, server })
    }
}

impl Addresses {
    /// The address book.
    ///
    /// # Errors
    /// If stored bytes are not of this tool's making.
    pub fn book(&self, server: Version) -> Result<Cow<'_, Book>> {
        match self {
            Self::Book(book) => Ok(Cow::Borrowed(book)),
            Self::Stored(bytes) => decode(bytes, server).map(Cow::Owned),
        }
    }
}

fn encode(book: &Book) -> Encoder {
    let mut encoder = Encoder::default();
    let rows: Vec<_> = book.rows().collect();
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
    encoder
}

fn decode(bytes: &[u8], server: Version) -> Result<Book> {
    let bytes = unpack(bytes)?;
    let mut decoder = Decoder::new(&bytes)?;
    let mut book = Book::new(server);
    for _ in 0..decoder.number()? {
        let mut number = || u32::try_from(decoder.number()?).map_err(|_| broken("a number is too large"));
        let (what, one, two) = (number()?, number()?, number()?);
        let id = decoder.id()?;
        match what {
            0 => book.add(one, two, id),
            1 => book.add_part(one, two, id),
            _ => {
                let number = u16::try_from(two).map_err(|_| broken("a column's number is too large"))?;
                book.add_column(one, number.cast_signed(), id);
            }
        }
    }
    Ok(book)
}

fn pack(encoder: Encoder) -> Result<Vec<u8>> {
    zstd::encode_all(encoder.finish().as_slice(), 1)
        .map_err(|e| Error::failed(format!("the reading cannot be compressed: {e}")))
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    zstd::decode_all(bytes).map_err(|e| broken(&e.to_string()))
}
