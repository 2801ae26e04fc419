use std::time::Duration;

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::problem;
use crate::server::{TestServer, wait_until};

/// `/health` has the form that load balancers are set up for, and tells more when asked.
#[tokio::test]
async fn health_and_figures() {
    let server = TestServer::start(&[]);
    let (status, health) = server.status_and_json("/health").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&health["status"], &health["service"]),
        (&json!("ok"), &json!("mcp-v8"))
    );
    assert_eq!(health["transport"], "http");
    assert_eq!(health["capabilities"], json!({"mcp": true}));
    assert!(health.get("sandbox").is_none());
    for query in ["?verbose", "?verbose=true"] {
        let (_, health) = server.status_and_json(&format!("/health{query}")).await;
        let layers = health["sandbox"]["layers"].as_array().expect("layers");
        assert!(layers.iter().any(|layer| layer["name"] == "seccomp"));
        assert_eq!(
            health["limits"]["timeout_ms"],
            json!({"default": 30_000, "max": 300_000})
        );
        assert!(health["sandbox"]["v8_version"].is_string());
    }

    server
        .exec(json!({"code": "console.log('12345'); 1"}))
        .await;
    server.exec(json!({"code": "throw 1"})).await;
    let reply = server
        .client
        .get(server.at("/metrics"))
        .send()
        .await
        .expect("a reply");
    assert!(
        reply.headers()["content-type"]
            .to_str()
            .is_ok_and(|kind| kind.starts_with("text/plain"))
    );
    let text = reply.text().await.expect("text");
    for line in [
        "mcp_v8_run_executions_total{status=\"completed\"} 1",
        "mcp_v8_run_executions_total{status=\"failed\"} 1",
        "mcp_v8_run_output_bytes_total 6",
        "mcp_v8_run_kept_executions 2",
        "mcp_v8_run_running_executions 0",
        "mcp_v8_http_requests_total{route=\"/api/exec\",status=\"200\"} 2",
        "mcp_v8_workers_zygote_starts_total 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
}

/// What no route answers is a problem too, and every reply has a request id.
#[tokio::test]
async fn wrong_routes_and_request_ids() {
    let server = TestServer::start(&[]);
    let reply = server
        .client
        .get(server.at("/api/nothing"))
        .send()
        .await
        .expect("a reply");
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    assert!(reply.headers().contains_key("x-request-id"));
    assert_eq!(problem(reply).await["code"], "not_found");
    let request = server
        .client
        .put(server.at("/api/exec"))
        .header("x-request-id", "mine-7");
    let reply = request.send().await.expect("a reply");
    assert_eq!(reply.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.headers()["allow"], "POST");
    assert_eq!(reply.headers()["x-request-id"], "mine-7");
    assert_eq!(problem(reply).await["code"], "method_not_allowed");
    let text = server
        .client
        .get(server.at("/"))
        .send()
        .await
        .expect("a reply");
    assert!(text.text().await.expect("text").contains("POST /api/exec"));
}

/// The description names every route that is served, in OpenAPI's own version.
#[tokio::test]
async fn the_description_is_served() {
    let server = TestServer::start(&[]);
    let (status, document) = server.status_and_json("/api/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    for (path, item) in paths {
        if item.get("get").is_some() && !path.contains('{') {
            let reply = server
                .client
                .get(server.at(path))
                .send()
                .await
                .expect("a reply");
            assert_eq!(reply.status(), StatusCode::OK, "{path}");
        }
    }
}

/// A node that is asked to stop ends what runs, takes nothing new, and ends well.
#[tokio::test]
async fn a_stop_waits_for_what_runs() {
    let mut server = TestServer::start(&["--drain-timeout-secs", "20"]);
    let code = "await new Promise(done => setTimeout(done, 1500)); 'done'";
    let body = json!({ "code": code });
    let reply = server.post_json("/api/exec", &body);
    let stop = async {
        let ten_secs = Duration::from_secs(10);
        wait_until("a run", ten_secs, async || {
            let path = "/api/executions?status=running";
            let (_, list) = server.status_and_json(path).await;
            list["executions"][0].is_object()
        })
        .await;
        server.signal(Signal::TERM);
        wait_until("not ready", ten_secs, async || {
            let ready = server.get("/readyz").send().await.expect("a reply");
            ready.status() == StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
        let refused = server.post_json("/api/exec", &json!({"code": "1"})).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(problem(refused).await["code"], "draining");
        let (status, health) = server.status_and_json("/health").await;
        assert_eq!(
            (status.as_u16(), &health["status"]),
            (503, &json!("draining"))
        );
    };
    let (reply, ()) = tokio::join!(reply, stop);
    let reply: Value = reply.json().await.expect("JSON");
    assert_eq!(
        (&reply["status"], &reply["result"]),
        (&json!("completed"), &json!("done"))
    );
    let end = server.ended(Duration::from_secs(30)).await;
    assert!(end.success(), "{end}");
}
