use std::time::Duration;

use bytes::Bytes;

use super::{BlobError, BlobId};

/// A place that keeps blobs by their names. All implementations pass the same tests.
pub trait BlobStore: Send + Sync {
    /// Keeps bytes under the name that [`BlobId::of`] gives them. When it returns they outlive a power loss,
    /// and the blob's age is nothing again.
    fn put(&self, id: BlobId, bytes: Bytes) -> impl Future<Output = Result<(), BlobError>> + Send;

    /// The bytes, checked against their name; `None` where they are not here.
    fn get(&self, id: BlobId) -> impl Future<Output = Result<Option<Bytes>, BlobError>> + Send;

    /// Removes a blob; one that is not here is removed already.
    fn remove(&self, id: BlobId) -> impl Future<Output = Result<(), BlobError>> + Send;

    /// The blobs that are here, in no order.
    fn list(&self) -> impl Future<Output = Result<Vec<Stored>, BlobError>> + Send;
}

/// A blob of a store, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub id: BlobId,
    /// How many bytes it has.
    pub bytes: u64,
    /// The time since it was last kept.
    pub age: Duration,
}
