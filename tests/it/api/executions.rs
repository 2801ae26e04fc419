use std::collections::HashSet;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use super::{LOOP, problem};
use crate::server::TestServer;

/// A caller that does not wait gets an id at once and the result when it asks.
#[tokio::test]
async fn respond_async_then_wait() {
    let server = TestServer::start(&[]);
    let request = server
        .client
        .post(server.at("/api/exec"))
        .header("prefer", "respond-async");
    let code = "await new Promise(done => setTimeout(done, 300)); 'late'";
    let reply = request
        .json(&json!({ "code": code }))
        .send()
        .await
        .expect("a reply");
    assert_eq!(reply.status(), StatusCode::ACCEPTED);
    assert_eq!(reply.headers()["preference-applied"], "respond-async");
    let location = reply.headers()["location"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    let body: serde_json::Value = reply.json().await.expect("JSON");
    assert_eq!(body["durable"], false);
    assert!(
        body["notice"]
            .as_str()
            .is_some_and(|notice| notice.contains("lost"))
    );
    assert_eq!(body["location"], location);

    let (_, now) = server.status_and_json(&location).await;
    assert!(
        now["status"] == "queued" || now["status"] == "running",
        "{now}"
    );
    let asked = Instant::now();
    let (_, end) = server.status_and_json(&format!("{location}?wait=10")).await;
    assert_eq!(
        (&end["status"], &end["result"]),
        (&json!("completed"), &json!("late"))
    );
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "the reply comes with the end"
    );
}

/// A wait that is over gives the execution as it stands; `wait` in `Prefer` does too.
#[tokio::test]
async fn a_wait_has_an_end() {
    let server = TestServer::start(&[]);
    let id = server.exec_async(LOOP).await;
    let (_, body) = server
        .status_and_json(&format!("/api/executions/{id}?wait=0.05"))
        .await;
    assert_eq!(body["status"], "running");
    let request = server.client.post(server.at("/api/exec"));
    let request = request.header("prefer", "respond-async, wait=5");
    let reply = request
        .json(&json!({"code": "1"}))
        .send()
        .await
        .expect("a reply");
    assert_eq!(reply.status(), StatusCode::OK);
    let reply = server
        .client
        .get(server.at(&format!("/api/executions/{id}?wait=61")));
    let problem = problem(reply.send().await.expect("a reply")).await;
    assert_eq!(problem["field"], "wait");
}

/// The list has everything once, newest first, page by page.
#[tokio::test]
async fn the_list_is_paged() {
    let server = TestServer::start(&[]);
    let mut ids = Vec::new();
    for number in 0..12 {
        let code = if number % 3 == 0 { "throw 1" } else { "1" };
        let reply = server.exec(json!({ "code": code })).await;
        ids.push(reply["execution_id"].as_str().expect("an id").to_owned());
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = server
            .status_and_json(&format!("/api/executions?limit=5{cursor}"))
            .await;
        let executions = page["executions"].as_array().expect("a list");
        assert!(executions.len() <= 5);
        for execution in executions {
            assert!(execution.get("output").is_none() && execution.get("result").is_none());
            seen.push(
                execution["execution_id"]
                    .as_str()
                    .expect("an id")
                    .to_owned(),
            );
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    let (_, failed) = server
        .status_and_json("/api/executions?status=failed")
        .await;
    assert_eq!(failed["executions"].as_array().map(Vec::len), Some(4));
    for wrong in ["limit=0", "limit=1001", "cursor=x", "status=odd", "page=2"] {
        let reply = server
            .client
            .get(server.at(&format!("/api/executions?{wrong}")));
        let problem = problem(reply.send().await.expect("a reply")).await;
        assert_eq!(problem["code"], "invalid_request", "{wrong}");
    }
}

/// Only so many are kept, and an id that is unknown, forgotten or malformed is a 404.
#[tokio::test]
async fn forgotten_executions_are_not_found() {
    let server = TestServer::start(&[
        "--runs-max",
        "1",
        "--queue-max",
        "1",
        "--executions-max",
        "3",
        "--runs-ready",
        "1",
    ]);
    let mut ids = Vec::new();
    for _ in 0..6 {
        let reply = server.exec(json!({"code": "1"})).await;
        ids.push(reply["execution_id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 6);
    let forgotten = ids[0].as_str();
    for id in [
        forgotten,
        "e7-1-00000000000000000000",
        "nonsense",
        "..%2F..%2Fetc",
    ] {
        for (method, path) in [
            ("GET", ""),
            ("GET", "/output"),
            ("GET", "/events"),
            ("POST", "/cancel"),
        ] {
            let url = server.at(&format!("/api/executions/{id}{path}"));
            let request = server
                .client
                .request(method.parse().expect("a method"), url);
            let reply = request.send().await.expect("a reply");
            assert_eq!(reply.status(), StatusCode::NOT_FOUND, "{id}{path}");
            assert_eq!(problem(reply).await["code"], "execution_not_found");
        }
    }
    assert_eq!(server.execution(&ids[5]).await["result"], 1);
}
