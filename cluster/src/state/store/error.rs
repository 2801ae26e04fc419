use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::raft::ConvertError;
use crate::state::hash::{MalformedHash, StateHash};

/// The state can't be read or written. None of these goes away by trying again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// sled's.
    #[error("the state's database failed")]
    Database(#[from] sled::Error),
    /// A file or directory.
    #[error("the state's files failed")]
    Io(#[source] Arc<io::Error>),
    /// A row is no record of this version: the disk's fault, or a newer program wrote it.
    #[error("the row {key:02x?} is damaged")]
    RowMalformed {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong.
        source: prost::DecodeError,
    },
    /// The header or the membership lacks something.
    #[error("the state's header is damaged")]
    Header(#[from] ConvertError),
    /// The hash in it has another size.
    #[error("the state's header is damaged")]
    HeaderHash(#[from] MalformedHash),
    /// It was written by a newer program.
    #[error("the state has format {found}, this program reads {known}")]
    Format {
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// A newer program has written it, and this one would make something else of it.
    #[error(
        "a newer version of this program has written this (level {found}; this one knows {known}): start that version"
    )]
    Newer {
        /// The level of what is there.
        found: u32,
        /// The highest that is known.
        known: u32,
    },
    /// sled has put a value into a file of its own, which it never syncs.
    #[error("{path} is not empty: values in it are not durable")]
    Unsynced {
        /// sled's directory of large values.
        path: PathBuf,
    },
    /// A snapshot is not what its header, digest or hash says.
    #[error("the snapshot is damaged: {0}")]
    Snapshot(SnapshotFault),
    /// An entry is not the next one.
    #[error("entry {index} was applied after {applied:?}")]
    OutOfOrder {
        /// What came.
        index: u64,
        /// The last one before.
        applied: Option<u64>,
    },
    /// The thread that writes the state has ended.
    #[error("the state is not written any more")]
    Stopped,
    /// A read was broken off by a panic or by the end of the program.
    #[error("the read was broken off")]
    Interrupted,
}

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// It does not begin like one.
    #[error("it does not begin like a snapshot of this version")]
    NoSnapshot,
    /// It ends too soon, or goes on after its end.
    #[error("its length does not fit its contents")]
    Length,
    /// Its bytes are not those that were written.
    #[error("its digest is another one")]
    Digest,
    /// Its header is not what openraft was told.
    #[error("its header does not fit")]
    Header,
    /// Its rows are not those that were written.
    #[error("its rows have the hash {found}, not {written}")]
    Hash {
        /// Computed now.
        found: StateHash,
        /// Computed when it was written.
        written: StateHash,
    },
    /// A row is larger than any can be, or in no table.
    #[error("it has a row that can't be")]
    Row,
}

impl StoreError {
    pub(in crate::state) fn malformed(key: &[u8], source: prost::DecodeError) -> Self {
        Self::RowMalformed {
            key: key.to_vec(),
            source,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<SnapshotFault> for StoreError {
    fn from(fault: SnapshotFault) -> Self {
        Self::Snapshot(fault)
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::other(error)
    }
}

/// The state can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database is damaged.
    #[error(
        "the state in {path} is damaged; remove this node from the cluster, empty its directory and \
         let it join as a new one"
    )]
    Corrupt {
        /// Where it is.
        path: PathBuf,
        /// What it said; none when it panicked.
        source: Option<StoreError>,
    },
    /// There are databases, and no word on which of them is in force.
    #[error("{path} has databases but no CURRENT: it was not written by this program alone")]
    CurrentMissing {
        /// Where they are.
        path: PathBuf,
    },
    /// CURRENT names no database that is there.
    #[error("CURRENT in {path} names no database that is there")]
    CurrentMalformed {
        /// Where it is.
        path: PathBuf,
    },
    /// Files, threads, or another process that has it open.
    #[error("the state can't be opened")]
    Store(#[from] StoreError),
}
