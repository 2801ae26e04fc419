use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};

use super::server::{TestServer, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Reads events until one has this text.
async fn read_until(response: reqwest::Response, text: &str) -> String {
    let mut stream = response.bytes_stream();
    let mut seen = String::new();
    while !seen.contains(text) {
        let chunk = stream.next().await.expect("more to come").expect("bytes");
        seen += std::str::from_utf8(&chunk).expect("ASCII");
    }
    seen
}

/// Lines arrive while the run goes on; a reader that comes back goes on after its last one.
#[tokio::test(flavor = "multi_thread")]
async fn events() {
    let server = TestServer::start(&[]);
    let code =
        "console.log('one'); console.warn('two'); await new Promise(r => setTimeout(r, 60000))";
    let id = server
        .submit(json!({"code": code, "timeout_ms": 100_000}))
        .await;
    let path = format!("/api/executions/{id}/events");
    let response = server.get(&path).send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let seen = read_until(response, "two").await;
    assert!(
        seen.contains("event: line") && seen.contains("\"text\":\"one\""),
        "{seen}"
    );
    // They came before the end.
    assert_eq!(
        server.get_json(&format!("/api/executions/{id}")).await["status"],
        "running"
    );
    server
        .post(&format!("/api/executions/{id}/cancel"))
        .send()
        .await
        .expect("an answer");
    let again = server
        .get(&path)
        .header("last-event-id", "1")
        .send()
        .await
        .expect("an answer");
    let seen = again.text().await.expect("a whole answer");
    assert!(
        !seen.contains("\"one\"") && seen.contains("\"level\":\"warn\""),
        "{seen}"
    );
    assert!(
        seen.contains("event: end") && seen.contains("\"status\":\"cancelled\""),
        "{seen}"
    );
}

/// An endless loop stops soon after it is asked to; twice is no error.
#[tokio::test(flavor = "multi_thread")]
async fn cancel() {
    let server = TestServer::start(&[]);
    let id = server.submit_loop().await;
    let path = format!("/api/executions/{id}/cancel");
    let start = Instant::now();
    for _ in 0..2 {
        let response = server.post(&path).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
    }
    let got = server.wait(&id).await;
    let took = start.elapsed();
    println!("cancelled within {took:?}");
    assert_eq!(
        (&got["status"], &got["error"]["code"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert_eq!(got["output"], "on\n");
    assert!(took < Duration::from_secs(1), "{took:?}");
    wait_until("the process to end", SOON, async || {
        server.figures().await["running"] == 0
    })
    .await;
}

/// Who goes away is not run for, unless a key says that they come back.
#[tokio::test(flavor = "multi_thread")]
async fn disconnect() {
    let server = TestServer::start(&[]);
    for (key, status) in [(None, "cancelled"), (Some("again"), "completed")] {
        let mut body =
            json!({"code": "console.log('on'); await new Promise(r => setTimeout(r, 3000)); 1"});
        body["idempotency_key"] = json!(key);
        let gone = server
            .post("/api/exec")
            .json(&body)
            .timeout(Duration::from_millis(800));
        assert!(gone.send().await.expect_err("given up").is_timeout());
        let mut list = Value::Null;
        wait_until("the end of it", SOON, async || {
            list = server.get_json("/api/executions?limit=1").await["executions"][0].take();
            list["status"] != "running" && list["status"] != "queued"
        })
        .await;
        assert_eq!(list["status"], status, "{list}");
    }
}
