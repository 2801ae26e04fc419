//! An engine as bytes.
//!
//! All numbers are little-endian.
//!
//! ```text
//! engine  "mcpv8eng"  version u32  facts_bytes u32  facts (JSON)  part (program)  part (base image)
//! part    bytes u64  zstd
//! ```
//!
//! What the parts are, the engine's id tells: it is a hash over all of them.

use std::io::{self, Read as _};

use super::{Engine, EngineError, Facts};

const MAGIC: [u8; 8] = *b"mcpv8eng";
const VERSION: u32 = 1;
const COMPRESSION_LEVEL: i32 = 3;
/// More than any program or base image has.
const PART_BYTES_MAX: u64 = 1 << 30;

impl Engine {
    /// The bytes of a file that [`Engine::from_file_bytes`] takes.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn to_file_bytes(&self) -> io::Result<Vec<u8>> {
        let facts = serde_json::to_vec(self.facts()).expect("plain data has a JSON form");
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let length = u32::try_from(facts.len()).expect("facts are short");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&facts);
        for part in [pack(&self.program_bytes()?)?, pack(self.base_bytes())?] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    /// The engine of a file.
    ///
    /// # Errors
    /// It is none, or this CPU can't run it.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<&'static Self, EngineError> {
        let malformed = || EngineError::Malformed { part: "file" };
        let mut rest = bytes;
        let take = |rest: &mut &[u8], length: u64| {
            let length = usize::try_from(length)
                .ok()
                .filter(|it| *it <= rest.len())?;
            let (taken, left) = rest.split_at(length);
            *rest = left;
            Some(taken.to_vec())
        };
        let magic = take(&mut rest, MAGIC.len() as u64).ok_or_else(malformed)?;
        let mut number = |bytes: u64| {
            let mut number = [0; 8];
            let taken = take(&mut rest, bytes).ok_or_else(malformed)?;
            number[..taken.len()].copy_from_slice(&taken);
            Ok::<_, EngineError>(u64::from_le_bytes(number))
        };
        if magic != MAGIC || number(4)? != u64::from(VERSION) {
            return Err(malformed());
        }
        let length = number(4)?;
        let facts = take(&mut rest, length).ok_or_else(malformed)?;
        let facts: Facts = serde_json::from_slice(&facts).map_err(|_| malformed())?;
        let mut part = |name| {
            let length = take(&mut rest, 8).ok_or_else(malformed)?;
            let length = length.try_into().map_err(|_| malformed())?;
            let packed = take(&mut rest, u64::from_le_bytes(length)).ok_or_else(malformed)?;
            unpack(&packed).map_err(|_| EngineError::Malformed { part: name })
        };
        let program = part("program")?;
        let base_image = part("base image")?;
        Self::load(facts, &program, base_image)
    }
}

/// A program or a base image as it is kept.
///
/// # Errors
/// When there is no memory for it.
pub fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::encode_all(bytes, COMPRESSION_LEVEL)
}

/// What was packed.
///
/// # Errors
/// It is damaged, or far too large.
pub fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let decoder = zstd::Decoder::new(packed)?;
    decoder.take(PART_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_read_as_it_was_written_and_no_other_way() {
        let engine = Engine::embedded().expect("the engine");
        let bytes = engine.to_file_bytes().expect("memory");
        let again = Engine::from_file_bytes(&bytes).expect("whole");
        assert_eq!(again.id(), engine.id());
        assert_eq!(again.facts(), engine.facts());
        for place in [0, 9, 20, bytes.len() - 1] {
            let mut wrong = bytes.clone();
            wrong[place] ^= 1;
            // A flipped bit in the facts may be one of another engine, whose id tells.
            let read = Engine::from_file_bytes(&wrong);
            assert!(read.is_err() || read.is_ok_and(|it| it.id() != engine.id()));
            assert!(Engine::from_file_bytes(&bytes[..place]).is_err());
        }
    }
}
