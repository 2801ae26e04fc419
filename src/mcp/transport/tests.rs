//! The transports over real connections, with a handler that does what a test says.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use reqwest::{RequestBuilder, Response, StatusCode};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities,
        ServerConfig,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;

/// What a test and the handler tell one another.
#[derive(Clone, Default)]
struct Signals {
    /// A call is there.
    called: Arc<Notify>,
    /// It may answer.
    answer: Arc<Notify>,
    /// It was given up.
    given_up: Arc<Notify>,
}

struct Handler(Signals);

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.0.called.notify_one();
        tokio::select! {
            () = self.0.answer.notified() => {
                Ok(CallToolResult::success(vec![ContentBlock::text("done")]).into())
            }
            () = context.ct.cancelled() => {
                self.0.given_up.notify_one();
                Err(ErrorData::internal_error("given up", None))
            }
        }
    }
}

struct Server {
    address: String,
    signals: Signals,
    options: TransportOptions,
    client: reqwest::Client,
}

impl Server {
    async fn start() -> Self {
        let options = TransportOptions {
            body_bytes_max: 10_000,
            quiet: Duration::from_millis(20),
            keep_alive: Duration::from_millis(20),
            sse_sessions_max: 2,
            shutdown: CancellationToken::new(),
        };
        let signals = Signals::default();
        let (one, other) = (signals.clone(), signals.clone());
        let router = streamable_router(move || Handler(one.clone()), options.clone()).merge(
            legacy_sse_router(move || Handler(other.clone()), options.clone()),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            signals,
            options,
            client: reqwest::Client::new(),
        }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client
            .post(format!("{}{path}", self.address))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
    }

    fn modern_call(&self) -> RequestBuilder {
        let call = json!({
            "jsonrpc": "2.0",
            "id": 7,
            "method": "tools/call",
            "params": { "name": "wait", "arguments": {}, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            } },
        });
        self.post("/mcp")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "wait")
            .body(call.to_string())
    }
}

async fn error_of(response: Response) -> (StatusCode, i64, Value) {
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    let code = body["error"]["code"].as_i64().unwrap();
    (status, code, body.get("id").cloned().unwrap_or_default())
}

