//! Reading a backup's file. All of it blocks.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use cluster::archive::Contents;
use cluster::proto::backup_record::Record;
use cluster::proto::{BackupHeader, BackupRecord};
use cluster::state::{SnapshotFile, SnapshotWriter};

use super::{BLOBS, Error};
use crate::record_file::{Decoder, FileError};
use crate::storage::BlobId;

pub(super) const MAGIC: [u8; 8] = *b"mcpv8bak";
/// State and blobs are cut into such pieces.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// A piece, and what is around it.
pub(super) const RECORD_BYTES_MAX: usize = PIECE_BYTES + 4096;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The cluster, in hex.
    pub cluster_id: String,
    /// The last entry of its log whose effect is in the backup.
    pub index: u64,
    /// The hash of its state, in hex.
    pub state_hash: String,
    /// When it was taken, in milliseconds since 1970.
    pub created_ms: u64,
    /// The version of the program that took it.
    pub version: String,
    /// How many blobs it has,
    pub blobs: u64,
    /// and how many bytes they have together.
    pub blob_bytes: u64,
}

/// What is read of a backup, in the order of the file.
pub(super) enum Part {
    /// The state, all of it.
    State(Box<(SnapshotFile, Contents)>),
    /// A blob, whole and with the name that its bytes have.
    Blob(BlobId, Vec<u8>),
}

/// Reads a whole backup: gives its parts to `take` while they come, and tells whether it was whole. The state is
/// written in a directory, which must exist.
pub(super) fn read(
    path: &Path,
    directory: &Path,
    mut take: impl FnMut(Part) -> Result<(), Error>,
) -> Result<Summary, Error> {
    let mut records = Records::open(path)?;
    let Some(Record::Header(header)) = records.next()? else {
        return Err(FileError::Damaged.into());
    };
    let at = |source| Error::Io {
        path: directory.to_owned(),
        source,
    };
    let mut writer = SnapshotWriter::create(directory).map_err(at)?;
    let mut record = records.next()?;
    while let Some(Record::State(piece)) = record {
        writer.write(&piece).map_err(at)?;
        record = records.next()?;
    }
    let state = writer.finish().map_err(at)?;
    let contents = Contents::of(&state)?;
    let mut missing: BTreeSet<Vec<u8>> = contents.blobs.iter().map(|it| it.hash.clone()).collect();
    let mut summary = summary(&header, &contents);
    take(Part::State(Box::new((state, contents))))?;
    while let Some(Record::Blob(blob)) = record {
        let size = usize::try_from(blob.size).map_err(|_| FileError::Damaged)?;
        record = records.next()?;
        let mut bytes = match blob.beside {
            true => beside(path, &blob.hash)?,
            false => Vec::new(),
        };
        while let Some(Record::Data(data)) = record {
            if bytes.len() + data.len() > size {
                return Err(FileError::Damaged.into());
            }
            bytes.extend_from_slice(&data);
            record = records.next()?;
        }
        let id = BlobId::of(&bytes);
        if id.0[..] != blob.hash || bytes.len() != size {
            return Err(FileError::Damaged.into());
        }
        missing.remove(&blob.hash);
        summary.blobs += 1;
        summary.blob_bytes += blob.size;
        take(Part::Blob(id, bytes))?;
    }
    match record {
        Some(Record::End(end)) => records.end(&end.sha256)?,
        _ => return Err(FileError::Damaged.into()),
    }
    match missing.first() {
        None => Ok(summary),
        Some(hash) => {
            let id = BlobId::try_from(&hash[..]).map_err(|_| FileError::Damaged)?;
            Err(Error::Incomplete { id })
        }
    }
}

/// A blob that lies beside a backup.
fn beside(backup: &Path, hash: &[u8]) -> Result<Vec<u8>, Error> {
    let id = BlobId::try_from(hash).map_err(|_| FileError::Damaged)?;
    let name = id.to_string();
    let directory = backup.parent().unwrap_or(Path::new("."));
    let path = directory.join(BLOBS).join(&name[..2]).join(&name);
    match std::fs::read(&path) {
        Ok(bytes) if BlobId::of(&bytes) == id => Ok(bytes),
        Ok(_) => Err(Error::Beside { id, path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Beside { id, path })
        }
        Err(source) => Err(Error::Io { path, source }),
    }
}

/// The names of a backup's blobs, without a look at them.
pub(super) fn names(path: &Path) -> Result<Vec<BlobId>, Error> {
    let mut records = Records::open(path)?;
    let mut names = Vec::new();
    loop {
        match records.next()? {
            Some(Record::Blob(blob)) => {
                names.push(BlobId::try_from(&blob.hash[..]).map_err(|_| FileError::Damaged)?);
            }
            Some(Record::End(_)) => return Ok(names),
            _ => {}
        }
    }
}

/// Reads a whole backup, and tells what it holds.
///
/// # Errors
/// It is damaged, cut, or no backup.
pub fn verify(path: &Path) -> Result<Summary, Error> {
    let directory = tempfile::tempdir().map_err(|source| Error::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    read(path, directory.path(), |_| Ok(()))
}

fn summary(header: &BackupHeader, contents: &Contents) -> Summary {
    Summary {
        cluster_id: crate::hex::encode(&header.cluster_id),
        index: contents.index,
        state_hash: crate::hex::encode(&contents.hash.to_bytes()),
        created_ms: header.created_ms,
        version: header.version.clone(),
        blobs: 0,
        blob_bytes: 0,
    }
}

struct Records<'a> {
    path: &'a Path,
    file: File,
    decoder: Decoder,
    piece: Vec<u8>,
}

impl<'a> Records<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path,
            file,
            decoder: Decoder::new(MAGIC, RECORD_BYTES_MAX),
            piece: vec![0; PIECE_BYTES],
        })
    }

    fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if let Some(record) = self.decoder.read::<BackupRecord>()? {
                return Ok(record.record);
            }
            let read = self.file.read(&mut self.piece);
            let bytes = read.map_err(|source| Error::Io {
                path: self.path.to_owned(),
                source,
            })?;
            if bytes == 0 {
                return Err(FileError::Damaged.into());
            }
            self.decoder.push(&self.piece[..bytes]);
        }
    }

    /// Nothing follows the end, which knows all that came before.
    fn end(mut self, sha256: &[u8]) -> Result<(), Error> {
        self.decoder.check_end(sha256)?;
        let more = self.file.read(&mut self.piece);
        let more = more.map_err(|source| Error::Io {
            path: self.path.to_owned(),
            source,
        })?;
        match more == 0 && self.decoder.is_empty() {
            true => Ok(()),
            false => Err(FileError::Damaged.into()),
        }
    }
}
