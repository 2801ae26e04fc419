//! Files of messages one after the other, with a hash over all of them in the last.
//!
//! ```text
//! file    magic (8 bytes)  version u32  record*
//! record  bytes u32 (never 0)  message (protobuf)
//! ```
//!
//! All numbers are little-endian.

use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message;
use sha2::{Digest as _, Sha256};

/// Of all these files.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 12;
/// Why bytes are no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// They are something else, or of another version.
    #[error("the file is of another kind, or of another version")]
    Foreign,
    /// A part is not what was written.
    #[error("the file is damaged, or cut")]
    Damaged,
    /// A part is larger than it may be here.
    #[error("the file has a part of {bytes} bytes; it may have {max}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// It did not come whole.
    #[error("the file could not be read to its end")]
    Unread,
}

/// Writes records one after the other.
pub struct Encoder {
    magic: Option<[u8; 8]>,
    hash: Sha256,
}

impl Encoder {
    /// For a file of this kind.
    pub fn new(magic: [u8; 8]) -> Self {
        Self {
            magic: Some(magic),
            hash: Sha256::new(),
        }
    }

    /// The bytes of one more record.
    pub fn record(&mut self, message: &impl Message) -> Bytes {
        let length = message.encoded_len();
        let mut bytes = Vec::with_capacity(length + HEADER_BYTES + size_of::<u32>());
        if let Some(magic) = self.magic.take() {
            bytes.extend_from_slice(&magic);
            bytes.extend_from_slice(&VERSION.to_le_bytes());
        }
        let length = u32::try_from(length).expect("records have a limit");
        bytes.extend_from_slice(&length.to_le_bytes());
        message.encode(&mut bytes).expect("memory takes all");
        self.hash.update(&bytes);
        bytes.into()
    }

    /// SHA-256 of all bytes so far.
    pub fn sha256(&self) -> Vec<u8> {
        self.hash.clone().finalize().to_vec()
    }
}

/// Reads records from pieces of any size.
pub struct Decoder {
    magic: Option<[u8; 8]>,
    record_bytes_max: usize,
    bytes: BytesMut,
    /// Of all before the record that was read last.
    before: Sha256,
    /// Of all that was read.
    hash: Sha256,
}

impl Decoder {
    /// Of a file of this kind. A record that is longer than this is not waited for.
    pub fn new(magic: [u8; 8], record_bytes_max: usize) -> Self {
        Self {
            magic: Some(magic),
            record_bytes_max,
            bytes: BytesMut::new(),
            before: Sha256::new(),
            hash: Sha256::new(),
        }
    }

    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether no bytes wait that are no whole record.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next record, when it is there whole.
    ///
    /// # Errors
    /// It is no such file, or damaged so that it can be told.
    pub fn read<M: Message + Default>(&mut self) -> Result<Option<M>, FileError> {
        if let Some(magic) = self.magic {
            if self.bytes.len() < HEADER_BYTES {
                return Ok(None);
            }
            let taken = self.bytes.split_to(HEADER_BYTES);
            if taken[..8] != magic || taken[8..] != VERSION.to_le_bytes() {
                return Err(FileError::Foreign);
            }
            self.hash.update(&taken);
            self.magic = None;
        }
        let Some(mut length) = self.bytes.get(..4) else {
            return Ok(None);
        };
        let length = length.get_u32_le() as usize;
        if length == 0 {
            return Err(FileError::Damaged);
        }
        if length > self.record_bytes_max {
            return Err(FileError::TooLarge {
                bytes: length,
                max: self.record_bytes_max,
            });
        }
        if self.bytes.len() - 4 < length {
            return Ok(None);
        }
        let taken = self.bytes.split_to(4 + length).freeze();
        let message = M::decode(taken.slice(4..)).map_err(|_| FileError::Damaged)?;
        self.before = self.hash.clone();
        self.hash.update(&taken);
        Ok(Some(message))
    }

    /// Compares what the last record says of all before it.
    ///
    /// # Errors
    /// They are not what was written.
    pub fn check_end(&self, sha256: &[u8]) -> Result<(), FileError> {
        match sha256 == &self.before.clone().finalize()[..] {
            true => Ok(()),
            false => Err(FileError::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"mcpv8tst";

    fn read(bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FileError> {
        let mut decoder = Decoder::new(MAGIC, 1000);
        let mut records: Vec<Vec<u8>> = Vec::new();
        for piece in bytes.chunks(step) {
            decoder.push(piece);
            while let Some(record) = decoder.read::<Vec<u8>>()? {
                records.push(record);
            }
        }
        let end = records.pop().ok_or(FileError::Damaged)?;
        decoder.check_end(&end)?;
        match decoder.is_empty() && records.len() == 2 {
            true => Ok(records),
            false => Err(FileError::Damaged),
        }
    }

    #[test]
    fn a_file_is_read_in_any_pieces_and_never_with_a_fault() {
        let mut encoder = Encoder::new(MAGIC);
        let mut bytes = Vec::new();
        for record in [vec![1; 100], vec![2; 3]] {
            bytes.extend_from_slice(&encoder.record(&record));
        }
        let end = encoder.sha256();
        bytes.extend_from_slice(&encoder.record(&end));
        for step in [1, 7, bytes.len()] {
            assert_eq!(read(&bytes, step), Ok(vec![vec![1; 100], vec![2; 3]]));
        }
        for place in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[place] ^= 1;
            read(&wrong, 16).expect_err("a bit is wrong");
            read(&bytes[..place], 16).expect_err("it is cut");
        }
        assert_eq!(read(b"something else", 16), Err(FileError::Foreign));
        let long = Encoder::new(MAGIC).record(&vec![0_u8; 1001]);
        let told = read(&long, 16).expect_err("it is longer than it may be");
        assert!(
            matches!(told, FileError::TooLarge { max: 1000, .. }),
            "{told}"
        );
    }
}
