use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use super::{LOOP, problem};
use crate::server::TestServer;

/// A full queue is refused at once, with the time to come back; what was refused did not run.
#[tokio::test]
async fn a_full_queue_is_a_429() {
    let server = TestServer::start(&["--runs-max", "1", "--runs-ready", "1", "--queue-max", "2"]);
    let runs = server.exec_async(LOOP).await;
    server.until_status(&runs, "running").await;
    let first = server.exec_async("1").await;
    let second = server.exec_async("2").await;
    let reply = server.post_json("/api/exec", &json!({"code": "3"})).await;
    assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = reply.headers()["retry-after"]
        .to_str()
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .expect("whole seconds");
    assert!((1..=60).contains(&seconds));
    let problem = problem(reply).await;
    assert_eq!(problem["code"], "queue_full");
    assert!(
        problem["retry_after_ms"]
            .as_u64()
            .is_some_and(|ms| ms <= seconds * 1000)
    );
    let (_, list) = server.status_and_json("/api/executions").await;
    assert_eq!(list["executions"].as_array().map(Vec::len), Some(3));

    // The queue is first come, first served.
    server
        .post_json(&format!("/api/executions/{runs}/cancel"), &json!({}))
        .await;
    let first = server.until_status(&first, "completed").await;
    let second = server.until_status(&second, "completed").await;
    assert!(first["started_at"].as_str() <= second["started_at"].as_str());
}

/// A flood of requests is answered in full: each with a result or with a refusal.
#[tokio::test]
async fn a_flood_is_answered() {
    let server = TestServer::start(&["--runs-max", "4", "--queue-max", "8"]);
    let replies = join_all((0..200).map(|number| {
        let server = &server;
        async move {
            let body = json!({"code": format!("{number} + 1")});
            let reply = server.post_json("/api/exec", &body).await;
            match reply.status() {
                StatusCode::OK => {
                    let body: serde_json::Value = reply.json().await.expect("JSON");
                    assert_eq!(body["result"], number + 1);
                    true
                }
                StatusCode::TOO_MANY_REQUESTS => false,
                other => panic!("{other}"),
            }
        }
    }))
    .await;
    assert!(replies.iter().any(|&ran| ran), "some ran");
    let reply = tokio::time::timeout(Duration::from_secs(10), server.exec(json!({"code": "5"})));
    assert_eq!(reply.await.expect("it still serves")["result"], 5);
}
