//! The stream of writes from this node to the leader.
//!
//! One stream for each leader that is met, many writes on it at once; answers come in any order. When it
//! breaks, what was under way is unknown, and the proposer sends it again with the same number.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use crate::peers::{Peers, Purpose};
use crate::proto::{ProposeReply, ProposeRequest, peer_client::PeerClient, propose_reply};

/// Writes that wait to be put on the stream; more wait at the proposer.
const QUEUE: usize = 1024;

/// The sending end of a lane. The lane ends when it is dropped.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    queue: mpsc::Sender<Item>,
}

#[derive(Debug)]
struct Item {
    command: Bytes,
    deadline: Instant,
    answer: oneshot::Sender<Attempt>,
}

impl Lane {
    /// Opens a lane to a node; its loop ends with the lane, the connection, or the token.
    pub fn open(
        peers: Peers,
        node: u64,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, items) = mpsc::channel(QUEUE);
        let run = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = run(peers, node, items) => {}
            }
        };
        (Self { queue }, run)
    }

    /// The lane's loop has ended; another one has to be opened.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Sends a write and waits for what became of it.
    pub async fn send(&self, command: Bytes, deadline: Instant) -> Attempt {
        let (answer, answered) = oneshot::channel();
        if self
            .queue
            .send(Item {
                command,
                deadline,
                answer,
            })
            .await
            .is_err()
        {
            return Attempt::Unreachable;
        }
        // A lane that ends drops what it took: it may have sent it.
        answered.await.unwrap_or(Attempt::Unknown)
    }
}

async fn run(peers: Peers, node: u64, mut items: mpsc::Receiver<Item>) {
    let Ok(channel) = peers.channel(node, Purpose::Forward) else {
        return refuse(items);
    };
    let (requests, outbound) = mpsc::channel(QUEUE);
    let opened = PeerClient::new(channel)
        .propose(ReceiverStream::new(outbound))
        .await;
    let mut replies = match opened {
        Ok(response) => response.into_inner(),
        Err(status) => {
            tracing::debug!(node, %status, "the leader takes no writes");
            return refuse(items);
        }
    };
    let mut pending = HashMap::new();
    let mut next_id = 0_u64;
    loop {
        tokio::select! {
            item = items.recv() => {
                let Some(item) = item else { return };
                let now = Instant::now();
                let left = item.deadline.saturating_duration_since(now);
                next_id += 1;
                let request = ProposeRequest {
                    id: next_id,
                    command: item.command,
                    timeout_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
                };
                pending.insert(next_id, item.answer);
                if requests.send(request).await.is_err() {
                    return;
                }
            }
            reply = replies.next() => {
                let Some(Ok(reply)) = reply else { return };
                if let Some(answer) = pending.remove(&reply.id) {
                    // Whoever asked may have stopped waiting.
                    let _ = answer.send(attempt(reply));
                }
            }
        }
    }
}

/// Nothing was sent, so nothing of it can take effect.
fn refuse(mut items: mpsc::Receiver<Item>) {
    items.close();
    while let Ok(item) = items.try_recv() {
        let _ = item.answer.send(Attempt::Unreachable);
    }
}

fn attempt(reply: ProposeReply) -> Attempt {
    use propose_reply::Outcome;
    match reply.outcome {
        Some(Outcome::Proposed(proposed)) => match proposed.reply {
            Some(reply) => Attempt::Done {
                reply,
                index: proposed.index,
            },
            None => Attempt::Unknown,
        },
        Some(Outcome::NotLeader(_)) => Attempt::NotLeader,
        Some(Outcome::Overloaded(_)) => Attempt::Overloaded,
        Some(Outcome::DiskFull(_)) => Attempt::DiskFull,
        Some(Outcome::Unknown(_)) | None => Attempt::Unknown,
    }
}
