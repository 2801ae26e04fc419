//! Where blobs are: bytes that are named by their SHA-256. It knows neither the cluster nor V8.

mod blob_id;
mod bucket;
mod bucket_error;
mod claim;
mod error;
mod local;
mod s3;
mod store;
#[cfg(test)]
mod suite;

pub use self::blob_id::{BlobId, MalformedBlobId};
pub use self::bucket::{Bucket, Object};
pub use self::bucket_error::{BucketError, Cause, Doing};
pub use self::claim::{Claim, ClaimError, Claimant};
pub use self::error::BlobError;
pub use self::local::LocalBlobs;
pub use self::s3::S3Blobs;
pub use self::store::{BlobStore, Stored};
