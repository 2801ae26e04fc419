//! What became of a write that was handed to one leader.

use openraft::errors::{ClientWriteError, RaftError};

use super::terms::{Fate, Terms};
use crate::command::Command;
use crate::proto::{self, propose_reply};
use crate::types::{Raft, TypeConfig};

/// What became of a write that was handed to one leader.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Committed and applied.
    Done {
        /// What `apply` answered.
        reply: proto::Reply,
        /// Where it stands in the log.
        index: u64,
    },
    /// Not appended: that node does not lead.
    NotLeader,
    /// Not sent.
    Unreachable,
    /// Not appended: too much is under way there.
    Overloaded,
    /// Not appended: there is no room for it.
    DiskFull,
    /// It may have been appended.
    Unknown,
}

impl Attempt {
    /// Writes through this node's own Raft.
    pub async fn here(raft: &Raft, terms: &Terms, command: Command) -> Self {
        let fate = terms.of(&command);
        if fate == Fate::NoRoom {
            return Self::DiskFull;
        }
        match raft.client_write(command).await {
            Ok(written) => {
                let index = written.log_id.index;
                if fate == Fate::Promised {
                    terms.kept_outside(index).await;
                }
                Self::Done {
                    index,
                    reply: written.data,
                }
            }
            Err(RaftError::APIError(error)) => Self::from_refusal(&error),
            // Raft is stopping: what it had taken may be on other nodes.
            Err(RaftError::Fatal(_)) => Self::Unknown,
        }
    }

    fn from_refusal(error: &ClientWriteError<TypeConfig>) -> Self {
        match error {
            ClientWriteError::ForwardToLeader(_) => Self::NotLeader,
            ClientWriteError::LogEntryDiscarded(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_) => Self::Unknown,
        }
    }

    /// As the leader answers another node.
    pub fn into_outcome(self) -> propose_reply::Outcome {
        use propose_reply::Outcome;
        match self {
            Self::Done { reply, index } => Outcome::Proposed(proto::Proposed {
                reply: Some(reply),
                index,
            }),
            Self::NotLeader | Self::Unreachable => Outcome::NotLeader(proto::NotLeader::default()),
            Self::Overloaded => Outcome::Overloaded(proto::Overloaded {}),
            Self::DiskFull => Outcome::DiskFull(proto::DiskFull {}),
            Self::Unknown => Outcome::Unknown(proto::Unknown {}),
        }
    }
}
