//! Asking the node that runs an execution.

use std::future::ready;
use std::time::Duration;

use cluster::node::Cluster;
use cluster::peers::{PeerChannel, Purpose};
use cluster::proto::forward_client::ForwardClient;
use cluster::proto::forward_request::Call;
use cluster::proto::{
    CancelExecution, FollowRequest, ForwardRequest, GetExecution, GetOutput, ListExecutions,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Code, Request, Status as GrpcStatus};

use crate::service::run::{
    Error, Event, Execution, ExecutionId, ExecutionList, ListPage, OutputPage, OutputQuery, Status,
};

/// The largest reply: result and output at the most that an operator may allow.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// How long the other node may take, beside what it was asked to wait.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Another node of the cluster.
pub(super) struct Remote {
    node: u64,
    client: ForwardClient<PeerChannel>,
}

impl Remote {
    /// The way to a node.
    pub fn to(cluster: &Cluster, node: u64) -> Result<Self, Error> {
        let channel = cluster.peers().channel(node, Purpose::Forward);
        let channel = channel.map_err(|_| Error::Unreachable { node })?;
        Ok(Self {
            node,
            client: ForwardClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX),
        })
    }

    pub async fn get(self, id: &ExecutionId, wait: Duration) -> Result<Execution, Error> {
        let wait_ms = ms(wait);
        self.call(Some(id), Call::Get(GetExecution { wait_ms }), wait)
            .await
    }

    pub async fn output(
        self,
        id: &ExecutionId,
        query: OutputQuery,
    ) -> Result<(OutputPage, Status), Error> {
        let query_json = json(&query);
        let call = Call::Output(GetOutput { query_json });
        self.call(Some(id), call, Duration::ZERO).await
    }

    pub async fn cancel(self, id: &ExecutionId, wait: Duration) -> Result<Status, Error> {
        let wait_ms = ms(wait);
        self.call(Some(id), Call::Cancel(CancelExecution { wait_ms }), wait)
            .await
    }

    pub async fn list(self, page: ListPage) -> Result<ExecutionList, Error> {
        let page_json = json(&page);
        let call = Call::List(ListExecutions { page_json });
        self.call(None, call, Duration::ZERO).await
    }

    pub async fn follow(
        mut self,
        id: &ExecutionId,
        after: u64,
    ) -> Result<BoxStream<'static, Event>, Error> {
        let request = FollowRequest {
            execution_id: id.to_string(),
            after,
        };
        let node = self.node;
        let opened = tokio::time::timeout(ANSWER_MAX, self.client.follow(request)).await;
        let opened = opened.map_err(|_| Error::Unreachable { node })?;
        let items = opened.map_err(|status| failed(node, Some(id), &status))?;
        let events = items.into_inner().map(move |item| {
            item.map_err(|status| {
                tracing::debug!(node, %status, "an execution is followed no more");
            })
            .ok()
            .and_then(|item| serde_json::from_slice(&item.event_json).ok())
        });
        let events = events
            .take_while(|event| ready(event.is_some()))
            .filter_map(ready);
        Ok(events.boxed())
    }

    async fn call<T: DeserializeOwned>(
        mut self,
        id: Option<&ExecutionId>,
        call: Call,
        wait: Duration,
    ) -> Result<T, Error> {
        let node = self.node;
        let mut request = Request::new(ForwardRequest {
            execution_id: id.map(ExecutionId::to_string).unwrap_or_default(),
            call: Some(call),
        });
        request.set_timeout(wait + ANSWER_MAX);
        let reply = self.client.call(request).await;
        let reply = reply.map_err(|status| failed(node, id, &status))?;
        serde_json::from_slice(&reply.into_inner().json).map_err(|error| {
            tracing::warn!(node, %error, "another node's answer is not understood");
            Error::Unreachable { node }
        })
    }
}

fn failed(node: u64, id: Option<&ExecutionId>, status: &GrpcStatus) -> Error {
    match (status.code(), id) {
        (Code::NotFound, Some(id)) => Error::NotFound { id: *id },
        _ => {
            tracing::debug!(node, %status, "another node does not answer for its execution");
            Error::Unreachable { node }
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data has a JSON form")
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
