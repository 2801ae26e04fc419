use serde_json::json;

use super::server::{TestServer, problem};

/// Whatever is wrong with a body is a problem document that names it.
#[tokio::test(flavor = "multi_thread")]
async fn bodies() {
    let server = TestServer::start(&["--body-bytes-max", "10000", "--code-bytes-max", "4000"]);
    for (content_type, body, status, code) in [
        ("application/json", "{\"code\": ", 400, "invalid_json"),
        ("application/json", "", 400, "invalid_json"),
        ("application/json", "{}", 400, "invalid_request"),
        ("application/json", "[]", 400, "invalid_request"),
        ("application/json", "{\"code\": 1}", 400, "invalid_request"),
        (
            "application/json",
            "{\"code\": \"1\", \"unknown\": 1}",
            400,
            "invalid_request",
        ),
        (
            "application/json",
            "{\"code\": \"1\", \"timeout_ms\": -1}",
            400,
            "invalid_request",
        ),
        (
            "application/json",
            "{\"code\": \"1\", \"language\": \"python\"}",
            400,
            "invalid_request",
        ),
        (
            "multipart/form-data; boundary=x",
            "--x--",
            415,
            "unsupported_media_type",
        ),
        ("image/png", "x", 415, "unsupported_media_type"),
        (
            "text/plain; charset=latin1",
            "1",
            415,
            "unsupported_media_type",
        ),
    ] {
        let request = server
            .post("/api/exec")
            .header("content-type", content_type);
        let response = request.body(body).send().await.expect("an answer");
        let (got, problem) = problem(response).await;
        assert_eq!(
            (got, &problem["code"]),
            (status, &json!(code)),
            "{content_type} {body}: {problem}"
        );
    }
    let (status, problem) = server.refused(json!({"code": "x".repeat(10_001)})).await;
    assert_eq!((status, &problem["code"]), (413, &json!("body_too_large")));
    let (_, problem) = server.refused(json!({"code": "1", "tiemout_ms": 5})).await;
    assert_eq!(problem["field"], "tiemout_ms");
    assert_eq!(server.run("1").await["result"], 1);
}

/// Bytes that are no UTF-8 are refused before they become code.
#[tokio::test(flavor = "multi_thread")]
async fn not_utf8() {
    let server = TestServer::start(&[]);
    let request = server
        .post("/api/exec")
        .header("content-type", "text/plain");
    let response = request
        .body(b"'\xff'".to_vec())
        .send()
        .await
        .expect("an answer");
    let (status, problem) = problem(response).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")));
}

/// Routes, ids and parameters that are not there.
#[tokio::test(flavor = "multi_thread")]
async fn routes() {
    let server = TestServer::start(&[]);
    let of_none = "/api/executions/e7-19a2b3c4d5e-00112233445566778899";
    for (path, status, code) in [
        ("/nothing", 404, "not_found"),
        ("/api/executions/nonsense", 404, "execution_not_found"),
        (of_none, 404, "execution_not_found"),
        ("/api/executions?limit=0", 400, "invalid_request"),
        ("/api/executions?limit=1001", 400, "invalid_request"),
        ("/api/executions?cursor=x", 400, "invalid_request"),
        ("/api/executions?status=x", 400, "invalid_request"),
        ("/api/executions?unknown=1", 400, "invalid_request"),
    ] {
        let response = server.get(path).send().await.expect("an answer");
        assert_eq!(response.status(), status, "{path}");
        let (got, problem) = problem(response).await;
        assert_eq!(
            (got, &problem["code"]),
            (status, &json!(code)),
            "{path}: {problem}"
        );
    }
    let id = server.run("1").await["execution_id"].take();
    let id = id.as_str().expect("an id");
    for query in [
        "?wait=-1",
        "?wait=61",
        "?wait=NaN",
        "/output?line_offset=0",
        "/output?line_limit=1&byte_limit=1",
    ] {
        let path = format!("/api/executions/{id}{query}");
        let (status, problem) = problem(server.get(&path).send().await.expect("an answer")).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("invalid_request")),
            "{path}"
        );
    }
    let response = server.get("/api/exec").send().await.expect("an answer");
    assert_eq!(response.headers()["allow"], "POST");
    let (status, problem) = problem(response).await;
    assert_eq!(
        (status, &problem["code"]),
        (405, &json!("method_not_allowed"))
    );
}

/// A page of another site can't use a visitor's own server, by its origin or by its name.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_origins() {
    let server = TestServer::start(&[
        "--allowed-hosts",
        "js.example.com",
        "--allowed-origins",
        "https://app.example.com",
    ]);
    for (header, value, code) in [
        ("host", "evil.example.com", Some("host_not_allowed")),
        ("host", "10.0.0.1", Some("host_not_allowed")),
        ("host", "js.example.com", None),
        ("host", "localhost:1", None),
        (
            "origin",
            "https://evil.example.com",
            Some("origin_not_allowed"),
        ),
        ("origin", "null", Some("origin_not_allowed")),
        ("origin", "https://app.example.com", None),
        ("origin", server.url.as_str(), None),
    ] {
        let request = server.post("/api/exec").header(header, value);
        let response = request
            .json(&json!({"code": "1"}))
            .send()
            .await
            .expect("an answer");
        match code {
            None => assert_eq!(response.status(), 200, "{header}: {value}"),
            Some(code) => {
                let (status, problem) = problem(response).await;
                assert_eq!(
                    (status, &problem["code"]),
                    (403, &json!(code)),
                    "{header}: {value}"
                );
            }
        }
    }
}
