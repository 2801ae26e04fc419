//! What can go wrong, at open and afterwards.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::format::VERSION;

/// The log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused something.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: Operation,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process, or another store of this one, has it open.
    #[error("{} is in use by another process", directory.display())]
    InUse {
        /// The log's directory.
        directory: PathBuf,
    },
    /// Something that was on disk for certain isn't there any more. The node may have promised what
    /// is gone: it must not take part again.
    #[error(
        "{} is damaged at byte {offset}, in what was already safe on disk: this node's data can't be \
         trusted any more, replace the node",
        segment.display()
    )]
    Corrupt {
        /// Which file.
        segment: PathBuf,
        /// Where in it.
        offset: u64,
    },
    /// A file between others, or before the first, is gone.
    #[error(
        "log segment {sequence} is missing in {}: this node's data can't be trusted any more, replace \
         the node",
        directory.display()
    )]
    Missing {
        /// The log's directory.
        directory: PathBuf,
        /// The file's number.
        sequence: u64,
    },
    /// A later release wrote it.
    #[error("{} has format {version}, and this release knows {VERSION}", segment.display())]
    Version {
        /// Which file.
        segment: PathBuf,
        /// The format it has.
        version: u32,
    },
}

/// What the store does with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make a file or directory.
    Create,
    /// Open a file or directory.
    Open,
    /// Take the lock on the directory.
    Lock,
    /// List the directory.
    List,
    /// Read a file.
    Read,
    /// Write a file.
    Write,
    /// Reserve room for a file.
    Allocate,
    /// Make sure that a file or directory is on disk.
    Sync,
    /// Give a file its final name.
    Rename,
    /// Remove a file.
    Remove,
    /// Start the thread.
    StartThread,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::List => "list",
            Self::Read => "read",
            Self::Write => "write",
            Self::Allocate => "allocate",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::StartThread => "start the writer of",
        })
    }
}

/// A call on an open log failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// A write or sync failed, in this call or an earlier one. What is on disk is unknown from then on,
    /// so nothing is tried again.
    #[error("could not {operation} the log, which takes nothing more")]
    Failed {
        /// What failed first.
        operation: Operation,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// It was closed.
    #[error("the log is closed")]
    Closed,
    /// The entries don't follow the last one.
    #[error("entry {index} where {expected} must follow")]
    NotConsecutive {
        /// The index that must come next.
        expected: u64,
        /// The one that came.
        index: u64,
    },
    /// An entry is larger than any that the log takes.
    #[error("an entry of {bytes} bytes, and {bytes_max} are allowed")]
    EntryTooLarge {
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        bytes_max: u64,
    },
    /// An entry could not be read.
    #[error("could not read entry {index}")]
    Unreadable {
        /// Which.
        index: u64,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// An entry on disk isn't what was written.
    #[error("entry {index} is damaged on disk: replace the node")]
    Damaged {
        /// Which.
        index: u64,
    },
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        let kind = match &error {
            LogError::Failed { source, .. } | LogError::Unreadable { source, .. } => source.kind(),
            LogError::Closed => io::ErrorKind::BrokenPipe,
            LogError::NotConsecutive { .. } | LogError::EntryTooLarge { .. } => {
                io::ErrorKind::InvalidInput
            }
            LogError::Damaged { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
