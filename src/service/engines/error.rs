use cluster::node::{ProposeError, ReadError};
use cluster::state::StoreError;

use crate::service::blobs;
use crate::workers::{EngineError, StartError};

/// Why there are no processes of an engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given names none, or several.
    #[error("{given:?} is the beginning of {found} engines' ids; one is wanted")]
    Ambiguous {
        /// What was given.
        given: String,
        /// How many begin so.
        found: usize,
    },
    /// The cluster does not know it.
    #[error("the cluster knows no such engine")]
    Unknown,
    /// Only nodes of one version have it: its bytes were never kept.
    #[error("its bytes are not kept yet: it needs a node of the version that it is part of")]
    NotKept,
    /// Nothing runs in it any more.
    #[error("an operator has retired it")]
    Retired,
    /// Too many others run here.
    #[error("this node runs {others} other engines already, and no more")]
    TooMany {
        /// How many.
        others: usize,
    },
    /// Its bytes can't be had.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    /// They are damaged, or this CPU can't run them.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It does not start.
    #[error("it does not start: {0}")]
    Start(#[from] StartError),
    /// A write was not confirmed.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// What is newest is not known.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The state can't be read.
    #[error("the state can't be read: {0}")]
    State(#[from] StoreError),
    /// The cluster refused for a reason that this version does not know.
    #[error("the cluster refused the write (reason {reason})")]
    Refused {
        /// Its number in the protocol.
        reason: i32,
    },
}
