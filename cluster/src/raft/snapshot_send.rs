//! The leader's end of a snapshot: the file in chunks, each with its own deadline.

use std::io::{self, Read as _};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openraft::errors::{RPCError, StreamingError, Unreachable};
use openraft::network::RPCTypes;
use openraft::raft::SnapshotResponse;
use openraft::type_config::alias::SnapshotOf;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::network::Network;
use crate::peers::Purpose;
use crate::proto::{self, SnapshotChunk, snapshot_chunk::Part};
use crate::state::SnapshotFile;
use crate::types::{TypeConfig, Vote};

/// Size of a chunk, in bytes.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// The receiver puts a state of many gigabytes in place meanwhile. Whether it still lives, the
/// connection finds out by itself.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// Why a snapshot was not sent to its end.
enum FeedError {
    /// The receiver has answered or hung up; what it says is what counts.
    Unwanted,
    /// It took nothing for too long.
    Idle,
    /// Our own file.
    Read(io::Error),
}

/// Sends a snapshot and waits until it is installed. Nothing limits the whole; each step has `idle`.
pub(super) async fn send(
    network: &Network,
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
    idle: Duration,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let action = RPCTypes::InstallSnapshot;
    let begin = proto::SnapshotBegin {
        vote: Some(vote.into()),
        meta: Some((&snapshot.meta).into()),
        size: snapshot.snapshot.size(),
    };
    let mut client = network.client(Purpose::Snapshot)?;
    // One chunk waits while another is sent.
    let (chunks, receiver) = mpsc::channel(1);
    let call = client.install_snapshot(ReceiverStream::new(receiver));
    let mut call = std::pin::pin!(call);
    let fed = {
        let feed = feed(begin, snapshot.snapshot, chunks, idle);
        tokio::select! {
            biased;
            reply = &mut call => Err(reply),
            fed = feed => Ok(fed),
        }
    };
    let (reply, waited) = match fed {
        Err(reply) => (Ok(reply), idle),
        Ok(Ok(())) => (timeout(INSTALL_TIMEOUT, call).await, INSTALL_TIMEOUT),
        Ok(Err(FeedError::Unwanted)) => (timeout(idle, call).await, idle),
        Ok(Err(FeedError::Idle)) => return Err(network.timeout(action, idle).into()),
        Ok(Err(FeedError::Read(error))) => {
            tracing::error!(%error, "snapshot can't be read");
            // Not a storage error: that would end this leader's Raft for one unreadable file.
            return Err(Unreachable::new(&error).into());
        }
    };
    let reply = reply.map_err(|_| RPCError::from(network.timeout(action, waited)))?;
    let reply = reply.map_err(|status| network.failed(action, &status))?;
    let response = SnapshotResponse::try_from(reply.into_inner());
    Ok(response.map_err(|error| network.malformed(&error))?)
}

async fn feed(
    begin: proto::SnapshotBegin,
    file: SnapshotFile,
    chunks: mpsc::Sender<SnapshotChunk>,
    idle: Duration,
) -> Result<(), FeedError> {
    let digest = file.digest().to_vec();
    put(&chunks, Part::Begin(begin), idle).await?;
    let mut source = blocking(move || file.open()).await?;
    loop {
        let data;
        (source, data) = blocking(move || {
            let mut data = BytesMut::zeroed(CHUNK_BYTES);
            let length = read_full(&mut source, &mut data)?;
            data.truncate(length);
            Ok((source, data.freeze()))
        })
        .await?;
        if data.is_empty() {
            break;
        }
        put(&chunks, Part::Data(data), idle).await?;
    }
    put(&chunks, Part::End(proto::SnapshotEnd { digest }), idle).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FeedError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(FeedError::Read)
}

fn read_full(source: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

async fn put(
    chunks: &mpsc::Sender<SnapshotChunk>,
    part: Part,
    idle: Duration,
) -> Result<(), FeedError> {
    let chunk = SnapshotChunk { part: Some(part) };
    match timeout(idle, chunks.send(chunk)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(FeedError::Unwanted),
        Err(_) => Err(FeedError::Idle),
    }
}
