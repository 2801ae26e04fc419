//! Where blobs are: bytes that are named by their SHA-256. It knows neither the cluster nor V8.

mod blob_id;
mod error;
mod local;

pub use self::blob_id::{BlobId, MalformedBlobId};
pub use self::error::BlobError;
pub use self::local::LocalBlobs;
