use serde_json::{Value, json};

use super::server::{TestServer, problem};

/// The body can be the source itself; then the content type tells the language and the query the
/// options.
#[tokio::test(flavor = "multi_thread")]
async fn source_bodies() {
    let server = TestServer::start(&[]);
    for (content_type, query, code, result) in [
        ("text/plain", "", "1 + 2", json!(3)),
        (
            "application/javascript",
            "",
            "[1].map(x => x + 1)",
            json!([2]),
        ),
        (
            "application/typescript",
            "",
            "enum E { A = 4 }\nE.A as number",
            json!(4),
        ),
        (
            "text/plain",
            "?input=%7B%22a%22%3A5%7D&timeout_ms=5000&heap_memory_max_mb=32",
            "input.a",
            json!(5),
        ),
        (
            "application/octet-stream",
            "?language=ts",
            "const x: number = 6; x",
            json!(6),
        ),
    ] {
        let request = server.post(&format!("/api/exec{query}"));
        let request = request.header("content-type", content_type).body(code);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{content_type}");
        let got: Value = response.json().await.expect("JSON");
        assert_eq!(got["result"], result, "{got}");
    }
}

/// An execution that is not waited for: where it is, that it runs, and its end.
#[tokio::test(flavor = "multi_thread")]
async fn respond_async() {
    let server = TestServer::start(&[]);
    let request = server.post("/api/exec").header("prefer", "respond-async");
    let body =
        json!({"code": "await new Promise(r => setTimeout(r, 300)); console.log('l'); 'late'"});
    let response = request.json(&body).send().await.expect("an answer");
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["preference-applied"], "respond-async");
    let location = response.headers()["location"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    let body: Value = response.json().await.expect("JSON");
    assert!(
        body["status"] == "queued" || body["status"] == "running",
        "{body}"
    );
    assert_eq!(
        location,
        format!(
            "/api/executions/{}",
            body["execution_id"].as_str().expect("an id")
        )
    );
    let got = server.get_json(&format!("{location}?wait=20")).await;
    assert_eq!(
        (&got["status"], &got["result"], &got["output"]),
        (&json!("completed"), &json!("late"), &json!("l\n"))
    );
    for field in ["created_at", "started_at", "finished_at"] {
        assert!(
            got[field].as_str().is_some_and(|time| time.ends_with('Z')),
            "{got}"
        );
    }
}

/// Pages of the list together have every execution once, the newest first.
#[tokio::test(flavor = "multi_thread")]
async fn list_pages() {
    let server = TestServer::start(&[]);
    let mut ids = Vec::new();
    for i in 0..7 {
        let got = server.run(if i % 2 == 0 { "1" } else { "throw 1" }).await;
        ids.insert(0, got["execution_id"].clone());
    }
    let (mut listed, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = server
            .get_json(&format!("/api/executions?limit=3{cursor}"))
            .await;
        let executions = page["executions"].as_array().expect("a list");
        listed.extend(
            executions
                .iter()
                .map(|execution| execution["execution_id"].clone()),
        );
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((listed, pages), (ids, 3));
    let failed = server.get_json("/api/executions?status=failed").await;
    assert_eq!(failed["executions"].as_array().map(Vec::len), Some(3));
}

/// Pages of the output by lines and by bytes put together are the output.
#[tokio::test(flavor = "multi_thread")]
async fn output_pages() {
    let server = TestServer::start(&[]);
    let got = server
        .run("for (let i = 1; i <= 250; i++) console.log('zeile ä ' + i)")
        .await;
    let path = format!(
        "/api/executions/{}/output",
        got["execution_id"].as_str().expect("an id")
    );
    for (first, limit, next) in [
        ("line_offset=1", "line_limit=60", "line_offset"),
        ("byte_offset=0", "byte_limit=333", "byte_offset"),
    ] {
        let (mut whole, mut from) = (String::new(), first.to_owned());
        loop {
            let page = server.get_json(&format!("{path}?{from}&{limit}")).await;
            assert_eq!(
                (&page["total_lines"], &page["total_bytes"]),
                (&json!(250), &got["output_bytes"])
            );
            whole += page["data"].as_str().expect("text");
            if page["has_more"] == false {
                break;
            }
            assert!(whole.len() < 10_000, "{page}");
            from = format!("{next}={}", page[format!("next_{next}")]);
        }
        assert_eq!(whole, got["output"].as_str().expect("text"), "{first}");
    }
}

/// A retry with the same key gets the execution that was; another request under it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn idempotency() {
    let server = TestServer::start(&[]);
    let body = json!({"code": "Math.random()", "idempotency_key": "k1"});
    let first = server.post_exec(&body).await;
    assert!(first.headers().get("idempotency-replayed").is_none());
    let first: Value = first.json().await.expect("JSON");
    let again = server.post_exec(&body).await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.json::<Value>().await.expect("JSON"), first);
    let request = server.post("/api/exec").header("idempotency-key", "k1");
    let by_header = request
        .json(&json!({"code": "Math.random()"}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        by_header.json::<Value>().await.expect("JSON")["execution_id"],
        first["execution_id"]
    );
    let other = server
        .post_exec(&json!({"code": "2", "idempotency_key": "k1"}))
        .await;
    let (status, problem) = problem(other).await;
    assert_eq!(
        (status, &problem["code"]),
        (422, &json!("idempotency_conflict"))
    );
}

/// What operators and their tools read.
#[tokio::test(flavor = "multi_thread")]
async fn operations() {
    let server = TestServer::start(&[]);
    server.run("1").await;
    server.run("throw 1").await;
    let health = server.get_json("/health").await;
    assert_eq!(
        (&health["status"], &health["transport"]),
        (&json!("ok"), &json!("http"))
    );
    assert_eq!(health["capabilities"]["mcp"], true);
    assert!(health["service"].is_string());
    for path in ["/livez", "/readyz", "/"] {
        assert_eq!(
            server.get(path).send().await.expect("an answer").status(),
            200
        );
    }
    let metrics = server.get("/metrics").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    for line in ["completed\"} 1", "failed\"} 1", "crashed\"} 0"] {
        assert!(
            metrics.contains(&format!("mcp_v8_run_executions_total{{status=\"{line}")),
            "{metrics}"
        );
    }
    let openapi = server.get_json("/api/openapi.json").await;
    assert!(openapi["paths"]["/api/exec"]["post"].is_object());
}
