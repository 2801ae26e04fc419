//! Tasks: one node as its users meet it (`api`, `times`), three of them that die (`cluster`), and agents (`mcp`).

mod api;
mod cluster;
mod command_line;
mod mcp;
mod times;

use reqwest::{Client, StatusCode};
use serde_json::Value;

/// Makes a task; the reply has to be this.
pub async fn create(url: &str, body: &Value, expected: StatusCode) -> Value {
    let request = Client::new().post(format!("{url}/api/tasks")).json(body);
    let reply = request.send().await.expect("the node answers");
    let status = reply.status();
    let reply: Value = reply.json().await.expect("JSON");
    assert_eq!(status, expected, "{body}: {reply}");
    reply
}

/// What a node tells.
pub async fn get(url: &str, path: &str) -> (StatusCode, Value) {
    let reply = Client::new().get(format!("{url}{path}")).send().await;
    let reply = reply.expect("the node answers");
    (reply.status(), reply.json().await.expect("JSON"))
}

/// The task after its end.
pub async fn ended(url: &str, task: &Value) -> Value {
    let id = task["task_id"].as_str().expect("an id");
    let (status, task) = get(url, &format!("/api/tasks/{id}?wait=60")).await;
    assert_eq!(status, StatusCode::OK, "{task}");
    assert!(task["finished_at"].is_string(), "it goes on: {task}");
    task
}
