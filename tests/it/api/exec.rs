use reqwest::StatusCode;
use serde_json::{Value, json};

use super::problem;
use crate::server::TestServer;

/// Code in, result out: what has JSON comes as JSON, everything comes as text.
#[tokio::test]
async fn results_in_both_forms() {
    let server = TestServer::start(&[]);
    let reply = server.exec(json!({"code": "1 + 2"})).await;
    assert_eq!(reply["status"], "completed");
    assert_eq!(
        (&reply["result"], &reply["result_text"]),
        (&json!(3), &json!("3"))
    );
    assert_eq!(reply["truncated"], false);
    assert!(reply["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    for time in ["created_at", "started_at", "finished_at"] {
        assert!(
            reply[time].as_str().is_some_and(|time| time.ends_with('Z')),
            "{time}"
        );
    }

    let reply = server.exec(json!({"code": "null"})).await;
    assert!(reply.as_object().expect("an object").contains_key("result"));
    assert_eq!(reply["result"], Value::Null);
    let reply = server.exec(json!({"code": "undefined"})).await;
    assert!(!reply.as_object().expect("an object").contains_key("result"));
    assert_eq!(reply["result_text"], "undefined");

    let input = json!({"a": [1, {"b": null}], "c": "\u{2028}é🦀"});
    let reply = server.exec(json!({"code": "input", "input": input})).await;
    assert_eq!(reply["result"], input);
    let reply = server
        .exec(json!({"code": "input === null", "input": null}))
        .await;
    assert_eq!(reply["result"], true);
    let reply = server.exec(json!({"code": "typeof input"})).await;
    assert_eq!(reply["result"], "undefined");
}

/// Source text as the body, its options in the query.
#[tokio::test]
async fn source_text_as_the_body() {
    let server = TestServer::start(&[]);
    let send = async |content_type: &str, query: &str, code: &str| -> Value {
        let request = server.client.post(server.at(&format!("/api/exec{query}")));
        let request = request
            .header("content-type", content_type)
            .body(code.to_owned());
        let reply = request.send().await.expect("a reply");
        assert_eq!(reply.status(), StatusCode::OK);
        reply.json().await.expect("JSON")
    };
    assert_eq!(send("text/plain", "", "6 * 7").await["result"], 42);
    assert_eq!(
        send("application/javascript", "?input=[1,2]", "input[1]").await["result"],
        2
    );
    let typed = "enum E { A = 4 } const e: E = E.A; e";
    assert_eq!(send("application/typescript", "", typed).await["result"], 4);
    assert_eq!(
        send("application/javascript", "", typed).await["error"]["code"],
        "syntax_error"
    );
    assert_eq!(send("text/plain", "", typed).await["result"], 4);
}

/// A script that fails is a finished execution with the place of its error.
#[tokio::test]
async fn a_failing_script_is_a_200() {
    let server = TestServer::start(&[]);
    let code = "console.log('before');\nthrow new TypeError('bad')";
    let reply = server.exec(json!({ "code": code })).await;
    assert_eq!(reply["status"], "failed");
    assert_eq!(reply["output"], "before\n");
    let error = &reply["error"];
    assert_eq!(error["code"], "script_error");
    assert_eq!(
        (&error["name"], &error["message"]),
        (&json!("TypeError"), &json!("bad"))
    );
    assert_eq!(error["line"], 2);

    let reply = server
        .exec(json!({"code": "for (;;) {}", "timeout_ms": 100}))
        .await;
    assert_eq!(
        (&reply["status"], &reply["error"]["code"]),
        (&json!("timed_out"), &json!("timeout"))
    );
    let hint = reply["error"]["hint"].as_str().expect("a hint");
    assert!(
        hint.contains("timeout_ms") && hint.contains("--timeout-secs-max"),
        "{hint}"
    );

    let code = "const a = []; for (;;) a.push(new Array(1000).fill(a.length + 0.5))";
    let reply = server
        .exec(json!({"code": code, "heap_memory_max_mb": 16}))
        .await;
    assert_eq!(reply["status"], "out_of_memory");
    assert_eq!(reply["error"]["code"], "heap_limit");
}

/// Requests that are refused say what is wrong and what to do, and nothing runs.
#[tokio::test]
async fn refused_requests_are_problems() {
    let server = TestServer::start(&["--code-bytes-max", "100", "--body-bytes-max", "1024"]);
    let send = async |content_type: &str, body: &str| -> Value {
        let request = server.client.post(server.at("/api/exec"));
        let request = request
            .header("content-type", content_type)
            .body(body.to_owned());
        problem(request.send().await.expect("a reply")).await
    };
    let json = "application/json";
    let problem = send(json, "{\"code\": \"1\",\n ]").await;
    assert_eq!(
        (&problem["code"], &problem["line"]),
        (&json!("invalid_json"), &json!(2))
    );
    let problem = send(json, r#"{"code": "1", "sesion": "x"}"#).await;
    assert_eq!(
        (&problem["code"], &problem["field"]),
        (&json!("invalid_request"), &json!("sesion"))
    );
    let problem = send(json, r#"{"code": "1", "heap_mb": 999999}"#).await;
    assert_eq!(
        (&problem["code"], &problem["field"]),
        (&json!("limit_too_large"), &json!("heap_mb"))
    );
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("512"))
    );
    let problem = send(json, r#"{"code": "1", "timeout_ms": 0}"#).await;
    assert_eq!(
        (&problem["code"], &problem["field"]),
        (&json!("invalid_request"), &json!("timeout_ms"))
    );
    let problem = send("text/plain", &"1".repeat(101)).await;
    assert_eq!(
        (&problem["code"], &problem["status"]),
        (&json!("code_too_large"), &json!(413))
    );
    let problem = send("text/plain", &"1".repeat(1025)).await;
    assert_eq!(
        (&problem["code"], &problem["status"]),
        (&json!("body_too_large"), &json!(413))
    );
    let problem = send("multipart/form-data; boundary=x", "1").await;
    assert_eq!(
        (&problem["code"], &problem["status"]),
        (&json!("unsupported_media_type"), &json!(415))
    );
    let problem = send("application/x-www-form-urlencoded", r#"{"code": "1"}"#).await;
    assert_eq!(problem["code"], "unsupported_media_type");

    let (_, list) = server.status_and_json("/api/executions").await;
    assert_eq!(list["executions"], json!([]));
}

/// A value over its limit is no result, a text over it is cut; either way the reply says so.
#[tokio::test]
async fn a_large_result_is_told() {
    let server = TestServer::start(&[]);
    let reply = server
        .exec(json!({"code": "'x'.repeat(5000)", "result_bytes": 1000}))
        .await;
    assert_eq!(reply["error"]["code"], "result_too_large");
    assert!(
        reply["error"]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("result_bytes"))
    );

    let code = "Symbol('x'.repeat(5000))";
    let reply = server
        .exec(json!({"code": code, "result_bytes": 1000}))
        .await;
    assert_eq!(
        (&reply["status"], &reply["truncated"]),
        (&json!("completed"), &json!(true))
    );
    assert_eq!(reply["result_truncated"], true);
    assert!(reply.get("result").is_none());
    assert!(
        reply["result_text"]
            .as_str()
            .is_some_and(|text| text.len() <= 1000)
    );
    assert!(reply["warnings"].to_string().contains("result_bytes"));
}
