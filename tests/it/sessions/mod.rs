//! JavaScript worlds that stay: on one node, over its death, and on three.

mod bucket;
mod cluster;
mod damage;
mod diff;
mod durable;
mod engines;
mod garbage;
mod history;
mod hostile;
mod mcp;
#[path = "../../../src/workers/session/tests/programs.rs"]
mod programs;
mod transfer;
mod twins;
mod world;

pub use cluster::until_answered;
pub use programs::Random;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::{Node, program};

/// A node that keeps everything in a directory, also after its end.
async fn node_in(directory: &std::path::Path, flags: &[&str]) -> Node {
    let mut command = program();
    command.args(["--http-port", "0", "--directory-path"]);
    command.arg(directory).args(flags);
    Node::spawn(command, 1).await
}

/// Runs code in a session and gives what it said, which has to be its end.
async fn run(node: &Node, session: &str, code: &str) -> Value {
    let (status, reply) = node.exec(json!({"code": code, "session": session})).await;
    assert_eq!(status, StatusCode::OK, "{code}: {reply}");
    assert_eq!(reply["session"], session, "{reply}");
    reply
}

/// What it gave as its result, in words.
async fn said(node: &Node, session: &str, code: &str) -> String {
    let reply = run(node, session, code).await;
    reply["result_text"]
        .as_str()
        .unwrap_or_else(|| panic!("{code}: {reply}"))
        .to_owned()
}

async fn post(node: &Node, path: &str, body: Value) -> (StatusCode, Value) {
    let sent = Client::new().post(node.url(path)).json(&body).send().await;
    let reply = sent.expect("an answer");
    let status = reply.status();
    (status, reply.json().await.unwrap_or(Value::Null))
}

async fn delete(node: &Node, path: &str) -> StatusCode {
    let sent = Client::new().delete(node.url(path)).send().await;
    sent.expect("an answer").status()
}

async fn get(node: &Node, path: &str) -> (StatusCode, Value) {
    let reply = node.get(path).await;
    (reply.status(), reply.json().await.expect("JSON"))
}
