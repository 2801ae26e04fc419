//! A piece of the log as bytes.
//!
//! All numbers are little-endian.
//!
//! ```text
//! piece  "mcpv8log"  version u32  entries  0 u32  SHA-256 of all before it (32 bytes)
//! entry  bytes u32 (never 0)  Entry (protobuf)
//! ```

use bytes::{Buf as _, Bytes};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::proto;
use crate::types::Entry;

const MAGIC: [u8; 8] = *b"mcpv8log";
const VERSION: u32 = 1;
const DIGEST_BYTES: usize = 32;

/// Entries that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first entry's index.
    pub first: u64,
    /// The last entry's index.
    pub last: u64,
    /// All of them.
    pub bytes: Vec<u8>,
}

/// What the log has after an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAfter {
    /// Nothing that was applied.
    Nothing,
    /// Entries that are there no more: the state holds what they did.
    Purged,
    /// Entries that were applied, the next one first.
    Entries(Piece),
}

/// These bytes are no piece of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// They are something else, or of another version.
    #[error("this is no piece of a log, or one of another version")]
    NoPiece,
    /// They are not those that were written.
    #[error("the piece of the log is damaged: its bytes have another hash")]
    Damaged,
    /// The hash is right, but what is in it is not.
    #[error("the piece of the log has an entry that is not understood")]
    Entry,
}

impl Piece {
    /// Of entries that follow each other; none of none.
    pub fn of(entries: &[Entry]) -> Option<Self> {
        let (first, last) = (entries.first()?, entries.last()?);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        for entry in entries {
            let entry = proto::Entry::from(entry);
            let length = u32::try_from(entry.encoded_len()).expect("an entry has a limit");
            bytes.extend_from_slice(&length.to_le_bytes());
            entry.encode(&mut bytes).expect("memory takes all");
        }
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        Some(Self {
            first: first.log_id.index,
            last: last.log_id.index,
            bytes,
        })
    }

    /// The entries in the bytes of a piece.
    ///
    /// # Errors
    /// They are no piece, or damaged.
    pub fn entries(bytes: &Bytes) -> Result<Vec<Entry>, PieceError> {
        let header = MAGIC.len() + size_of::<u32>();
        if bytes.len() < header + size_of::<u32>() + DIGEST_BYTES || bytes[..8] != MAGIC {
            return Err(PieceError::NoPiece);
        }
        let mut body = bytes.slice(..bytes.len() - DIGEST_BYTES);
        if Sha256::digest(&body)[..] != bytes[body.len()..] {
            return Err(PieceError::Damaged);
        }
        body.advance(MAGIC.len());
        if body.get_u32_le() != VERSION {
            return Err(PieceError::NoPiece);
        }
        let mut entries = Vec::new();
        loop {
            let length = body.try_get_u32_le().map_err(|_| PieceError::Entry)? as usize;
            if length == 0 {
                return Ok(entries);
            }
            if body.len() < length {
                return Err(PieceError::Entry);
            }
            let entry = proto::Entry::decode(body.split_to(length));
            let entry = entry.map_err(|_| PieceError::Entry)?;
            entries.push(entry.try_into().map_err(|_| PieceError::Entry)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::types::{EntryPayload, LeaderId, LogId};

    fn entry(index: u64, payload: EntryPayload) -> Entry {
        let leader_id = LeaderId {
            term: 3,
            node_id: 1,
        };
        Entry {
            log_id: LogId { leader_id, index },
            payload,
        }
    }

    #[test]
    fn a_piece_is_read_as_it_was_written_and_no_other_way() {
        let command = Command::from_bytes(Bytes::from_static(b"command"));
        let entries = [
            entry(7, EntryPayload::Blank),
            entry(8, EntryPayload::Normal(command)),
        ];
        assert_eq!(Piece::of(&[]), None);
        let piece = Piece::of(&entries).expect("there are two");
        assert_eq!((piece.first, piece.last), (7, 8));
        let bytes = Bytes::from(piece.bytes);
        assert_eq!(Piece::entries(&bytes).expect("whole"), entries);
        for place in 0..bytes.len() {
            let mut wrong = bytes.to_vec();
            wrong[place] ^= 1;
            Piece::entries(&wrong.into()).expect_err("a bit is wrong");
            Piece::entries(&bytes.slice(..place)).expect_err("it is cut");
        }
    }
}
