//! Asking the node that runs an execution.

use std::future::ready;
use std::time::Duration;

use cluster::node::Cluster;
use cluster::peers::{PeerChannel, Purpose};
use cluster::proto::forward_client::ForwardClient;
use cluster::proto::forward_request::Call;
use cluster::proto::{
    CancelExecution, ExecuteInSession, FollowRequest, ForwardRequest, GetExecution, GetOutput,
    ListExecutions, Ping,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Code, Request, Status as GrpcStatus};

use crate::error_code::ErrorCode;
use crate::service::run::{
    Error, Event, Executed, Execution, ExecutionId, ExecutionList, ExecutionRequest, ListPage,
    OutputPage, OutputQuery, Status, Submitted,
};
use crate::telemetry::Caller;

/// The public code of an error stands in the metadata of its status under this name.
pub const CODE: &str = "mcp-v8-code";
/// The largest reply: result and output at the most that an operator may allow.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// A node that is silent for so long does not run its sessions: another one may.
const PING_MAX: Duration = Duration::from_millis(500);
/// The longest run, with its wait for its turn.
const RUN_MAX: Duration = Duration::from_secs(3600);
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

    /// Whether a node answers at all.
    pub async fn answers(cluster: &Cluster, node: u64) -> bool {
        let Ok(mut remote) = Self::to(cluster, node) else {
            return false;
        };
        let ping = remote.client.call(ForwardRequest {
            execution_id: String::new(),
            call: Some(Call::Ping(Ping {})),
        });
        let answered = tokio::time::timeout(PING_MAX, ping).await;
        answered.is_ok_and(|answer| answer.is_ok())
    }

    /// Runs in a session of that node.
    pub async fn execute(self, request: &ExecutionRequest) -> Result<Executed, Error> {
        let request_json = json(request);
        let call = Call::Execute(ExecuteInSession { request_json });
        self.ask(call, RUN_MAX).await
    }

    /// Queues up for a session of that node.
    pub async fn submit(self, request: &ExecutionRequest) -> Result<Submitted, Error> {
        let request_json = json(request);
        let call = Call::Submit(ExecuteInSession { request_json });
        self.ask(call, ANSWER_MAX).await
    }

    /// A call that does something: without an answer it is not known what.
    async fn ask<T: DeserializeOwned>(mut self, call: Call, wait: Duration) -> Result<T, Error> {
        let node = self.node;
        let mut request = Request::new(ForwardRequest {
            execution_id: String::new(),
            call: Some(call),
        });
        request.set_timeout(wait);
        Caller::tell(request.metadata_mut().as_mut());
        let reply = self.client.call(request).await;
        let reply = reply.map_err(|status| match told(&status) {
            Some(error) => error,
            None => {
                tracing::debug!(node, %status, "another node broke off");
                Error::BrokeOff { node }
            }
        })?;
        serde_json::from_slice(&reply.into_inner().json).map_err(|error| {
            tracing::warn!(node, %error, "another node's answer is not understood");
            Error::BrokeOff { node }
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

/// The error that the other node's service gave, if it was that that failed.
fn told(status: &GrpcStatus) -> Option<Error> {
    let code = status.metadata().get(CODE)?.to_str().ok()?;
    let code: ErrorCode = serde_json::from_value(code.into()).ok()?;
    Some(Error::Remote {
        code,
        detail: status.message().into(),
    })
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
