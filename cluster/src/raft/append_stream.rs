//! The leader's end of replication: requests go out ahead of their answers, on one stream.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use openraft::errors::RPCError;
use openraft::network::RPCTypes;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use prost::Message as _;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Streaming;

use super::messages::append_result;
use super::network::Network;
use crate::proto;
use crate::types::TypeConfig;

/// Where an append is cut in two, in bytes: far enough below the largest message for one more entry.
const APPEND_BYTES_MAX: usize = 8 << 20;

/// When the requests went out that have no answer yet, oldest first.
#[derive(Clone, Default)]
pub(super) struct Unanswered(Arc<Mutex<VecDeque<Instant>>>);

impl Unanswered {
    fn sent(&self) {
        self.lock().push_back(Instant::now());
    }

    fn answered(&self) {
        self.lock().pop_front();
    }

    fn oldest(&self) -> Option<Instant> {
        self.lock().front().copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// openraft's requests as messages.
pub(super) struct Requests<S> {
    input: S,
    // What remains of a request that was too large for one message.
    rest: VecDeque<proto::AppendRequest>,
    unanswered: Unanswered,
}

impl<S> Requests<S> {
    pub(super) fn new(input: S, unanswered: Unanswered) -> Self {
        Self {
            input,
            rest: VecDeque::new(),
            unanswered,
        }
    }
}

impl<S> Stream for Requests<S>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin,
{
    type Item = proto::AppendRequest;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<proto::AppendRequest>> {
        let message = match self.rest.pop_front() {
            Some(message) => message,
            None => match ready!(self.input.poll_next_unpin(context)) {
                Some(request) => cut(request, APPEND_BYTES_MAX, &mut self.rest),
                None => return Poll::Ready(None),
            },
        };
        self.unanswered.sent();
        Poll::Ready(Some(message))
    }
}

/// The first message of a request; the others go to `rest`. Each is a request of its own to the
/// follower, and openraft takes the answers as those to parts.
fn cut(
    request: AppendEntriesRequest<TypeConfig>,
    bytes_max: usize,
    rest: &mut VecDeque<proto::AppendRequest>,
) -> proto::AppendRequest {
    let mut part = proto::AppendRequest {
        vote: Some(request.vote.into()),
        prev_log_id: request.prev_log_id.map(Into::into),
        entries: Vec::with_capacity(request.entries.len()),
        leader_commit: request.leader_commit.map(Into::into),
    };
    let mut bytes = 0;
    for entry in request.entries {
        let entry = proto::Entry::from(entry);
        let size = entry.encoded_len();
        if bytes + size > bytes_max && !part.entries.is_empty() {
            let next = proto::AppendRequest {
                vote: part.vote,
                prev_log_id: part.entries.last().and_then(|entry| entry.log_id),
                entries: Vec::new(),
                leader_commit: part.leader_commit,
            };
            rest.push_back(std::mem::replace(&mut part, next));
            bytes = 0;
        }
        bytes += size;
        part.entries.push(entry);
    }
    rest.push_back(part);
    rest.pop_front().expect("the last part was just put there")
}

/// The answers, in the order of the requests; ends with the first error.
pub(super) struct Replies {
    network: Network,
    replies: Streaming<proto::AppendReply>,
    unanswered: Unanswered,
    timeout: Duration,
    // Rings at the earliest time at which the oldest request could be late, not for each request.
    timer: Pin<Box<Sleep>>,
    has_ended: bool,
}

impl Replies {
    pub(super) fn new(
        network: Network,
        replies: Streaming<proto::AppendReply>,
        unanswered: Unanswered,
        timeout: Duration,
    ) -> Self {
        Self {
            network,
            replies,
            unanswered,
            timeout,
            timer: Box::pin(sleep_until(Instant::now() + timeout)),
            has_ended: false,
        }
    }

    /// Ready when the oldest request is too old.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            let due = self.unanswered.oldest().unwrap_or(now) + self.timeout;
            if due <= now {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}

impl Stream for Replies {
    type Item = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.has_ended {
            return Poll::Ready(None);
        }
        let action = RPCTypes::AppendEntries;
        let item = match this.replies.poll_next_unpin(context) {
            Poll::Pending => {
                ready!(this.poll_late(context));
                Err(this.network.timeout(action, this.timeout).into())
            }
            Poll::Ready(None) => {
                this.has_ended = true;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(reply))) => {
                this.unanswered.answered();
                append_result(reply).map_err(|error| this.network.malformed(&error))
            }
            Poll::Ready(Some(Err(status))) => Err(this.network.failed(action, &status)),
        };
        this.has_ended = item.is_err();
        Poll::Ready(Some(item))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::command::Command;
    use crate::types::{Entry, EntryPayload, LeaderId, LogId, Vote};

    fn log_id(index: u64) -> LogId {
        LogId {
            leader_id: LeaderId {
                term: 1,
                node_id: 1,
            },
            index,
        }
    }

    #[test]
    fn a_large_append_is_cut_into_requests_that_follow_each_other() {
        let entries: Vec<Entry> = (5..15)
            .map(|index| Entry {
                log_id: log_id(index),
                payload: EntryPayload::Normal(Command::from_bytes(Bytes::from(vec![0; 1000]))),
            })
            .collect();
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: Some(log_id(4)),
            entries: entries.clone(),
            leader_commit: Some(log_id(3)),
        };
        let mut rest = VecDeque::new();
        // Three of them fit.
        let first = cut(request, 3500, &mut rest);
        let parts: Vec<_> = std::iter::once(first).chain(rest).collect();
        assert_eq!(
            parts
                .iter()
                .map(|part| part.entries.len())
                .collect::<Vec<_>>(),
            [3, 3, 3, 1]
        );
        let mut previous = Some(log_id(4));
        let mut together = Vec::new();
        for part in parts {
            let part = AppendEntriesRequest::try_from(part).unwrap();
            assert_eq!(part.prev_log_id, previous);
            assert_eq!(part.leader_commit, Some(log_id(3)));
            previous = part.entries.last().map(|entry| entry.log_id);
            together.extend(part.entries);
        }
        assert_eq!(together, entries);
    }

    #[test]
    fn an_empty_append_and_one_huge_entry_are_one_request() {
        let mut rest = VecDeque::new();
        let mut request = AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        assert!(cut(request.clone(), 10, &mut rest).entries.is_empty());
        request.entries.push(Entry {
            log_id: log_id(0),
            payload: EntryPayload::Normal(Command::from_bytes(Bytes::from(vec![0; 1000]))),
        });
        assert_eq!(cut(request, 10, &mut rest).entries.len(), 1);
        assert!(rest.is_empty());
    }
}
