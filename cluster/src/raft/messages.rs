//! Raft's requests and replies between openraft's types and our messages; what they consist of is in
//! `convert`.

use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::ConvertError;
use crate::proto;
use crate::proto::append_reply::Outcome;
use crate::proto::transfer_leader_reply::Rejected;
use crate::types::{Entry, LogId, TypeConfig, Vote};

fn vote(
    vote: Option<proto::Vote>,
    message: &'static str,
    field: &'static str,
) -> Result<Vote, ConvertError> {
    vote.ok_or(ConvertError::Missing { message, field })?
        .try_into()
}

fn log_id(log_id: Option<proto::LogId>) -> Result<Option<LogId>, ConvertError> {
    log_id.map(LogId::try_from).transpose()
}

impl TryFrom<proto::AppendRequest> for AppendEntriesRequest<TypeConfig> {
    type Error = ConvertError;

    fn try_from(request: proto::AppendRequest) -> Result<Self, ConvertError> {
        Ok(Self {
            vote: vote(request.vote, "AppendRequest", "vote")?,
            prev_log_id: log_id(request.prev_log_id)?,
            entries: request
                .entries
                .into_iter()
                .map(Entry::try_from)
                .collect::<Result<_, _>>()?,
            leader_commit: log_id(request.leader_commit)?,
        })
    }
}

impl From<StreamAppendResult<TypeConfig>> for proto::AppendReply {
    fn from(result: StreamAppendResult<TypeConfig>) -> Self {
        let outcome = match result {
            Ok(matching) => Outcome::Matching(proto::Matching {
                log_id: matching.map(Into::into),
            }),
            Err(StreamAppendError::Conflict(at)) => Outcome::Conflict(at.into()),
            Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote.into()),
        };
        Self {
            outcome: Some(outcome),
        }
    }
}

/// What a follower answers to an append.
///
/// # Errors
/// The message is not what it should be.
pub(super) fn append_result(
    reply: proto::AppendReply,
) -> Result<StreamAppendResult<TypeConfig>, ConvertError> {
    let outcome = reply.outcome.ok_or(ConvertError::Missing {
        message: "AppendReply",
        field: "outcome",
    })?;
    Ok(match outcome {
        Outcome::Matching(matching) => Ok(log_id(matching.log_id)?),
        Outcome::Conflict(at) => Err(StreamAppendError::Conflict(at.try_into()?)),
        Outcome::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote.try_into()?)),
    })
}

