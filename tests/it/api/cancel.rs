use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::LOOP;
use crate::server::{TestServer, wait_until};

async fn cancel(server: &TestServer, id: &str) -> Value {
    let path = format!("/api/executions/{id}/cancel");
    let reply = server.post_json(&path, &json!({})).await;
    assert_eq!(reply.status(), 200);
    reply.json().await.expect("JSON")
}

/// A loop that runs is stopped within 100 ms, and the reply has its end.
#[tokio::test]
async fn a_running_loop_is_stopped() {
    let server = TestServer::start(&[]);
    let id = server
        .exec_async(&format!("console.log('on'); {LOOP}"))
        .await;
    server.until_status(&id, "running").await;
    let asked = Instant::now();
    let reply = cancel(&server, &id).await;
    let took = asked.elapsed();
    assert_eq!(
        (&reply["ok"], &reply["status"]),
        (&json!(true), &json!("cancelled"))
    );
    assert!(took < Duration::from_millis(100), "it took {took:?}");
    assert_eq!(server.execution(&id).await["error"]["code"], "cancelled");
    // Again, and after the end: nothing changes.
    assert_eq!(cancel(&server, &id).await["status"], "cancelled");
    let done = server.exec(json!({"code": "1"})).await;
    let done = done["execution_id"].as_str().expect("an id");
    assert_eq!(cancel(&server, done).await["status"], "completed");
}

/// One that waits in the queue never runs.
#[tokio::test]
async fn a_waiting_execution_is_stopped_at_once() {
    let server = TestServer::start(&["--runs-max", "1", "--runs-ready", "1"]);
    let runs = server.exec_async(LOOP).await;
    server.until_status(&runs, "running").await;
    let waits = server.exec_async("1").await;
    assert_eq!(server.execution(&waits).await["status"], "queued");
    assert_eq!(cancel(&server, &waits).await["status"], "cancelled");
    assert!(server.execution(&waits).await.get("started_at").is_none());
    cancel(&server, &runs).await;
    assert_eq!(server.exec(json!({"code": "3"})).await["result"], 3);
}

async fn send_and_go(server: &TestServer, headers: &str) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!(
        "POST /api/exec HTTP/1.1\r\nHost: {address}\r\nContent-Type: text/plain\r\n{headers}\
         Content-Length: {}\r\n\r\n{LOOP}",
        LOOP.len()
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    stream
}

async fn only_running(server: &TestServer) -> String {
    let mut id = None;
    wait_until("a run", Duration::from_secs(20), async || {
        let path = "/api/executions?status=running";
        let (_, list) = server.status_and_json(path).await;
        id = list["executions"][0]["execution_id"]
            .as_str()
            .map(str::to_owned);
        id.is_some()
    })
    .await;
    id.expect("just seen")
}

/// A caller that goes away takes its execution with it, unless a retry may ask for it.
#[tokio::test]
async fn a_caller_that_goes_away_stops_its_execution() {
    let server = TestServer::start(&[]);
    let stream = send_and_go(&server, "").await;
    let id = only_running(&server).await;
    drop(stream);
    let execution = server.until_status(&id, "cancelled").await;
    assert_eq!(execution["error"]["code"], "cancelled");

    let stream = send_and_go(&server, "Idempotency-Key: k\r\n").await;
    let id = only_running(&server).await;
    drop(stream);
    let (_, body) = server
        .status_and_json(&format!("/api/executions/{id}?wait=0.3"))
        .await;
    assert_eq!(body["status"], "running", "a retry may ask for it");
    cancel(&server, &id).await;
}
