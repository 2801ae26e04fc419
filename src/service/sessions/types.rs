use std::fmt;
use std::str::FromStr;

use process_image::StateId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use super::Error;
use crate::hex;
use crate::workers::Ended;
use crate::workers::session::Refused;

/// The name of a heap: what it is made of, hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeapId(pub [u8; 32]);

/// The text is no heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a heap has 64 hex digits in lower case")]
pub struct MalformedHeap;

impl HeapId {
    /// The name of what a run has made.
    pub(super) fn of(made: &Made<'_>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"mcp-v8 heap 1");
        // Parts of one length each, so that no two heaps are spelled alike.
        hash.update(made.engine);
        hash.update(made.parent.map_or([0; 32], |parent| parent.0));
        for part in [
            made.delta,
            made.reply,
            made.code.as_bytes(),
            made.language.as_bytes(),
            made.principal.as_bytes(),
        ] {
            hash.update(Sha256::digest(part));
        }
        Self(hash.finalize().into())
    }

    /// The same as the name of a state; none is the engine's base image.
    pub(super) fn state(heap: Option<Self>) -> StateId {
        StateId(heap.map_or([0; 32], |heap| heap.0))
    }

    /// As a record of another kind names it; none where it names none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As it stands in a record: empty is the engine's base image.
    pub(super) fn from_record(bytes: &[u8]) -> Result<Option<Self>, Error> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let bytes = bytes.try_into().map_err(|_| Error::Record)?;
        Ok(Some(Self(bytes)))
    }

    /// As it stands in a record.
    pub fn to_record(heap: Option<Self>) -> Vec<u8> {
        heap.map_or_else(Vec::new, |heap| heap.0.to_vec())
    }
}

/// What a heap's name is made of.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub engine: [u8; 32],
    pub parent: Option<HeapId>,
    pub delta: &'a [u8],
    pub reply: &'a [u8],
    pub code: &'a str,
    pub language: &'a str,
    pub principal: &'a str,
}

impl fmt::Display for HeapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for HeapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for HeapId {
    type Err = MalformedHeap;

    fn from_str(text: &str) -> Result<Self, MalformedHeap> {
        hex::decode_hash(text).map(Self).ok_or(MalformedHeap)
    }
}

impl Serialize for HeapId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HeapId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The state that a run begins in, and where what it makes of it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// A session, by its name; made when there is none.
    Session(String),
    /// A heap: what comes of it belongs to no session.
    Heap(HeapId),
}

impl Target {
    /// The session's name, where it is one.
    pub fn session(&self) -> Option<&str> {
        match self {
            Self::Session(name) => Some(name),
            Self::Heap(_) => None,
        }
    }
}

/// The task that a run is for. Serialized it is only for other nodes of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskFence {
    /// Its id.
    pub id: String,
    /// What it was given to this run with: with another one in force the run is for nothing.
    pub fence: u64,
}

/// What a caller is told of a run, as it is kept with the commit.
pub struct Reply {
    /// The words.
    pub bytes: Vec<u8>,
    /// The code ran to its end.
    pub succeeded: bool,
    /// It did not, and would not the next time either.
    pub last: bool,
}

/// Where a state stands after a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The session's name.
    pub session: Option<String>,
    /// The heap: what the run made, or where it stood before where the run is not kept.
    pub heap: Option<HeapId>,
    /// The heap before it, when the run is kept.
    pub parent: Option<HeapId>,
}

/// The end of a run in a state.
pub enum Run {
    /// It is part of the history.
    Kept {
        /// How it ended.
        ended: Ended,
        /// What it made.
        place: Place,
    },
    /// Nothing has happened.
    NotKept {
        /// How it ended.
        ended: Ended,
        /// Why it is not kept.
        refused: Refused,
        /// Where the state stands.
        place: Place,
    },
    /// The same request was kept before.
    Replayed {
        /// The reply that it had.
        reply: Vec<u8>,
        /// What it made.
        place: Place,
    },
}

/// Who runs a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This node.
    Here,
    /// That node.
    There(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_has_one_spelling() {
        let heap = HeapId([0xab; 32]);
        assert_eq!(heap.to_string().parse(), Ok(heap));
        assert_eq!(
            heap.to_string().to_uppercase().parse::<HeapId>(),
            Err(MalformedHeap)
        );
        assert_eq!("ab".parse::<HeapId>(), Err(MalformedHeap));
        assert_eq!("é".repeat(32).parse::<HeapId>(), Err(MalformedHeap));
    }

    #[test]
    fn every_part_of_a_commit_makes_another_heap() {
        let made = Made {
            engine: [1; 32],
            parent: None,
            delta: b"delta",
            reply: b"reply",
            code: "code",
            language: "auto",
            principal: "",
        };
        let others = [
            Made {
                engine: [2; 32],
                ..made
            },
            Made {
                parent: Some(HeapId([1; 32])),
                ..made
            },
            Made {
                delta: b"deltb",
                ..made
            },
            Made {
                reply: b"replz",
                ..made
            },
            Made {
                code: "codf",
                ..made
            },
            Made {
                language: "javascript",
                ..made
            },
            Made {
                principal: "p",
                ..made
            },
        ];
        let heap = HeapId::of(&made);
        assert_eq!(HeapId::of(&made), heap);
        assert!(others.iter().all(|other| HeapId::of(other) != heap));
    }
}
