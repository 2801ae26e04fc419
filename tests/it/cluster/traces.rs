//! A request is one thing, on however many nodes: one id in their logs, one trace at the collector.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use serde_json::{Value, json};
use tonic::{Request, Response, Status};

use super::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;

/// What a collector has got.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[derive(Clone, Debug)]
struct Span {
    node: String,
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    execution: Option<String>,
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_node in request.into_inner().resource_spans {
            let resource = of_node.resource.unwrap_or_default();
            let node = text(&resource.attributes, "service.instance.id").unwrap_or_default();
            let spans = of_node
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            let spans = spans.map(|span| Span {
                node: node.clone(),
                execution: text(&span.attributes, "execution_id"),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
            });
            self.spans().extend(spans);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn spans(&self) -> std::sync::MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("bound");
        let serving = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .serve_with_incoming(futures::stream::unfold(listener, async |listener| {
                let accepted = listener.accept().await;
                Some((accepted.map(|(stream, _)| stream), listener))
            }));
        tokio::spawn(serving);
        address
    }

    /// The trace of an execution, once all of these are in it.
    async fn trace_of(&self, execution: &str, names: &[&str]) -> Vec<Span> {
        let mut found = Vec::new();
        wait_until("a whole trace", PATIENCE, async || {
            let spans = self.spans().clone();
            let of = |span: &&Span| span.execution.as_deref() == Some(execution);
            let Some(trace) = spans.iter().find(of).map(|span| span.trace.clone()) else {
                return false;
            };
            found = spans
                .into_iter()
                .filter(|span| span.trace == trace)
                .collect();
            names
                .iter()
                .all(|name| found.iter().any(|span| span.name == *name))
        })
        .await;
        found
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_followed_over_nodes() {
    let collector = Collector::default();
    let endpoint = format!("http://{}", collector.start().await);
    let mut fleet = Fleet::of_three_planned();
    for member in &mut fleet.members {
        let flags = ["--otlp-endpoint", &endpoint, "--log-format", "json"];
        member.flags.extend(flags.map(str::to_owned));
        let level = "info,mcp_v8=debug,rmcp=error,openraft=error".to_owned();
        member.environment.push(("RUST_LOG", level));
    }
    fleet.start_all().await;
    let exec = async |index: usize, id: &str| {
        let request = fleet.client.post(fleet.members[index].url("/api/exec"));
        let body = json!({"code": "globalThis.n = (globalThis.n ?? 0) + 1", "session": "s"});
        let reply = request.header("x-request-id", id).json(&body).send().await;
        let reply = reply.expect("an answer");
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["x-request-id"], id);
        reply.json::<Value>().await.expect("JSON")
    };
    exec(0, "first").await;
    let reply = exec(1, "asked-elsewhere").await;
    assert_eq!(reply["result"], 2);
    let execution = reply["execution_id"].as_str().expect("an id");

    // The collector: from the node that was asked to the one that ran it, and what that did.
    let names = ["POST /api/exec", "forwarded", "execution", "run", "commit"];
    let trace = collector.trace_of(execution, &names).await;
    let span = |name: &str| {
        let mut found = trace.iter().filter(|span| span.name == name);
        found
            .next()
            .unwrap_or_else(|| panic!("{name}: {trace:?}"))
            .clone()
    };
    let nodes: Vec<_> = names.map(|name| span(name).node).into();
    assert_eq!(nodes, ["n2", "n1", "n1", "n1", "n1"]);
    assert!(span(names[0]).parent.is_empty());
    for (parent, child) in [(0, 1), (1, 2), (2, 3), (2, 4)] {
        assert_eq!(
            span(names[child]).parent,
            span(names[parent]).id,
            "{}",
            names[child]
        );
    }

    // The logs: who looks for the id finds all of it, and by the execution's id whose it was.
    wait_until("both logs to tell of it", PATIENCE, async || {
        let has = |index: usize, message: &str| {
            let log = fleet.members[index].log();
            log.lines().any(|line| {
                line.contains("\"request_id\":\"asked-elsewhere\"") && line.contains(message)
            })
        };
        has(1, "\"message\":\"request\"") && has(0, &format!("\"execution_id\":\"{execution}\""))
    })
    .await;
}
