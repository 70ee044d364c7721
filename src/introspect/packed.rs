//! Compresses bytes, and unpacks them up to a limit: somebody else may have written what the ledger holds.

use std::io::Read;

use crate::model::{Error, Result};

/// The largest state in bytes: many times what the largest known database needs.
pub const MOST: u64 = 256 << 20;

/// Compresses bytes.
///
/// # Errors
/// If the compressor fails, which does not happen in practice.
pub fn pack(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    zstd::encode_all(bytes, level).map_err(|error| Error::failed(format!("a state cannot be compressed: {error}")))
}

/// Unpacks bytes.
///
/// # Errors
/// If they are not compressed, or unpack to more than `most`.
pub fn unpack(packed: &[u8], most: u64) -> Result<Vec<u8>> {
    let broken = |error: std::io::Error| {
        Error::failed("what the ledger keeps of the database cannot be unpacked").detail(error.to_string())
    };
    let mut bytes = Vec::new();
    let stream = zstd::stream::read::Decoder::new(packed).map_err(broken)?;
    stream.take(most + 1).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() as u64 > most {
        return Err(Error::failed("what the ledger keeps of the database is too large to be unpacked").detail(
            format!("{} bytes become more than {} MB; setpoint does not write such ones", packed.len(), most >> 20),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_not_unpacked() {
        let packed = pack(&vec![0; 1 << 20], 3).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(unpack(&packed, 1 << 20).unwrap().len(), 1 << 20);
        assert!(unpack(&packed, (1 << 20) - 1).unwrap_err().message.contains("too large"));
        assert!(unpack(b"nonsense", MOST).is_err());
    }
}
