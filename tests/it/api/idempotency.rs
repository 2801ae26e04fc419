use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::problem;
use crate::server::TestServer;

async fn send(server: &TestServer, key: &str, code: &str) -> Response {
    let request = server.client.post(server.at("/api/exec"));
    let request = request
        .header("idempotency-key", key)
        .json(&json!({ "code": code }));
    request.send().await.expect("a reply")
}

/// A retry gets the stored reply; the code does not run again.
#[tokio::test]
async fn a_retry_gets_the_stored_reply() {
    let server = TestServer::start(&[]);
    let first = send(&server, "k1", "Math.random()").await;
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let first: Value = first.json().await.expect("JSON");
    let retry = send(&server, "\"k1\"", "Math.random()").await;
    assert_eq!(retry.headers()["idempotency-replayed"], "true");
    assert_eq!(retry.json::<Value>().await.expect("JSON"), first);
    let body = json!({"code": "Math.random()", "idempotency_key": "k1"});
    assert_eq!(server.exec(body).await, first);
    let other: Value = send(&server, "k2", "Math.random()")
        .await
        .json()
        .await
        .expect("JSON");
    assert_ne!(other["result"], first["result"]);
}

/// Another request under the same key is refused, and so are keys that are none.
#[tokio::test]
async fn another_request_under_the_key_is_refused() {
    let server = TestServer::start(&[]);
    send(&server, "k", "1").await;
    let reply = send(&server, "k", "2").await;
    assert_eq!(reply.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem(reply).await["code"], "idempotency_conflict");
    let body = json!({"code": "1", "heap_mb": 9, "idempotency_key": "k"});
    let reply = server.post_json("/api/exec", &body).await;
    assert_eq!(reply.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        problem(send(&server, "", "1").await).await["code"],
        "invalid_request"
    );
    let long = "k".repeat(256);
    assert_eq!(
        problem(send(&server, &long, "1").await).await["code"],
        "invalid_request"
    );
}

/// Retries that come while the first request still runs wait for the same execution.
#[tokio::test]
async fn retries_while_it_runs_share_the_execution() {
    let server = TestServer::start(&[]);
    let code = "await new Promise(done => setTimeout(done, 300)); Math.random()";
    let (a, b, c) = tokio::join!(
        send(&server, "k", code),
        send(&server, "k", code),
        send(&server, "k", code)
    );
    let mut replayed = 0;
    let mut results = Vec::new();
    for reply in [a, b, c] {
        assert_eq!(reply.status(), StatusCode::OK);
        replayed += usize::from(reply.headers().contains_key("idempotency-replayed"));
        results.push(reply.json::<Value>().await.expect("JSON"));
    }
    assert_eq!(replayed, 2);
    assert!(results[0] == results[1] && results[1] == results[2]);
    assert_eq!(results[0]["status"], "completed");
}
