//! One number for all rows of the state, kept up with each change.

use std::fmt;

use sha2::{Digest as _, Sha256};

const LANES: usize = 4;

/// The sum of the hashes of all rows: the same for the same rows, whatever their history.
///
/// Lanes of 64 bits are added on their own. It finds damage and divergence; it is no proof against
/// somebody who chooses the rows to collide.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct StateHash([u64; LANES]);

/// The bytes are no state hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a state hash is 32 bytes")]
pub struct MalformedHash;

impl StateHash {
    /// Takes a row in.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        for (lane, part) in self.0.iter_mut().zip(row(key, value)) {
            *lane = lane.wrapping_add(part);
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        for (lane, part) in self.0.iter_mut().zip(row(key, value)) {
            *lane = lane.wrapping_sub(part);
        }
    }

    /// The bytes, for files and messages.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, lane) in bytes.chunks_exact_mut(8).zip(self.0) {
            place.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }
}

fn row(key: &[u8], value: &[u8]) -> [u64; LANES] {
    let mut hasher = Sha256::new();
    // The length parts key and value.
    hasher.update((key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    lanes(&hasher.finalize().into())
}

fn lanes(bytes: &[u8; 32]) -> [u64; LANES] {
    let mut lanes = [0; LANES];
    for (lane, part) in lanes.iter_mut().zip(bytes.chunks_exact(8)) {
        *lane = u64::from_le_bytes(part.try_into().expect("chunks are of 8 bytes"));
    }
    lanes
}

impl TryFrom<&[u8]> for StateHash {
    type Error = MalformedHash;

    fn try_from(bytes: &[u8]) -> Result<Self, MalformedHash> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| MalformedHash)?;
        Ok(Self(lanes(bytes)))
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_changes_does_not_matter() {
        let mut one = StateHash::default();
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        one.add(b"c", b"3");
        one.remove(b"b", b"2");
        let mut other = StateHash::default();
        other.add(b"c", b"3");
        other.add(b"a", b"1");
        assert_eq!(one, other);
        assert_eq!(StateHash::try_from(&one.to_bytes()[..]), Ok(one));
        assert_eq!(StateHash::try_from(&[0; 31][..]), Err(MalformedHash));
    }

    #[test]
    fn key_and_value_are_apart() {
        let mut one = StateHash::default();
        one.add(b"ab", b"c");
        let mut other = StateHash::default();
        other.add(b"a", b"bc");
        assert_ne!(one, other);
    }
}
