//! What a snapshot holds.
//!
//! All numbers are little-endian.
//!
//! ```text
//! snapshot  "mcpv8snp"  version u32  header_bytes u32  header (SnapshotHeader)  rows  end
//! row       key_bytes u32 (never 0)  value_bytes u32  key  value
//! end       0 u32  state hash (32 bytes)
//! ```
//!
//! The digest of the whole travels beside it and is checked where it is received; the hash of the rows is
//! computed again from what was read.

use std::fs::File;
use std::io::{BufReader, Read as _};

use prost::Message as _;

use super::hash::StateHash;
use super::snapshot_file::{SnapshotFile, SnapshotWriter};
use super::store::{Header, Paused, SnapshotFault, StoreError};
use super::table::Table;
use crate::proto;
use crate::types::SnapshotMeta;

const MAGIC: [u8; 8] = *b"mcpv8snp";
const VERSION: u32 = 1;
/// The largest header: a membership of many nodes.
const HEADER_BYTES_MAX: u32 = 16 << 20;
/// The largest key and the largest value: well above what any row may be.
const ROW_BYTES_MAX: u32 = 1 << 20;
/// What is written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Writes the state at one place in the log.
pub(super) fn write(
    paused: &Paused,
    directory: &std::path::Path,
) -> Result<SnapshotFile, StoreError> {
    let mut writer = SnapshotWriter::create(directory)?;
    let header = proto::SnapshotHeader {
        last_applied: paused.header.last_applied.as_ref().map(Into::into),
        membership: Some((&paused.header.membership).into()),
        rows: paused.header.counts.values().sum(),
    }
    .encode_to_vec();
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + (64 << 10));
    chunk.extend_from_slice(&MAGIC);
    chunk.extend_from_slice(&VERSION.to_le_bytes());
    put_length(&mut chunk, header.len());
    chunk.extend_from_slice(&header);
    for row in paused.base.rows() {
        let (key, value) = row?;
        put_length(&mut chunk, key.len());
        put_length(&mut chunk, value.len());
        chunk.extend_from_slice(&key);
        chunk.extend_from_slice(&value);
        if chunk.len() >= CHUNK_BYTES {
            writer.write(&chunk)?;
            chunk.clear();
        }
    }
    put_length(&mut chunk, 0);
    chunk.extend_from_slice(&paused.header.hash.to_bytes());
    writer.write(&chunk)?;
    Ok(writer.finish()?)
}

fn put_length(chunk: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("rows and headers have limits");
    chunk.extend_from_slice(&length.to_le_bytes());
}

/// The index, the hash and the blobs of a snapshot, all of which is read.
pub fn read_snapshot(
    file: &SnapshotFile,
) -> Result<(u64, StateHash, Vec<proto::BlobRecord>), StoreError> {
    let mut reader = SnapshotReader::open(file)?;
    let meta = reader.meta()?;
    let (mut hash, mut blobs) = (StateHash::default(), Vec::new());
    while let Some((key, value)) = reader.next_row()? {
        hash.add(&key, &value);
        if Table::of(&key) == Some(Table::Blobs) {
            let record = proto::BlobRecord::decode(&value[..]);
            blobs.push(record.map_err(|source| StoreError::malformed(&key, source))?);
        }
    }
    reader.check_hash(hash)?;
    Ok((meta.last_log_id.map_or(0, |it| it.index), hash, blobs))
}

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// A snapshot that is read from its beginning.
pub(super) struct SnapshotReader {
    file: BufReader<File>,
    last_key: Vec<u8>,
}

impl SnapshotReader {
    /// Opens it.
    pub fn open(snapshot: &SnapshotFile) -> Result<Self, StoreError> {
        let file = BufReader::with_capacity(CHUNK_BYTES, snapshot.open()?);
        Ok(Self {
            file,
            last_key: Vec::new(),
        })
    }

    /// Where in the log the state is, which has to be what was promised. No row is counted yet.
    pub fn header(&mut self, meta: &SnapshotMeta) -> Result<Header, StoreError> {
        if self.meta()? != *meta {
            return Err(SnapshotFault::Header.into());
        }
        Ok(Header {
            last_applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            ..Header::default()
        })
    }

    /// Where in the log the state is.
    pub fn meta(&mut self) -> Result<SnapshotMeta, StoreError> {
        let mut magic = [0; 8];
        self.fill(&mut magic)?;
        if magic != MAGIC || self.length()? != VERSION {
            return Err(SnapshotFault::NoSnapshot.into());
        }
        let bytes = self.bytes(HEADER_BYTES_MAX, SnapshotFault::Length)?;
        let message = proto::SnapshotHeader::decode(&bytes[..]);
        let message = message.map_err(|_| SnapshotFault::Header)?;
        let last_log_id = message.last_applied.map(TryInto::try_into).transpose()?;
        let membership = message.membership.map(TryInto::try_into).transpose()?;
        Ok(SnapshotMeta {
            last_log_id,
            last_membership: membership.unwrap_or_default(),
        })
    }

    /// The next row; none at the end.
    pub fn next_row(&mut self) -> Result<Option<Row>, StoreError> {
        let key_bytes = self.length()?;
        if key_bytes == 0 {
            return Ok(None);
        }
        let value_bytes = self.length()?;
        if key_bytes > ROW_BYTES_MAX || value_bytes > ROW_BYTES_MAX {
            return Err(SnapshotFault::Row.into());
        }
        let key = self.exactly(key_bytes)?;
        let value = self.exactly(value_bytes)?;
        if Table::of(&key).is_none() || key <= self.last_key {
            return Err(SnapshotFault::Row.into());
        }
        self.last_key.clone_from(&key);
        Ok(Some((key, value)))
    }

    /// After the last row: its rows are those that were written, and nothing follows.
    pub fn check_hash(mut self, found: StateHash) -> Result<(), StoreError> {
        let mut bytes = [0; 32];
        self.fill(&mut bytes)?;
        let written = StateHash::try_from(&bytes[..])?;
        if written != found {
            return Err(SnapshotFault::Hash { found, written }.into());
        }
        let mut more = [0];
        match self.file.read(&mut more)? {
            0 => Ok(()),
            _ => Err(SnapshotFault::Length.into()),
        }
    }

    fn length(&mut self) -> Result<u32, StoreError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn bytes(&mut self, most: u32, fault: SnapshotFault) -> Result<Vec<u8>, StoreError> {
        let length = self.length()?;
        if length > most {
            return Err(fault.into());
        }
        self.exactly(length)
    }

    fn exactly(&mut self, length: u32) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.file
            .read_exact(bytes)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => SnapshotFault::Length.into(),
                _ => StoreError::from(error),
            })
    }
}
