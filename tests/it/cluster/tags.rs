//! Tags, as programs meet them over HTTP. One node is enough: `faults` has three.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{TestServer, problem};

async fn call(
    server: &TestServer,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = server
        .client
        .request(method, format!("{}{path}", server.url));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let reply = request.send().await.expect("an answer");
    if reply.status().is_success() {
        (reply.status().as_u16(), reply.json().await.expect("JSON"))
    } else {
        problem(reply).await
    }
}

#[tokio::test]
async fn tags_are_written_read_listed_and_removed() {
    let server = TestServer::start(&[]);
    let value = json!({"z": [1, null, "ü"], "a": 1.50});
    let (_, first) = call(
        &server,
        Method::PUT,
        "/api/tags/plan%2Fa",
        Some(json!({"value": value})),
    )
    .await;
    let (_, read) = call(&server, Method::GET, "/api/tags/plan%2Fa", None).await;
    assert_eq!((&read["name"], &read["value"]), (&json!("plan/a"), &value));
    assert_eq!(read["version"], first["version"]);
    for name in ["plan%2Fb", "plan%2Fc", "other"] {
        call(
            &server,
            Method::PUT,
            &format!("/api/tags/{name}"),
            Some(json!({"value": null})),
        )
        .await;
    }
    let (_, page) = call(
        &server,
        Method::GET,
        "/api/tags?prefix=plan%2F&limit=2",
        None,
    )
    .await;
    assert_eq!(page["tags"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["next_after"], "plan/b");
    let (_, rest) = call(
        &server,
        Method::GET,
        "/api/tags?prefix=plan%2F&after=plan%2Fb",
        None,
    )
    .await;
    assert_eq!(rest["tags"][0]["name"], "plan/c");
    assert!(rest.get("next_after").is_none());
    let (_, gone) = call(&server, Method::DELETE, "/api/tags/plan%2Fa", None).await;
    assert_eq!(gone["version"], first["version"]);
    for method in [Method::GET, Method::DELETE] {
        let (status, missing) = call(&server, method, "/api/tags/plan%2Fa", None).await;
        assert_eq!((status, &missing["code"]), (404, &json!("tag_not_found")));
    }
}

#[tokio::test]
async fn of_two_writers_that_have_read_the_same_one_succeeds() {
    let server = TestServer::start(&[]);
    let put = async |value: u64, version: u64| {
        let body = json!({"value": value, "if_version": version});
        call(&server, Method::PUT, "/api/tags/x", Some(body)).await
    };
    let (status, first) = put(1, 0).await;
    assert_eq!(status, 200);
    let version = first["version"].as_u64().expect("a number");
    let (status, taken) = put(2, 0).await;
    assert_eq!((status, &taken["code"]), (409, &json!("version_mismatch")));
    assert!(
        taken["detail"]
            .as_str()
            .is_some_and(|it| it.contains(&version.to_string()))
    );
    let (one, other) = tokio::join!(put(3, version), put(4, version));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let (status, _) = call(
        &server,
        Method::DELETE,
        &format!("/api/tags/x?if_version={version}"),
        None,
    )
    .await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn what_is_no_tag_is_refused() {
    let server = TestServer::start(&[]);
    let long = "n".repeat(257);
    let large = "x".repeat(65_535);
    for (path, body, status, code) in [
        (
            format!("/api/tags/{long}"),
            json!({"value": 1}),
            400,
            "invalid_request",
        ),
        (
            "/api/tags/a%00b".to_owned(),
            json!({"value": 1}),
            400,
            "invalid_request",
        ),
        (
            "/api/tags/x".to_owned(),
            json!({"value": large}),
            413,
            "tag_too_large",
        ),
        (
            "/api/tags/x".to_owned(),
            json!({"if_version": 1}),
            400,
            "invalid_request",
        ),
        (
            "/api/tags/x".to_owned(),
            json!({"value": 1, "ttl": 1}),
            400,
            "invalid_request",
        ),
        ("/api/tags/x".to_owned(), json!([1]), 400, "invalid_request"),
    ] {
        let (found, problem) = call(&server, Method::PUT, &path, Some(body)).await;
        assert_eq!(
            (found, problem["code"].as_str()),
            (status, Some(code)),
            "{path} {problem}"
        );
    }
    let fits = "x".repeat(65_534);
    let (status, _) = call(
        &server,
        Method::PUT,
        "/api/tags/x",
        Some(json!({"value": fits})),
    )
    .await;
    assert_eq!(status, 200);
    for query in ["limit=0", "limit=1001", "limit=x", "what=1"] {
        let (status, _) = call(&server, Method::GET, &format!("/api/tags?{query}"), None).await;
        assert_eq!(status, 400, "{query}");
    }
    let broken = server
        .client
        .put(format!("{}/api/tags/x", server.url))
        .body("{\"value\":");
    let (status, problem) = problem(broken.send().await.expect("an answer")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_json")));
}
