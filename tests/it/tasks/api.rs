//! What is asked of tasks, and what is refused.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{create, ended, get};
use crate::server::wait_until;
use crate::support::{Node, PATIENCE};

const CREATED: StatusCode = StatusCode::CREATED;

async fn post(node: &Node, path: &str) -> (StatusCode, Value) {
    let reply = Client::new().post(node.url(path)).send().await;
    let reply = reply.expect("the node answers");
    (reply.status(), reply.json().await.expect("JSON"))
}

async fn delete(node: &Node, path: &str) -> StatusCode {
    let reply = Client::new().delete(node.url(path)).send().await;
    reply.expect("the node answers").status()
}

#[tokio::test]
async fn a_task_is_made_runs_and_is_remembered() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let body = json!({
        "code": "console.log('at it'); input.n * 2",
        "input": {"n": 21},
        "labels": {"team": "a"},
    });
    let made = create(&url, &body, CREATED).await;
    assert_eq!(made["labels"]["team"], "a");
    let task = ended(&url, &made).await;
    assert_eq!(task["status"], "succeeded", "{task}");
    assert_eq!(task["report"]["result"], 42);
    assert_eq!(task["report"]["output"], "at it\n");
    assert_eq!(
        (&task["attempts"], &task["failures"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(task["code"], body["code"]);
    let id = task["task_id"].as_str().expect("an id").to_owned();
    let (_, log) = get(&url, &format!("/api/tasks/{id}/log")).await;
    assert_eq!(log["data"], "at it\n", "{log}");

    // Others beside it, and each is found by what it was given.
    for team in ["b", "b", "a"] {
        let body = json!({"code": "1", "labels": {"team": team}, "session": team});
        ended(&url, &create(&url, &body, CREATED).await).await;
    }
    let ids = async |query: &str| {
        let (status, page) = get(&url, &format!("/api/tasks?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let tasks = page["tasks"].as_array().expect("a list").clone();
        (tasks.len(), page)
    };
    assert_eq!(ids("").await.0, 4);
    assert_eq!(ids("labels=team%3Da").await.0, 2);
    assert_eq!(ids("labels=team%3Db&session=b&status=succeeded").await.0, 2);
    assert_eq!(ids("status=failed").await.0, 0);
    let (count, page) = ids("limit=3").await;
    assert_eq!((count, &page["tasks"][0]["session"]), (3, &json!("a")));
    let cursor = page["next_cursor"].as_str().expect("more");
    let (count, page) = ids(&format!("limit=3&cursor={cursor}")).await;
    assert_eq!(
        (count, &page["tasks"][0]["task_id"]),
        (1, &json!(id)),
        "{page}"
    );

    assert_eq!(delete(&node, &format!("/api/tasks/{id}")).await, 204);
    let (status, gone) = get(&url, &format!("/api/tasks/{id}")).await;
    assert_eq!(
        (status.as_u16(), &gone["code"]),
        (404, &json!("task_not_found"))
    );
}

#[tokio::test]
async fn what_is_no_task_is_refused_with_the_field() {
    let node = Node::start(&["--tasks-live-max", "2"]).await;
    let url = node.url("");
    let labels: serde_json::Map<_, _> = (0..17).map(|n| (format!("l{n}"), json!("x"))).collect();
    for (body, code, field) in [
        (json!({"code": ""}), "invalid_request", "code"),
        (
            json!({"code": "1", "retries": 101}),
            "invalid_request",
            "retries",
        ),
        (
            json!({"code": "1", "cron": "* * *"}),
            "invalid_request",
            "cron",
        ),
        (
            json!({"code": "1", "cron": "0 0 30 2 *"}),
            "invalid_request",
            "cron",
        ),
        (
            json!({"code": "1", "cron": "* * * * *", "time_zone": "Mars/Olympus"}),
            "invalid_request",
            "time_zone",
        ),
        (
            json!({"code": "1", "run_at": "tomorrow"}),
            "invalid_request",
            "run_at",
        ),
        (
            json!({"code": "1", "run_at": "9999-01-01T00:00:00Z"}),
            "invalid_request",
            "run_at",
        ),
        (
            json!({"code": "1", "delay_ms": 1, "cron": "* * * * *"}),
            "invalid_request",
            "delay_ms",
        ),
        (
            json!({"code": "1", "late_ms_max": 1}),
            "invalid_request",
            "late_ms_max",
        ),
        (
            json!({"code": "1", "labels": labels}),
            "invalid_request",
            "labels",
        ),
        (
            json!({"code": "1", "session": ""}),
            "invalid_request",
            "session",
        ),
        (
            json!({"code": "1", "heap": "ab"}),
            "invalid_request",
            "heap",
        ),
        (
            json!({"code": "1", "heap_mb": 99_999_999}),
            "limit_too_large",
            "heap_mb",
        ),
        (
            json!({"code": "1", "idempotency_key": ""}),
            "invalid_request",
            "idempotency_key",
        ),
    ] {
        let problem = create(&url, &body, StatusCode::BAD_REQUEST).await;
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&json!(code), &json!(field)),
            "{problem}"
        );
    }
    for (path, status) in [
        ("/api/tasks/x", 404),
        ("/api/tasks/00000000000000000000000000000000", 404),
        ("/api/tasks?limit=0", 400),
        ("/api/tasks?cursor=x", 400),
        ("/api/tasks?labels=x", 400),
        ("/api/tasks?status=x", 400),
    ] {
        assert_eq!(get(&url, path).await.0.as_u16(), status, "{path}");
    }
    // There may be two that have not ended.
    let later = json!({"code": "1", "delay_ms": 3_600_000});
    let first = create(&url, &later, CREATED).await;
    create(&url, &later, CREATED).await;
    let problem = create(&url, &later, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(problem["code"], "too_many_tasks");
    assert!(problem["retry_after_ms"].is_number());
    let id = first["task_id"].as_str().expect("an id");
    assert_eq!(delete(&node, &format!("/api/tasks/{id}")).await, 409);
    let (status, cancelled) = post(&node, &format!("/api/tasks/{id}/cancel")).await;
    assert_eq!(
        (status.as_u16(), &cancelled["status"]),
        (200, &json!("cancelled"))
    );
    create(&url, &later, CREATED).await;
}

#[tokio::test]
async fn one_key_makes_one_task() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let body = json!({"code": "1", "delay_ms": 5, "idempotency_key": "k"});
    let first = create(&url, &body, CREATED).await;
    let again = create(&url, &body, StatusCode::OK).await;
    assert_eq!(first["task_id"], again["task_id"]);
    let other = json!({"code": "2", "idempotency_key": "k"});
    let problem = create(&url, &other, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem["code"], "idempotency_conflict");
    // Also after its end.
    ended(&url, &first).await;
    let again = create(&url, &body, StatusCode::OK).await;
    assert_eq!(again["status"], "succeeded");
}

#[tokio::test]
async fn errors_are_tried_again_and_what_cannot_succeed_is_not() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let body = json!({"code": "throw new Error('no')", "retries": 2, "backoff_ms": 10});
    let task = ended(&url, &create(&url, &body, CREATED).await).await;
    assert_eq!(task["status"], "failed", "{task}");
    assert_eq!(
        (&task["attempts"], &task["failures"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(task["report"]["error"]["message"], "no");
    // In a session each attempt is part of the history, and the third of these succeeds.
    let code = "globalThis.n = (globalThis.n ?? 0) + 1; if (n < 3) throw new Error('not yet'); n";
    let body = json!({"code": code, "session": "s", "retries": 5, "backoff_ms": 10});
    let task = ended(&url, &create(&url, &body, CREATED).await).await;
    assert_eq!(
        (&task["status"], &task["report"]["result"]),
        (&json!("succeeded"), &json!(3))
    );
    let (_, session) = get(&url, "/api/sessions/s").await;
    assert_eq!(
        (&session["commits"], &session["heap"]),
        (&json!(3), &task["heap"])
    );
    let body = json!({"code": "no code (", "retries": 5});
    let task = ended(&url, &create(&url, &body, CREATED).await).await;
    assert_eq!(
        (&task["status"], &task["attempts"]),
        (&json!("failed"), &json!(1))
    );
    assert_eq!(task["report"]["error"]["code"], "syntax_error");
    let body = json!({"code": "for (;;);", "timeout_ms": 100});
    let task = ended(&url, &create(&url, &body, CREATED).await).await;
    assert_eq!(
        (&task["status"], &task["report"]["status"]),
        (&json!("failed"), &json!("timed_out"))
    );
}

#[tokio::test]
async fn what_is_long_comes_and_goes_whole() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let padding = "x".repeat(40_000);
    for session in [None, Some("s")] {
        let mut body = json!({
            "code": format!("/* {padding} */ console.log(input.text); input.text"),
            "input": {"text": "y".repeat(60_000)},
        });
        if let Some(session) = session {
            body["session"] = json!(session);
        }
        let task = ended(&url, &create(&url, &body, CREATED).await).await;
        assert_eq!(task["status"], "succeeded", "{}", task["report"]["error"]);
        assert_eq!(task["code"], body["code"]);
        assert_eq!(task["report"]["result"], body["input"]["text"]);
        assert_eq!(task["report"]["output_bytes"], 60_001);
    }
}

#[tokio::test]
async fn a_cancelled_task_stops_and_leaves_nothing_in_its_session() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let begun = json!({"code": "globalThis.kept = 1", "session": "s"});
    ended(&url, &create(&url, &begun, CREATED).await).await;
    let endless = json!({"code": "kept = 2; console.log('in'); for (;;);", "session": "s", "timeout_ms": 60_000});
    let task = create(&url, &endless, CREATED).await;
    let id = task["task_id"].as_str().expect("an id").to_owned();
    wait_until("the task to be at it", PATIENCE, async || {
        let (_, log) = get(&url, &format!("/api/tasks/{id}/log")).await;
        log["data"] == "in\n"
    })
    .await;
    let (status, cancelled) = post(&node, &format!("/api/tasks/{id}/cancel")).await;
    assert_eq!(
        (status.as_u16(), &cancelled["status"]),
        (200, &json!("cancelled"))
    );
    // Twice is no error.
    assert_eq!(post(&node, &format!("/api/tasks/{id}/cancel")).await.0, 200);
    let (_, after) = node.exec(json!({"code": "kept", "session": "s"})).await;
    assert_eq!(after["result"], 1, "{after}");
    let done = create(&url, &json!({"code": "1"}), CREATED).await;
    ended(&url, &done).await;
    let done = done["task_id"].as_str().expect("an id");
    let (status, problem) = post(&node, &format!("/api/tasks/{done}/cancel")).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &json!("task_state")),
        "{problem}"
    );
}
