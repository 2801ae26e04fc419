use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::hex;

/// The name of a blob: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 32]);

/// These bytes are no name of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a blob's name has 32 bytes; this one has {bytes}")]
pub struct MalformedBlobId {
    /// How many there are.
    pub bytes: usize,
}

impl BlobId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl TryFrom<&[u8]> for BlobId {
    type Error = MalformedBlobId;

    fn try_from(bytes: &[u8]) -> Result<Self, MalformedBlobId> {
        let found = bytes.len();
        let bytes = bytes
            .try_into()
            .map_err(|_| MalformedBlobId { bytes: found })?;
        Ok(Self(bytes))
    }
}

impl FromStr for BlobId {
    type Err = MalformedBlobId;

    fn from_str(text: &str) -> Result<Self, MalformedBlobId> {
        hex::decode_hash(text).map(Self).ok_or(MalformedBlobId {
            bytes: text.len() / 2,
        })
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}
