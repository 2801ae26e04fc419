use std::io;
use std::path::PathBuf;

use super::BlobId;

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
}
