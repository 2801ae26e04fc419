//! The form of a session in a file. See `session_file.proto`.

use bytes::{Buf as _, Bytes, BytesMut};
use cluster::proto::session_file_record::Record;
use cluster::proto::{SessionFileEnd, SessionFileRecord};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

const MAGIC: [u8; 8] = *b"mcpv8ses";
const VERSION: u32 = 1;
/// The longest record: a delta or an engine, and more.
const RECORD_BYTES_MAX: u32 = 1 << 30;

/// Why bytes are no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// They are something else, or of another version.
    #[error("this is no session's file, or one of another version")]
    NoSession,
    /// A part is not what was written.
    #[error("the file is damaged, or cut")]
    Damaged,
    /// It did not come whole.
    #[error("the file could not be read to its end")]
    Unread,
}

/// Writes records one after the other.
pub(super) struct Encoder {
    hash: Sha256,
    begun: bool,
}

impl Encoder {
    pub fn new() -> Self {
        Self {
            hash: Sha256::new(),
            begun: false,
        }
    }

    /// The bytes of one more record.
    pub fn record(&mut self, record: Record) -> Bytes {
        let record = SessionFileRecord {
            record: Some(record),
        };
        let mut bytes = Vec::with_capacity(record.encoded_len() + 16);
        if !std::mem::replace(&mut self.begun, true) {
            bytes.extend_from_slice(&MAGIC);
            bytes.extend_from_slice(&VERSION.to_le_bytes());
        }
        let length = u32::try_from(record.encoded_len()).expect("a blob has a limit");
        bytes.extend_from_slice(&length.to_le_bytes());
        record.encode(&mut bytes).expect("memory takes all");
        self.hash.update(&bytes);
        bytes.into()
    }

    /// The bytes of the last record.
    pub fn end(mut self) -> Bytes {
        let sha256 = self.hash.clone().finalize().to_vec();
        self.record(Record::End(SessionFileEnd { sha256 }))
    }
}

/// Reads records from pieces of any size.
pub(super) struct Decoder {
    bytes: BytesMut,
    hash: Sha256,
    begun: bool,
}

impl Decoder {
    pub fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            hash: Sha256::new(),
            begun: false,
        }
    }

    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether bytes wait that are no whole record.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next record, when it is there whole. The end is checked.
    pub fn next(&mut self) -> Result<Option<Record>, FileError> {
        let header = MAGIC.len() + size_of::<u32>();
        if !self.begun {
            if self.bytes.len() < header {
                return Ok(None);
            }
            let taken = self.bytes.split_to(header);
            if taken[..8] != MAGIC || taken[8..] != VERSION.to_le_bytes() {
                return Err(FileError::NoSession);
            }
            self.hash.update(&taken);
            self.begun = true;
        }
        let Some(mut length) = self.bytes.get(..4) else {
            return Ok(None);
        };
        let length = length.get_u32_le();
        if length == 0 || length > RECORD_BYTES_MAX {
            return Err(FileError::Damaged);
        }
        if self.bytes.len() - 4 < length as usize {
            return Ok(None);
        }
        let taken = self.bytes.split_to(4 + length as usize).freeze();
        let record = SessionFileRecord::decode(taken.slice(4..));
        let record = record.map_err(|_| FileError::Damaged)?.record;
        let record = record.ok_or(FileError::Damaged)?;
        if let Record::End(end) = &record
            && end.sha256 != self.hash.clone().finalize()[..]
        {
            return Err(FileError::Damaged);
        }
        self.hash.update(&taken);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use cluster::proto::{SessionFileCommit, SessionFileHeader};

    use super::*;

    fn read(bytes: &[u8], step: usize) -> Result<Vec<Record>, FileError> {
        let mut decoder = Decoder::new();
        let mut records = Vec::new();
        for piece in bytes.chunks(step) {
            decoder.push(piece);
            while let Some(record) = decoder.next()? {
                records.push(record);
            }
        }
        match decoder.is_empty() && matches!(records.last(), Some(Record::End(_))) {
            true => Ok(records),
            false => Err(FileError::Damaged),
        }
    }

    #[test]
    fn a_file_is_read_in_any_pieces_and_never_with_a_fault() {
        let mut encoder = Encoder::new();
        let header = Record::Header(SessionFileHeader {
            name: "s".to_owned(),
            commits: 1,
            ..SessionFileHeader::default()
        });
        let commit = Record::Commit(SessionFileCommit {
            delta: vec![7; 100],
            ..SessionFileCommit::default()
        });
        let mut bytes = encoder.record(header.clone()).to_vec();
        bytes.extend_from_slice(&encoder.record(commit.clone()));
        bytes.extend_from_slice(&encoder.end());
        for step in [1, 7, bytes.len()] {
            let records = read(&bytes, step).expect("whole");
            assert_eq!(records[..2], [header.clone(), commit.clone()]);
        }
        for place in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[place] ^= 1;
            read(&wrong, 16).expect_err("a bit is wrong");
            read(&bytes[..place], 16).expect_err("it is cut");
        }
    }
}
