//! Executions of this node, asked for by other nodes.

use std::time::Duration;

use cluster::proto::forward_request::Call;
use cluster::proto::{FollowItem, FollowRequest, ForwardReply, ForwardRequest, forward_server};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status};

use super::status;
use crate::service::executions::Executions;
use crate::service::run::{Error, ExecutionId, Runs};
use crate::telemetry::Caller;

/// The longest that a request may wait.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The service of one node.
pub struct ForwardService {
    executions: Executions,
    runs: Runs,
}

impl ForwardService {
    /// On this node's own executions: nothing is passed on twice.
    pub fn new(executions: Executions) -> Self {
        let runs = executions.runs().clone();
        Self { executions, runs }
    }
}

impl ForwardService {
    async fn answer(&self, execution_id: &str, call: Call) -> Result<Vec<u8>, Status> {
        Ok(match call {
            Call::Get(get) => {
                let execution = self.runs.wait(&id(execution_id)?, wait(get.wait_ms)).await;
                json(&execution.map_err(failed)?)
            }
            Call::Output(output) => {
                let query = parsed(&output.query_json)?;
                let page = self.runs.output(&id(execution_id)?, query);
                json(&page.map_err(failed)?)
            }
            Call::Cancel(cancel) => {
                let id = id(execution_id)?;
                let status = self.runs.cancel_and_wait(&id, wait(cancel.wait_ms)).await;
                json(&status.map_err(failed)?)
            }
            Call::List(list) => json(&self.runs.list(parsed(&list.page_json)?)),
            Call::Execute(execute) => {
                let run = self.executions.execute_here(parsed(&execute.request_json)?);
                json(&run.await.map_err(failed)?)
            }
            Call::Submit(submit) => {
                let run = self.executions.submit_here(parsed(&submit.request_json)?);
                json(&run.await.map_err(failed)?)
            }
            Call::Ping(_) => Vec::new(),
        })
    }
}

#[tonic::async_trait]
impl forward_server::Forward for ForwardService {
    async fn call(
        &self,
        request: Request<ForwardRequest>,
    ) -> Result<Response<ForwardReply>, Status> {
        let caller = Caller::of(request.metadata().as_ref());
        let ForwardRequest { execution_id, call } = request.into_inner();
        let call = call.ok_or_else(|| Status::invalid_argument("no call is named"))?;
        // Pings are many, and nobody's.
        if matches!(call, Call::Ping(_)) {
            return Ok(Response::new(ForwardReply { json: Vec::new() }));
        }
        let span = tracing::debug_span!("forwarded", request_id = %caller.id, otel.kind = "server");
        let answered = caller.follow(span, Box::pin(self.answer(&execution_id, call)));
        Ok(Response::new(ForwardReply {
            json: answered.await?,
        }))
    }

    type FollowStream = BoxStream<'static, Result<FollowItem, Status>>;

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let FollowRequest {
            execution_id,
            after,
        } = request.into_inner();
        let events = self.runs.events_after(&id(&execution_id)?, after);
        let events = events.map_err(failed)?.map(|event| {
            Ok(FollowItem {
                event_json: json(&event),
            })
        });
        Ok(Response::new(events.boxed()))
    }
}

fn id(text: &str) -> Result<ExecutionId, Status> {
    text.parse()
        .map_err(|_| Status::invalid_argument("that is no id of an execution"))
}

fn wait(ms: u64) -> Duration {
    Duration::from_millis(ms).min(WAIT_MAX)
}

fn parsed<T: DeserializeOwned>(json: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(json).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data has a JSON form")
}

fn failed(error: Error) -> Status {
    status(error.code(), error.to_string())
}
