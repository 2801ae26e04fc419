//! Blobs of other nodes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cluster::node::Cluster;
use cluster::peers::{PeerChannel, Purpose};
use cluster::proto::blobs_client::BlobsClient;
use cluster::proto::{BlobChunk, GetBlobRequest};
use tonic::{Code, Status};

use super::BLOB_BYTES_MAX;
use crate::storage::BlobId;

/// A chunk of a blob between nodes, in bytes.
pub const CHUNK_BYTES: usize = 256 << 10;
/// A node that gives nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A node takes so long at least to keep a blob,
const PUT_MIN: Duration = Duration::from_secs(10);
/// and this for each MiB of it.
const PUT_MIB: Duration = Duration::from_millis(500);

/// Why another node did not give or take a blob.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no way to it.
    #[error("there is no way to the node")]
    Unreachable,
    /// It said nothing for too long.
    #[error("the node is silent")]
    Silent,
    /// It refused, or the connection broke.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] Status),
    /// What it gave is another blob.
    #[error("the bytes that the node gave are not those of the name")]
    Different,
}

fn client(cluster: &Cluster, node: u64) -> Result<BlobsClient<PeerChannel>, RemoteError> {
    let channel = cluster.peers().channel(node, Purpose::Snapshot);
    Ok(BlobsClient::new(
        channel.map_err(|_| RemoteError::Unreachable)?,
    ))
}

/// The bytes in the form in which they travel.
pub fn chunks(id: BlobId, bytes: Bytes) -> impl Iterator<Item = BlobChunk> + Send + 'static {
    // An empty blob is one chunk, too: the name has to be told.
    let count = bytes.len().div_ceil(CHUNK_BYTES).max(1);
    (0..count).map(move |number| {
        let start = number * CHUNK_BYTES;
        BlobChunk {
            hash: if number == 0 {
                id.0.to_vec()
            } else {
                Vec::new()
            },
            data: bytes.slice(start..bytes.len().min(start + CHUNK_BYTES)),
        }
    })
}

/// Gives a node a copy.
pub async fn put(
    cluster: &Cluster,
    node: u64,
    id: BlobId,
    bytes: Bytes,
) -> Result<(), RemoteError> {
    let mut client = client(cluster, node)?;
    let mib = u32::try_from(bytes.len() >> 20).unwrap_or(u32::MAX);
    let put = client.put(futures::stream::iter(chunks(id, bytes)));
    let answered = tokio::time::timeout(PUT_MIN + PUT_MIB * mib, put).await;
    answered.map_err(|_| RemoteError::Silent)??;
    Ok(())
}

/// Takes a copy from a node.
pub async fn get(cluster: &Cluster, node: u64, id: BlobId) -> Result<Bytes, RemoteError> {
    let mut client = client(cluster, node)?;
    let request = GetBlobRequest {
        hash: id.0.to_vec(),
    };
    let opened = tokio::time::timeout(SILENCE_MAX, client.get(request)).await;
    let mut chunks = opened.map_err(|_| RemoteError::Silent)??.into_inner();
    let mut bytes = BytesMut::new();
    loop {
        let next = tokio::time::timeout(SILENCE_MAX, chunks.message()).await;
        let Some(chunk) = next.map_err(|_| RemoteError::Silent)?? else {
            break;
        };
        if bytes.len() + chunk.data.len() > BLOB_BYTES_MAX {
            return Err(Status::new(Code::OutOfRange, "the blob is too large").into());
        }
        bytes.extend_from_slice(&chunk.data);
    }
    let bytes = bytes.freeze();
    if BlobId::of(&bytes) == id {
        Ok(bytes)
    } else {
        Err(RemoteError::Different)
    }
}