/// The events of a stream as (name, data); comments are left out.
fn events(response: Response) -> impl Stream<Item = (String, String)> + Unpin {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let state = (response.bytes_stream().boxed(), String::new());
    Box::pin(futures::stream::unfold(
        state,
        |(mut chunks, mut text)| async move {
            loop {
                while let Some(end) = text.find("\n\n") {
                    let event: String = text.drain(..end + 2).collect();
                    let field = |name: &str| {
                        let mut lines = event.lines();
                        lines
                            .find_map(|line| line.strip_prefix(name))
                            .map(|value| value.trim().to_owned())
                    };
                    if let Some(data) = field("data:") {
                        let event = (field("event:").unwrap_or_default(), data);
                        return Some((event, (chunks, text)));
                    }
                }
                let chunk = chunks.next().await?.ok()?;
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        },
    ))
}

#[tokio::test]
async fn what_is_no_message_gets_a_json_rpc_error() {
    let server = Server::start().await;
    let large = format!("{{\"jsonrpc\":\"2.0\",\"x\":\"{}\"}}", "x".repeat(10_000));
    for (body, status, code, id) in [
        ("{\"jsonrpc\"", 400, -32700, Value::Null),
        (
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
            400,
            -32600,
            Value::Null,
        ),
        (
            "{\"jsonrpc\":\"1.0\",\"id\":5,\"method\":\"ping\"}",
            400,
            -32600,
            json!(5),
        ),
        (large.as_str(), 413, -32600, Value::Null),
    ] {
        let response = server
            .post("/mcp")
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        let seen = error_of(response).await;
        assert_eq!(
            (seen.0.as_u16(), seen.1, seen.2),
            (status, code, id),
            "{body:.40}"
        );
    }
    let text = server.client.post(format!("{}/mcp", server.address));
    let text = text
        .header("accept", "application/json, text/event-stream")
        .body("{}");
    assert_eq!(text.send().await.unwrap().status(), 415);
    let get = server.client.get(format!("{}/mcp", server.address));
    assert_eq!(get.send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_silent_call_of_the_newest_version_is_kept_alive_and_answered() {
    let server = Server::start().await;
    let response = server.modern_call().send().await.unwrap();
    server.signals.called.notified().await;
    assert_eq!(response.status(), 200);
    let mut chunks = response.bytes_stream();
    for _ in 0..3 {
        assert_eq!(chunks.next().await.unwrap().unwrap(), ": keep-alive\n\n");
    }
    server.signals.answer.notify_one();
    let mut text = String::new();
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data:"))
        .unwrap();
    let reply: Value = serde_json::from_str(data).unwrap();
    assert_eq!(reply["id"], 7);
    assert_eq!(reply["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn hanging_up_cancels_the_call_before_and_after_the_first_byte() {
    let server = Server::start().await;
    let response = server.modern_call().send().await.unwrap();
    server.signals.called.notified().await;
    let mut chunks = response.bytes_stream();
    assert!(chunks.next().await.is_some());
    drop(chunks);
    server.signals.given_up.notified().await;

    let sent = tokio::spawn(server.modern_call().send());
    server.signals.called.notified().await;
    sent.abort();
    server.signals.given_up.notified().await;
}

#[tokio::test]
async fn a_client_of_an_older_version_takes_a_call_back() {
    let server = Server::start().await;
    let initialize = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let initialized = server
        .post("/mcp")
        .body(initialize.to_string())
        .send()
        .await
        .unwrap();
    let session = initialized.headers()["mcp-session-id"].clone();
    let post = |body: &'static str| {
        let request = server.post("/mcp").header("mcp-session-id", &session);
        request
            .header("mcp-protocol-version", "2025-06-18")
            .body(body)
            .send()
    };
    let call = r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"wait"}}"#;
    let reply = post(call).await.unwrap();
    server.signals.called.notified().await;
    let cancel =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#;
    // Another client's call of the same id is another call.
    let stranger = server
        .post("/mcp")
        .header("mcp-session-id", "other")
        .body(cancel);
    assert_eq!(stranger.send().await.unwrap().status(), 202);
    assert_eq!(post(cancel).await.unwrap().status(), 202);
    server.signals.given_up.notified().await;
    assert!(!reply.text().await.unwrap().contains("result"));
    // No request needs the name.
    let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    assert_eq!(
        server
            .post("/mcp")
            .body(ping)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_session_of_the_legacy_transport_lives_as_long_as_its_stream() {
    let server = Server::start().await;
    let open = || server.client.get(format!("{}/sse", server.address)).send();
    let mut stream = events(open().await.unwrap());
    let (name, endpoint) = stream.next().await.unwrap();
    assert_eq!(name, "endpoint");
    assert!(endpoint.starts_with("/message?sessionId="), "{endpoint}");

    let initialize = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2024-11-05",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let sent = server
        .post(&endpoint)
        .body(initialize.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 202);
    let (name, data) = stream.next().await.unwrap();
    let reply: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(name, "message");
    assert_eq!(reply["result"]["protocolVersion"], "2024-11-05");

    let broken = server.post(&endpoint).body("{").send().await.unwrap();
    assert_eq!(error_of(broken).await.1, -32700);
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"wait"}}"#;
    let sent = server.post(&endpoint).body(call).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    server.signals.called.notified().await;

    // Two streams are the most here; the third is told to come back.
    let second = open().await.unwrap();
    let third = open().await.unwrap();
    assert_eq!(third.status(), 503);
    assert!(third.headers().contains_key("retry-after"));
    drop(second);

    // The stream ends: its call is given up and its address is gone.
    drop(stream);
    server.signals.given_up.notified().await;
    let late = server.post(&endpoint).body(call).send().await.unwrap();
    assert_eq!(late.status(), 404);
    let unknown = server
        .post("/message?sessionId=00")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 404);
    let missing = server.post("/message").body("{}").send().await.unwrap();
    assert_eq!(missing.status(), 400);
}

#[tokio::test]
async fn stopping_ends_streams_and_calls() {
    let server = Server::start().await;
    let url = format!("{}/sse", server.address);
    let mut stream = events(server.client.get(url).send().await.unwrap());
    assert_eq!(stream.next().await.unwrap().0, "endpoint");
    let response = server.modern_call().send().await.unwrap();
    server.signals.called.notified().await;
    server.options.shutdown.cancel();
    assert_eq!(stream.next().await, None);
    server.signals.given_up.notified().await;
    let text = response.text().await.unwrap();
    assert!(
        text.contains("\"id\":7") && text.contains("-32603"),
        "{text}"
    );
}
