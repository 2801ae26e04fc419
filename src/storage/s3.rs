//! Blobs in a bucket: an object each, under `blobs/`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{BlobError, BlobId, BlobStore, Bucket, Stored};

const FOLDER: &str = "blobs/";

/// Blobs in an S3 bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct S3Blobs {
    bucket: Arc<Bucket>,
}

impl S3Blobs {
    /// Those of the bucket.
    pub fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket }
    }
}

impl BlobStore for S3Blobs {
    async fn put(&self, id: BlobId, bytes: Bytes) -> Result<(), BlobError> {
        Ok(self.bucket.put(&key(id), bytes, &id.0).await?)
    }

    async fn get(&self, id: BlobId) -> Result<Option<Bytes>, BlobError> {
        let Some(bytes) = self.bucket.get(&key(id)).await? else {
            return Ok(None);
        };
        if BlobId::of(&bytes) != id {
            let bytes = bytes.len();
            return Err(BlobError::DamagedInBucket { id, bytes });
        }
        Ok(Some(bytes))
    }

    async fn remove(&self, id: BlobId) -> Result<(), BlobError> {
        Ok(self.bucket.remove(&key(id)).await?)
    }

    async fn list(&self) -> Result<Vec<Stored>, BlobError> {
        let now = SystemTime::now();
        let stored = self.bucket.list(FOLDER).await?.into_iter();
        let stored = stored.filter_map(|object| {
            let (_, name) = object.key.rsplit_once('/')?;
            Some(Stored {
                id: name.parse().ok()?,
                bytes: object.bytes,
                // A clock that is behind the server's makes it new.
                age: now
                    .duration_since(object.modified)
                    .unwrap_or(Duration::ZERO),
            })
        });
        Ok(stored.collect())
    }
}

/// Two digits of the name are a folder, as in a directory: people look at it with the same eyes.
fn key(id: BlobId) -> String {
    let name = id.to_string();
    format!("{FOLDER}{}/{name}", &name[..2])
}

#[cfg(test)]
#[path = "s3_test.rs"]
mod s3_test;
