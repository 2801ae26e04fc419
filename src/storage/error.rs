use std::io;
use std::path::PathBuf;

use super::{BlobId, BucketError};

/// Why a blob was not kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The disk's.
    #[error("can't use {}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk has less room than it is to have.
    #[error("the disk of this node has too little room for a blob")]
    NoRoom,
    /// The bytes are not those that the name stands for; the file is set aside.
    #[error("blob {id} is damaged: its {bytes} bytes have another hash; it was moved to {}", moved_to.display())]
    Damaged {
        /// Its name.
        id: BlobId,
        /// How many bytes the file has.
        bytes: usize,
        /// Where the damaged file is now.
        moved_to: PathBuf,
    },
    /// The object in the bucket is another one.
    #[error("blob {id} is damaged in the bucket: its {bytes} bytes have another hash")]
    DamagedInBucket {
        /// Its name.
        id: BlobId,
        /// How many bytes the object has.
        bytes: usize,
    },
    /// The bucket's.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}
