use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

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
        let malformed = MalformedBlobId {
            bytes: text.len() / 2,
        };
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 64 || !text.bytes().all(lower) {
            return Err(malformed);
        }
        let mut id = [0; 32];
        for (byte, digits) in id.iter_mut().zip(0..) {
            let digits = &text[2 * digits..2 * digits + 2];
            *byte = u8::from_str_radix(digits, 16).expect("two hex digits");
        }
        Ok(Self(id))
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
