//! A revision's state as the ledger stores it: encoded, compressed, prefixed with the version of the format.

use crate::catalog::Version;
use crate::introspect::{Decoder, Encoder, packed};
use crate::model::{Error, Result, State};

/// The version of this form and of the model behind it.
const MODEL: u8 = 2;

/// Turns a state into bytes.
///
/// # Errors
/// None in practice: the compressor's.
pub fn encode(state: &State, server: Version) -> Result<Vec<u8>> {
    let mut encoder = Encoder::default();
    encoder.text(env!("CARGO_PKG_VERSION"));
    encoder.number(u64::from(server.0));
    encoder.state(state);
    let packed = packed::pack(&encoder.finish(), 3)?;
    Ok([vec![MODEL], packed].concat())
}

/// Turns bytes back into a state.
///
/// # Errors
/// Bytes that are not a snapshot, or one that speaks of kinds and attributes that this tool does not know.
pub fn decode(bytes: &[u8]) -> Result<State> {
    let broken = |why: &str| Error::failed("a snapshot in the ledger cannot be read").detail(why.to_owned());
    let packed = match bytes.split_first() {
        Some((&MODEL, packed)) => packed,
        Some((model, _)) if *model > MODEL => {
            return Err(Error::refused("a snapshot in the ledger was written by a newer version of setpoint")
                .remedy("upgrade setpoint"));
        }
        _ => return Err(broken("it has no known form")),
    };
    let bytes = packed::unpack(packed, packed::MOST)
        .map_err(|error| Error::failed("a snapshot in the ledger cannot be read").detail(error.message))?;
    let mut decoder = Decoder::new(&bytes)?;
    decoder.text()?;
    decoder.number()?;
    decoder.state()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::schema;
    use crate::model::Object;

    #[test]
    fn a_state_comes_back() {
        let mut state = State::default();
        state.put(schema::id("public"), Object::default());
        let bytes = encode(&state, Version(150_018)).unwrap();
        assert!(decode(&bytes).unwrap().has(&schema::id("public")));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(decode(b"").is_err());
        assert!(decode(b"nonsense").unwrap_err().to_string().contains("newer"));
        assert!(decode(&[MODEL, 1, 2, 3]).is_err());
    }
}
