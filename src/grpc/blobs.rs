//! Blobs of this node, for the other nodes.

use bytes::BytesMut;
use cluster::proto::{BlobChunk, GetBlobRequest, PutBlobReply, blobs_server};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use crate::service::blobs::{BLOB_BYTES_MAX, Blobs, chunks};
use crate::storage::{BlobError, BlobId};

/// The service of one node.
pub struct BlobsService {
    blobs: Blobs,
}

impl BlobsService {
    /// On this node's own copies: nothing is passed on.
    pub fn new(blobs: Blobs) -> Self {
        Self { blobs }
    }
}

#[tonic::async_trait]
impl blobs_server::Blobs for BlobsService {
    async fn put(
        &self,
        request: Request<Streaming<BlobChunk>>,
    ) -> Result<Response<PutBlobReply>, Status> {
        let mut chunks = request.into_inner();
        let mut bytes = BytesMut::new();
        let mut named = None;
        while let Some(chunk) = chunks.message().await? {
            if named.is_none() {
                named = Some(id(&chunk.hash)?);
            }
            if bytes.len() + chunk.data.len() > BLOB_BYTES_MAX {
                return Err(Status::out_of_range("the blob is too large"));
            }
            bytes.extend_from_slice(&chunk.data);
        }
        let named = named.ok_or_else(|| Status::invalid_argument("no blob is named"))?;
        let bytes = bytes.freeze();
        if BlobId::of(&bytes) != named {
            return Err(Status::data_loss("the bytes are not those of the name"));
        }
        self.blobs.put_here(named, bytes).await.map_err(failed)?;
        Ok(Response::new(PutBlobReply {}))
    }

    type GetStream = BoxStream<'static, Result<BlobChunk, Status>>;

    async fn get(
        &self,
        request: Request<GetBlobRequest>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let id = id(&request.into_inner().hash)?;
        let bytes = self.blobs.get_here(id).await.map_err(failed)?;
        let bytes = bytes.ok_or_else(|| Status::not_found("the blob is not here"))?;
        let chunks = futures::stream::iter(chunks(id, bytes).map(Ok));
        Ok(Response::new(chunks.boxed()))
    }
}

fn id(hash: &[u8]) -> Result<BlobId, Status> {
    hash.try_into()
        .map_err(|error: crate::storage::MalformedBlobId| {
            Status::invalid_argument(error.to_string())
        })
}

fn failed(error: BlobError) -> Status {
    match error {
        BlobError::NoRoom => Status::resource_exhausted(error.to_string()),
        BlobError::Damaged { .. } => {
            tracing::error!(%error, "a blob of this node is damaged");
            Status::not_found("this node's copy was damaged")
        }
        BlobError::Io { .. } | BlobError::DamagedInBucket { .. } | BlobError::Bucket(_) => {
            tracing::warn!(%error, "a blob can't be used for another node");
            Status::unavailable("this node's disk does not serve the blob")
        }
    }
}