impl From<VoteRequest<TypeConfig>> for proto::VoteRequest {
    fn from(request: VoteRequest<TypeConfig>) -> Self {
        Self {
            vote: Some(request.vote.into()),
            last_log_id: request.last_log_id.map(Into::into),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

impl TryFrom<proto::VoteRequest> for VoteRequest<TypeConfig> {
    type Error = ConvertError;

    fn try_from(request: proto::VoteRequest) -> Result<Self, ConvertError> {
        Ok(Self {
            vote: vote(request.vote, "VoteRequest", "vote")?,
            last_log_id: log_id(request.last_log_id)?,
            leadership_transfer: request.leadership_transfer,
        })
    }
}

impl From<VoteResponse<TypeConfig>> for proto::VoteReply {
    fn from(response: VoteResponse<TypeConfig>) -> Self {
        Self {
            vote: Some(response.vote.into()),
            granted: response.vote_granted,
            last_log_id: response.last_log_id.map(Into::into),
        }
    }
}

impl TryFrom<proto::VoteReply> for VoteResponse<TypeConfig> {
    type Error = ConvertError;

    fn try_from(reply: proto::VoteReply) -> Result<Self, ConvertError> {
        Ok(Self {
            vote: vote(reply.vote, "VoteReply", "vote")?,
            vote_granted: reply.granted,
            last_log_id: log_id(reply.last_log_id)?,
        })
    }
}

impl TryFrom<proto::SnapshotReply> for SnapshotResponse<TypeConfig> {
    type Error = ConvertError;

    fn try_from(reply: proto::SnapshotReply) -> Result<Self, ConvertError> {
        Ok(Self::new(vote(reply.vote, "SnapshotReply", "vote")?))
    }
}

impl From<TransferLeaderRequest<TypeConfig>> for proto::TransferLeaderRequest {
    fn from(request: TransferLeaderRequest<TypeConfig>) -> Self {
        Self {
            from_leader: Some(request.from_leader().into()),
            to_node: *request.to_node_id(),
            last_log_id: request.last_log_id().map(Into::into),
        }
    }
}

impl TryFrom<proto::TransferLeaderRequest> for TransferLeaderRequest<TypeConfig> {
    type Error = ConvertError;

    fn try_from(request: proto::TransferLeaderRequest) -> Result<Self, ConvertError> {
        Ok(Self::new(
            vote(request.from_leader, "TransferLeaderRequest", "from_leader")?,
            request.to_node,
            log_id(request.last_log_id)?,
        ))
    }
}

impl From<TransferLeaderResponse<TypeConfig>> for proto::TransferLeaderReply {
    fn from(response: TransferLeaderResponse<TypeConfig>) -> Self {
        let rejected = response.err().map(|error| match error {
            TransferLeaderError::VoteChanged { expected, actual } => {
                Rejected::VoteChanged(proto::VoteChanged {
                    expected: Some(expected.into()),
                    actual: Some(actual.into()),
                })
            }
            TransferLeaderError::LogNotFlushed { expected, actual } => {
                Rejected::LogNotFlushed(proto::LogNotFlushed {
                    expected: expected.map(Into::into),
                    actual: actual.map(Into::into),
                })
            }
        });
        Self { rejected }
    }
}

/// What the node that is to lead answers.
///
/// # Errors
/// The message is not what it should be.
pub(super) fn transfer_response(
    reply: proto::TransferLeaderReply,
) -> Result<TransferLeaderResponse<TypeConfig>, ConvertError> {
    Ok(match reply.rejected {
        None => Ok(()),
        Some(Rejected::VoteChanged(changed)) => Err(TransferLeaderError::VoteChanged {
            expected: vote(changed.expected, "VoteChanged", "expected")?,
            actual: vote(changed.actual, "VoteChanged", "actual")?,
        }),
        Some(Rejected::LogNotFlushed(behind)) => Err(TransferLeaderError::LogNotFlushed {
            expected: log_id(behind.expected)?,
            actual: log_id(behind.actual)?,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LeaderId;

    fn some_log_id(index: u64) -> LogId {
        LogId {
            leader_id: LeaderId {
                term: 3,
                node_id: 1,
            },
            index,
        }
    }

    #[test]
    fn replies_survive_the_wire() {
        let vote = Vote::new_committed(4, 2);
        for result in [
            Ok(None),
            Ok(Some(some_log_id(0))),
            Err(StreamAppendError::Conflict(some_log_id(8))),
            Err(StreamAppendError::HigherVote(vote)),
        ] {
            assert_eq!(append_result(result.clone().into()), Ok(result));
        }
        for response in [
            Ok(()),
            Err(TransferLeaderError::VoteChanged {
                expected: Vote::new(1, 1),
                actual: vote,
            }),
            Err(TransferLeaderError::LogNotFlushed {
                expected: Some(some_log_id(9)),
                actual: None,
            }),
        ] {
            assert_eq!(transfer_response(response.clone().into()), Ok(response));
        }
        let request = VoteRequest {
            vote,
            last_log_id: Some(some_log_id(7)),
            leadership_transfer: true,
        };
        let message = proto::VoteRequest::from(request.clone());
        assert_eq!(VoteRequest::try_from(message), Ok(request));
        let response = VoteResponse {
            vote,
            vote_granted: true,
            last_log_id: None,
        };
        let message = proto::VoteReply::from(response.clone());
        assert_eq!(VoteResponse::try_from(message), Ok(response));
    }

    #[test]
    fn an_empty_reply_is_no_answer() {
        assert_eq!(
            append_result(proto::AppendReply::default()),
            Err(ConvertError::Missing {
                message: "AppendReply",
                field: "outcome"
            })
        );
        assert!(VoteResponse::try_from(proto::VoteReply::default()).is_err());
    }
}
