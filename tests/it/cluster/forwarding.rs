//! Any node answers for an execution of any other; with the node the execution is lost, and that is told.

use futures::StreamExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;

async fn submit(fleet: &Fleet, index: usize, code: &str) -> String {
    let request = fleet.client.post(fleet.members[index].url("/api/exec"));
    let request = request
        .header("prefer", "respond-async")
        .json(&json!({ "code": code }));
    let reply = request.send().await.expect("an answer");
    assert_eq!(reply.status(), 202);
    let body: Value = reply.json().await.expect("JSON");
    body["execution_id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_answers_for_an_execution() {
    let fleet = Fleet::of_three().await;
    let id = submit(
        &fleet,
        0,
        "console.log('one'); console.warn('two'); ({a: [1, null]})",
    )
    .await;
    let of_itself = fleet.get(0, &format!("/api/executions/{id}?wait=10")).await;
    for index in 1..3 {
        assert_eq!(
            fleet
                .get(index, &format!("/api/executions/{id}?wait=10"))
                .await,
            of_itself
        );
        let (status, output) = fleet
            .get(index, &format!("/api/executions/{id}/output"))
            .await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(output["data"], "one\n[WARN] two\n");
        let url = fleet.members[index].url(&format!("/api/executions/{id}/events"));
        let events = fleet.client.get(url).send().await.expect("an answer");
        let events = events.text().await.expect("it ends");
        assert_eq!(events.matches("event: line").count(), 2, "{events}");
        assert_eq!(events.matches("event: end").count(), 1, "{events}");
        let (_, list) = fleet.get(index, "/api/executions?node=n1").await;
        assert_eq!(list["executions"][0]["execution_id"], id.as_str());
    }
    let (status, problem) = fleet.get(0, "/api/executions?node=nobody").await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (404, &json!("node_not_found"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_follows_and_stops_an_execution() {
    let fleet = Fleet::of_three().await;
    let id = submit(&fleet, 0, "console.log('on'); for (;;);").await;
    let url = fleet.members[1].url(&format!("/api/executions/{id}/events"));
    let events = fleet.client.get(url).send().await.expect("an answer");
    let mut events = events.bytes_stream();
    let first = events.next().await.expect("an event").expect("bytes");
    assert!(first.starts_with(b"event: line"), "{first:?}");
    let cancel = fleet.members[2].url(&format!("/api/executions/{id}/cancel"));
    let cancelled = fleet.client.post(cancel).send().await.expect("an answer");
    let cancelled: Value = cancelled.json().await.expect("JSON");
    assert_eq!(cancelled["status"], "cancelled");
    let mut rest = Vec::new();
    while let Some(bytes) = events.next().await {
        rest.extend(bytes.expect("bytes"));
    }
    assert!(String::from_utf8_lossy(&rest).contains("event: end"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_execution_is_lost_with_its_node() {
    let mut fleet = Fleet::of_three().await;
    let id = submit(&fleet, 0, "7").await;
    let path = format!("/api/executions/{id}");
    fleet.get(0, &format!("{path}?wait=10")).await;
    fleet.kill(0);
    // Until its lease is over it may only be slow.
    let (status, problem) = fleet.get(1, &path).await;
    assert!(
        (status.as_u16() == 503 && problem["code"] == "node_unreachable") || status.as_u16() == 410,
        "{status} {problem}"
    );
    wait_until("its life to be over", PATIENCE, async || {
        let (status, problem) = fleet.get(1, &path).await;
        status == StatusCode::GONE && problem["code"] == "execution_lost"
    })
    .await;
    // Its next life knows as well that it is lost.
    fleet.start(0).await;
    for index in 0..3 {
        let (status, problem) = fleet.get(index, &path).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (410, &json!("execution_lost"))
        );
    }
    let unknown = "/api/executions/e9-19a2b3c4d5e-00112233445566778899";
    assert_eq!(fleet.get(1, unknown).await.0, StatusCode::NOT_FOUND);
}
