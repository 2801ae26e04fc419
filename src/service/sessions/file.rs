//! The form of a session in a file. See `session_file.proto`.

use bytes::Bytes;
use cluster::proto::session_file_record::Record;
use cluster::proto::{SessionFileEnd, SessionFileRecord};

use crate::record_file::{Decoder, Encoder, FileError};

const MAGIC: [u8; 8] = *b"mcpv8ses";

/// Writes one.
pub(super) struct SessionEncoder(Encoder);

impl SessionEncoder {
    pub fn new() -> Self {
        Self(Encoder::new(MAGIC))
    }

    /// The bytes of one more record.
    pub fn record(&mut self, record: Record) -> Bytes {
        self.0.record(&SessionFileRecord {
            record: Some(record),
        })
    }

    /// The bytes of the last record.
    pub fn end(mut self) -> Bytes {
        let sha256 = self.0.sha256();
        self.record(Record::End(SessionFileEnd { sha256 }))
    }
}

/// Reads one.
pub(super) struct SessionDecoder(Decoder);

impl SessionDecoder {
    /// A part of the file is in memory while it is read.
    pub fn new(record_bytes_max: usize) -> Self {
        Self(Decoder::new(MAGIC, record_bytes_max))
    }

    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    /// Whether no bytes wait that are no whole record.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next record, when it is there whole. The end is checked.
    pub fn next(&mut self) -> Result<Option<Record>, FileError> {
        let Some(record) = self.0.read::<SessionFileRecord>()? else {
            return Ok(None);
        };
        let record = record.record.ok_or(FileError::Damaged)?;
        if let Record::End(end) = &record {
            self.0.check_end(&end.sha256)?;
        }
        Ok(Some(record))
    }
}
