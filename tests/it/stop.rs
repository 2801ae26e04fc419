//! How a node ends: what runs may end first, within a deadline; nothing is left behind.

use std::time::Instant;

use reqwest::StatusCode;
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;

use crate::support::{Node, PATIENCE, wait_until};

/// Waits until so many executions run.
async fn running(node: &Node, count: u64) {
    wait_until("executions run", async || {
        node.health().await["executions"]["running"] == count
    })
    .await;
}

fn is_alive(pid: i64) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn asked_to_stop_it_lets_executions_end_and_takes_no_new_ones() {
    let node = Node::start(&[]).await;
    let long =
        node.exec(json!({"code": "await new Promise(done => setTimeout(done, 1500)); 'late'"}));
    let stop = async {
        running(&node, 1).await;
        node.signal(Signal::TERM);
        wait_until("not ready", async || {
            node.get("/readyz").await.status() == StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
        assert!(
            node.get("/livez").await.status().is_success(),
            "still alive"
        );
        let (status, problem) = node.exec(json!({"code": "1"})).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(problem["code"], "draining");
    };
    let ((status, execution), ()) = tokio::join!(long, stop);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(execution["result"], "late");
    let (code, log) = node.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn at_the_deadline_executions_are_stopped_and_their_callers_told() {
    let node = Node::start(&["--drain-timeout-secs", "1"]).await;
    let endless = node.exec(json!({"code": "console.log('begun'); for (;;);"}));
    let stop = async {
        running(&node, 1).await;
        node.signal(Signal::INT);
    };
    let ((status, execution), ()) = tokio::join!(endless, stop);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(execution["status"], "cancelled");
    assert_eq!(execution["output"], "begun\n");
    let (code, log) = node.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("cancelled=1"), "{log}");
}

#[tokio::test]
async fn asked_twice_it_ends_at_once() {
    let node = Node::start(&["--drain-timeout-secs", "600"]).await;
    let zygote = node.health().await["executions"]["zygote_pid"]
        .as_i64()
        .expect("there is one");
    let client = reqwest::Client::new();
    let endless = client
        .post(node.url("/api/exec"))
        .json(&json!({"code": "for (;;);", "timeout_ms": 60_000}))
        .send();
    let endless = tokio::spawn(endless);
    running(&node, 1).await;
    let started = Instant::now();
    node.signal(Signal::TERM);
    wait_until("not ready", async || {
        !node.get("/readyz").await.status().is_success()
    })
    .await;
    node.signal(Signal::TERM);
    let (code, log) = node.ended().await;
    assert_eq!(code, Some(130), "{log}");
    assert!(
        started.elapsed() < PATIENCE,
        "the deadline was not waited for"
    );
    assert!(
        endless.await.expect("no panic").is_err(),
        "the connection ended"
    );
    wait_until("the zygote is gone too", async || !is_alive(zygote)).await;
}

/// Nothing outlives a node that had no chance to clean up.
#[tokio::test]
async fn killed_it_takes_its_workers_along() {
    let node = Node::start(&[]).await;
    let zygote = node.health().await["executions"]["zygote_pid"]
        .as_i64()
        .expect("there is one");
    assert!(is_alive(zygote));
    node.signal(Signal::KILL);
    let (code, _) = node.ended().await;
    assert_eq!(code, None);
    wait_until("the zygote is gone", async || !is_alive(zygote)).await;
}
