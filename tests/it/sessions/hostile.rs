//! Code that means harm, in a session: what is killed has not happened, on disk neither.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{delete, get, node_in, post, run, said};
use crate::hostile::{ENDLESS, MEMORY, RESULTS, THROWN};
use crate::support::Node;

const LOOK: &str = "JSON.stringify([n, kept.map(x => x * 2), typeof own, [...new Set([3, 3])]])";
const SEEN: &str = "'[7,[2,4],\"function\",[3]]'";

async fn log(node: &Node) -> Value {
    get(node, "/api/sessions/main/log").await.1
}

/// A branch of the session, for what is not killed: it ends ordinarily, and what it did is kept there.
async fn in_a_branch(node: &Node, code: &str) -> Value {
    let fork = json!({"name": "branch", "from": "main"});
    assert_eq!(post(node, "/api/sessions", fork).await.0, 201);
    let body = json!({"code": code, "session": "branch", "timeout_ms": 2000});
    let (_, reply) = node.exec(body).await;
    assert_eq!(delete(node, "/api/sessions/branch").await, 204);
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_has_not_happened() {
    let directory = tempfile::tempdir().expect("a directory");
    let flags = ["--memory-mb", "384"];
    let node = node_in(directory.path(), &flags).await;
    let make = "var n = 7, kept = [1, 2]; let own = () => n; n";
    let heap = run(&node, "main", make).await["heap"].clone();
    let before = log(&node).await;
    let endless = ENDLESS.iter().map(|code| (*code, "timed_out", "timeout"));
    for (code, status, error) in endless.chain(MEMORY.iter().copied()) {
        // An ArrayBuffer that is refused is an error that is thrown: nothing is killed.
        if status == "failed" || error == "array_buffer_limit" {
            let reply = in_a_branch(&node, code).await;
            assert_eq!(reply["error"]["code"], error, "{code}: {reply}");
            continue;
        }
        // First it changes what there is.
        let spoils = format!("n = 8; kept.length = 0; own = null; Set = null;\n{code}");
        let mut body = json!({"code": spoils, "session": "main"});
        if status == "timed_out" {
            body["timeout_ms"] = json!(300);
        }
        let (_, reply) = node.exec(body).await;
        assert_eq!(reply["status"], status, "{code}: {reply}");
        assert_eq!(reply["error"]["code"], error, "{code}: {reply}");
        let (_, session) = get(&node, "/api/sessions/main").await;
        assert_eq!(session["heap"], heap, "{code}");
    }
    for code in RESULTS.iter().chain(THROWN) {
        let reply = in_a_branch(&node, code).await;
        let status = reply["status"].as_str();
        assert!(
            matches!(status, Some("completed" | "failed" | "timed_out")),
            "{code}: {reply}"
        );
    }
    assert_eq!(log(&node).await, before, "its history is what it was");
    assert_eq!(said(&node, "main", LOOK).await, SEEN);
    // What is on disk is the same: it is restored after the death of everything.
    node.signal(Signal::KILL);
    node.ended().await;
    let node = node_in(directory.path(), &flags).await;
    assert_eq!(said(&node, "main", LOOK).await, SEEN);
}
