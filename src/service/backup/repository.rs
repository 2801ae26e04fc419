//! Backups that share their blobs: each is a file with a state, and names the blobs that lie beside it, once for all.
//!
//! ```text
//! backup-INDEX.mcpv8   the state as of an entry of the log, and the names of its blobs
//! blobs/AB/ABCD…       the blobs
//! LOCK                 held by who writes here
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cluster::proto::backup_record::Record;
use cluster::proto::{BackupBlob, BackupEnd, BackupRecord};
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::file::{MAGIC, RECORD_BYTES_MAX, names, verify};
use super::{BLOBS, Error, Summary, backup_name, backups_in};
use crate::record_file::{Decoder, Encoder, FileError};
use crate::storage::{BlobId, BlobStore as _, LocalBlobs};

/// Pieces that wait for the disk.
const PIECES_WAITING: usize = 4;

/// A directory of backups. Who has it is the only one who writes there.
pub struct Repository {
    directory: PathBuf,
    blobs: Arc<LocalBlobs>,
    _lock: File,
}

impl Repository {
    /// Opens it, or makes it. It blocks while another one has it.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(at(directory))?;
        let path = directory.join("LOCK");
        let lock = File::options().create(true).append(true).open(&path);
        let lock = lock.map_err(at(&path))?;
        lock.lock().map_err(at(&path))?;
        Ok(Self {
            blobs: Arc::new(LocalBlobs::open(&directory.join(BLOBS))?),
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// The blobs that are there: a backup needs not bring them.
    ///
    /// # Errors
    /// The disk's.
    pub async fn have(&self) -> Result<BTreeSet<BlobId>, Error> {
        let listed = self.blobs.list().await?;
        Ok(listed.into_iter().map(|blob| blob.id).collect())
    }

    /// Takes the bytes of a backup in, and gives its file.
    ///
    /// # Errors
    /// What the bytes come with, or the disk's; then there is no file.
    pub async fn take<E: From<Error>>(
        &self,
        pieces: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<PathBuf, E> {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let (directory, blobs) = (self.directory.clone(), Arc::clone(&self.blobs));
        let written = spawn_blocking(move || write(&directory, &blobs, receiver));
        let mut pieces = std::pin::pin!(pieces);
        let mut failed = None;
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => {
                    if sender.send(piece).await.is_err() {
                        // It has failed, and tells why below.
                        break;
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(sender);
        let written = written.await.expect("writing does not panic");
        match failed {
            Some(error) => Err(error),
            None => Ok(written?),
        }
    }

    /// Reads all of a backup. A blob that is damaged goes, so that the next backup brings it again. It blocks.
    ///
    /// # Errors
    /// It is damaged, or cut.
    pub fn verify(&self, path: &Path) -> Result<Summary, Error> {
        let verified = verify(path);
        if let Err(Error::Beside { path, .. }) = &verified {
            // It may not be there at all.
            let _ = fs::remove_file(path);
        }
        verified
    }

    /// Removes all but the newest backups, and the blobs that only those had. It blocks.
    ///
    /// # Errors
    /// The disk's; or one that stays can't be read.
    pub fn prune(&self, count: usize) -> Result<(), Error> {
        let (old, kept) = backups_in(&self.directory, count).map_err(at(&self.directory))?;
        if old.is_empty() {
            return Ok(());
        }
        let mut needed = BTreeSet::new();
        for path in &kept {
            needed.extend(names(path)?);
        }
        for path in &old {
            fs::remove_file(path).map_err(at(path))?;
        }
        for blob in self.blobs.list_blocking()? {
            if !needed.contains(&blob.id) {
                self.blobs.remove_blocking(&blob.id)?;
            }
        }
        Ok(())
    }
}

fn write(
    directory: &Path,
    blobs: &LocalBlobs,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<PathBuf, Error> {
    let unfinished = directory.join("unfinished");
    let mut writer = Writer {
        file: File::create(&unfinished).map_err(at(&unfinished))?,
        path: &unfinished,
        encoder: Encoder::new(MAGIC),
    };
    let mut decoder = Decoder::new(MAGIC, RECORD_BYTES_MAX);
    let mut index = None;
    // The blob that is coming, and what there is of it.
    let mut coming: Option<(BackupBlob, Vec<u8>)> = None;
    loop {
        let Some(record) = decoder.read::<BackupRecord>()? else {
            match pieces.blocking_recv() {
                Some(piece) => decoder.push(&piece),
                None => return Err(FileError::Unread.into()),
            }
            continue;
        };
        let record = record.record.ok_or(FileError::Damaged)?;
        if let Record::Data(data) = &record {
            let (_, bytes) = coming.as_mut().ok_or(FileError::Damaged)?;
            bytes.extend_from_slice(data);
            continue;
        }
        if let Some((blob, bytes)) = coming.take() {
            let id = BlobId::of(&bytes);
            if id.0[..] != blob.hash || bytes.len() as u64 != blob.size {
                return Err(FileError::Damaged.into());
            }
            blobs.put_blocking(&id, &bytes)?;
            let beside = true;
            writer.write(Record::Blob(BackupBlob { beside, ..blob }))?;
        }
        match record {
            Record::Blob(blob) if !blob.beside => coming = Some((blob, Vec::new())),
            Record::Blob(_) | Record::State(_) => writer.write(record)?,
            Record::Header(header) => {
                index = Some(header.index);
                writer.write(Record::Header(header))?;
            }
            Record::Data(_) => unreachable!("it belongs to a blob"),
            Record::End(end) => {
                decoder.check_end(&end.sha256)?;
                break;
            }
        }
    }
    let index = index.ok_or(FileError::Damaged)?;
    let sha256 = writer.encoder.sha256();
    writer.write(Record::End(BackupEnd { sha256 }))?;
    writer.file.sync_all().map_err(at(&unfinished))?;
    let path = directory.join(backup_name(index));
    fs::rename(&unfinished, &path).map_err(at(&path))?;
    let named = File::open(directory).and_then(|opened| opened.sync_all());
    named.map_err(at(directory))?;
    Ok(path)
}

struct Writer<'a> {
    file: File,
    path: &'a Path,
    encoder: Encoder,
}

impl Writer<'_> {
    fn write(&mut self, record: Record) -> Result<(), Error> {
        let record = Some(record);
        let bytes = self.encoder.record(&BackupRecord { record });
        self.file.write_all(&bytes).map_err(at(self.path))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
