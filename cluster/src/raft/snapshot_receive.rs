//! The follower's end of a snapshot: chunks into a file, which stays only if it is whole.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::ConvertError;
use crate::proto::{SnapshotBegin, SnapshotChunk, snapshot_chunk::Part};
use crate::state::{SnapshotFile, SnapshotWriter};

/// A snapshot did not arrive as it should have.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The sender fell silent.
    #[error("no part of the snapshot came for {waited:?}")]
    Idle {
        /// How long was waited for the next chunk.
        waited: Duration,
    },
    /// The connection ended.
    #[error("the snapshot's stream broke: {0}")]
    Broken(Box<Status>),
    /// It is over before its end.
    #[error("the snapshot was cut after {received} of {announced} bytes")]
    Cut {
        /// Bytes that came.
        received: u64,
        /// Bytes that were to come.
        announced: u64,
    },
    /// There is more than was announced.
    #[error("the snapshot has more than the {announced} bytes that were announced")]
    TooLong {
        /// Bytes that were to come.
        announced: u64,
    },
    /// These are other bytes than those that were sent.
    #[error("the snapshot's SHA-256 is wrong")]
    WrongDigest,
    /// A part that doesn't belong there.
    #[error("the snapshot's parts are out of order")]
    OutOfOrder,
    /// Its beginning is not what it should be.
    #[error("the snapshot's beginning can't be read: {0}")]
    Begin(#[from] ConvertError),
    /// It can't be written.
    #[error("the snapshot can't be written: {0}")]
    Write(#[from] io::Error),
}

impl From<&ReceiveError> for Status {
    fn from(error: &ReceiveError) -> Self {
        let code = match error {
            ReceiveError::Idle { .. } => Code::DeadlineExceeded,
            ReceiveError::Broken(_) => Code::Aborted,
            ReceiveError::Cut { .. } | ReceiveError::WrongDigest => Code::DataLoss,
            ReceiveError::TooLong { .. } | ReceiveError::OutOfOrder | ReceiveError::Begin(_) => {
                Code::InvalidArgument
            }
            // Mostly a full disk: the sender waits before it tries again.
            ReceiveError::Write(_) => Code::ResourceExhausted,
        };
        Self::new(code, error.to_string())
    }
}

/// The next part; none at the end of the stream.
pub(super) async fn next(
    chunks: &mut (impl Stream<Item = Result<SnapshotChunk, Status>> + Unpin),
    idle: Duration,
) -> Result<Option<Part>, ReceiveError> {
    match timeout(idle, chunks.next()).await {
        Err(_) => Err(ReceiveError::Idle { waited: idle }),
        Ok(None) => Ok(None),
        Ok(Some(Err(status))) => Err(ReceiveError::Broken(Box::new(status))),
        Ok(Some(Ok(chunk))) => chunk.part.map(Some).ok_or(ReceiveError::OutOfOrder),
    }
}

/// The beginning, which comes first.
pub(super) async fn begin(
    chunks: &mut (impl Stream<Item = Result<SnapshotChunk, Status>> + Unpin),
    idle: Duration,
) -> Result<SnapshotBegin, ReceiveError> {
    match next(chunks, idle).await? {
        Some(Part::Begin(begin)) => Ok(begin),
        _ => Err(ReceiveError::OutOfOrder),
    }
}

enum Piece {
    Data(Bytes),
    End { digest: Vec<u8> },
}

/// All that follows the beginning. Whatever goes wrong, also that this future is dropped, leaves no file.
pub(super) async fn receive(
    chunks: &mut (impl Stream<Item = Result<SnapshotChunk, Status>> + Unpin),
    announced: u64,
    directory: &Path,
    idle: Duration,
) -> Result<SnapshotFile, ReceiveError> {
    // A thread of its own writes: it owns the file, and removes it when no end comes.
    let (pieces, queue) = mpsc::channel(2);
    let directory: PathBuf = directory.to_owned();
    let written = tokio::task::spawn_blocking(move || write(&directory, announced, queue));
    let fed = feed(chunks, &pieces, idle).await;
    drop(pieces);
    let written = written.await.map_err(io::Error::other)?;
    // A writer that failed ends the feeding too, and is the cause.
    match (fed, written) {
        (Err(error), Ok(_) | Err(ReceiveError::Cut { .. })) => Err(error),
        (_, written) => written,
    }
}

async fn feed(
    chunks: &mut (impl Stream<Item = Result<SnapshotChunk, Status>> + Unpin),
    pieces: &mpsc::Sender<Piece>,
    idle: Duration,
) -> Result<(), ReceiveError> {
    while let Some(part) = next(chunks, idle).await? {
        let (piece, is_last) = match part {
            Part::Begin(_) => return Err(ReceiveError::OutOfOrder),
            Part::Data(data) => (Piece::Data(data), false),
            Part::End(end) => (Piece::End { digest: end.digest }, true),
        };
        let is_gone = pieces.send(piece).await.is_err();
        if is_last || is_gone {
            break;
        }
    }
    Ok(())
}

fn write(
    directory: &Path,
    announced: u64,
    mut queue: mpsc::Receiver<Piece>,
) -> Result<SnapshotFile, ReceiveError> {
    let mut writer = SnapshotWriter::create(directory)?;
    while let Some(piece) = queue.blocking_recv() {
        match piece {
            Piece::Data(data) => {
                if writer.size() + data.len() as u64 > announced {
                    return Err(ReceiveError::TooLong { announced });
                }
                writer.write(&data)?;
            }
            Piece::End { digest } => {
                if writer.size() != announced {
                    break;
                }
                let file = writer.finish()?;
                return if file.digest()[..] == digest[..] {
                    Ok(file)
                } else {
                    Err(ReceiveError::WrongDigest)
                };
            }
        }
    }
    Err(ReceiveError::Cut {
        received: writer.size(),
        announced,
    })
}
