//! The HTTP API, over real connections to the real program.

mod cancel;
mod events;
mod exec;
mod executions;
mod guard;
mod idempotency;
mod operations;
mod output;
mod queue;

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::server::{TestServer, wait_until};

/// A script that never ends.
const LOOP: &str = "for (;;) {}";

impl TestServer {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn post_json(&self, path: &str, body: &Value) -> Response {
        let request = self.client.post(self.at(path)).json(body);
        request.send().await.expect("a reply")
    }

    /// Runs code without waiting, and gives its id.
    async fn exec_async(&self, code: &str) -> String {
        self.submit(json!({ "code": code })).await
    }

    async fn status_and_json(&self, path: &str) -> (StatusCode, Value) {
        let reply = self
            .client
            .get(self.at(path))
            .send()
            .await
            .expect("a reply");
        (reply.status(), reply.json().await.expect("JSON"))
    }

    async fn execution(&self, id: &str) -> Value {
        let (status, body) = self.status_and_json(&format!("/api/executions/{id}")).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    /// Waits until the execution stands so.
    async fn until_status(&self, id: &str, wanted: &str) -> Value {
        let mut execution = Value::Null;
        wait_until(wanted, Duration::from_secs(20), async || {
            execution = self.execution(id).await;
            execution["status"] == wanted
        })
        .await;
        execution
    }
}

/// The problem in a reply, after a look at its form.
async fn problem(reply: Response) -> Value {
    let (_, problem) = crate::server::problem(reply).await;
    let code = problem["code"].as_str().expect("a code");
    assert_eq!(problem["type"], format!("urn:mcp-v8:problem:{code}"));
    problem
}
