//! What a run leaves is there for the next one, and nothing else is.

use serde_json::json;

use super::{post, run, said};
use crate::support::{Node, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_world_stays() {
    let node = Node::start(&[]).await;
    for (code, result) in [
        ("let n = 1; const f = () => ++n; n", "1"),
        ("f(); f()", "3"),
        (
            "class A { #x = n; get x() { return this.#x } } const a = new A(); a.x",
            "3",
        ),
        (
            "const g = (function*() { yield 1; yield 2 })(); g.next().value",
            "1",
        ),
        ("g.next().value", "2"),
        (
            "let resolve; const p = new Promise(r => resolve = r); 0",
            "0",
        ),
        ("resolve(7); await p", "7"),
        ("interface T { x: number }; const t: T = { x: 5 }; t.x", "5"),
        ("new Intl.NumberFormat('de').format(1234.5)", "'1.234,5'"),
        ("n", "3"),
    ] {
        assert_eq!(said(&node, "demo", code).await, result, "{code}");
    }
    // Other sessions and runs without one see nothing of it.
    assert_eq!(said(&node, "other", "typeof n").await, "'undefined'");
    let (_, alone) = node.exec(json!({"code": "typeof n"})).await;
    assert_eq!(alone["result"], "undefined");
    assert!(alone.get("heap").is_none() && alone.get("session").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_throws_is_kept_and_what_is_killed_is_not() {
    let node = Node::start(&[]).await;
    let first = run(&node, "s", "let n = 1; n").await;
    assert!(first.get("parent").is_none(), "{first}");
    let thrown = run(&node, "s", "n = 2; throw new Error('no')").await;
    assert_eq!(thrown["status"], "failed");
    assert_eq!(thrown["parent"], first["heap"]);
    let stands = thrown["heap"].clone();
    for (code, extra, status) in [
        ("n = 3; for (;;);", json!({"timeout_ms": 200}), "timed_out"),
        (
            "n = 3; const all = []; for (;;) all.push(new Array(1e5).fill(n))",
            json!({"heap_mb": 16}),
            "out_of_memory",
        ),
    ] {
        let mut body = json!({"code": code, "session": "s"});
        for (key, value) in extra.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let (_, killed) = node.exec(body).await;
        assert_eq!(killed["status"], status, "{killed}");
        assert_eq!(killed["heap"], stands, "{killed}");
        assert!(killed.get("parent").is_none(), "{killed}");
    }
    assert_eq!(said(&node, "s", "n").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_a_limit_of_the_state_is_not_kept() {
    let node = Node::start(&["--delta-bytes-max", "65536"]).await;
    let before = run(&node, "s", "let kept = 1").await;
    let code = "var noise = crypto.getRandomValues(new Uint8Array(65536)); kept = 2; \
                var more = Array.from({length: 8}, () => crypto.getRandomValues(new Uint8Array(65536))); 0";
    let over = run(&node, "s", code).await;
    assert_eq!(over["error"]["code"], "delta_limit", "{over}");
    assert_eq!(over["heap"], before["heap"]);
    assert_eq!(
        said(&node, "s", "[kept, typeof noise]").await,
        "[ 1, 'undefined' ]"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_one_session_go_one_after_the_other() {
    let node = Node::start(&[]).await;
    run(&node, "s", "let order = []").await;
    let runs = (0..20).map(|number| {
        let code =
            format!("order.push({number}); await new Promise(r => setTimeout(r, 3)); order.length");
        let node = &node;
        async move { said(node, "s", &code).await }
    });
    let mut lengths: Vec<u32> = futures::future::join_all(runs)
        .await
        .iter()
        .map(|length| length.parse().expect("a number"))
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, (1..=20).collect::<Vec<_>>(), "no update is lost");
    let order = run(&node, "s", "order.toSorted((a, b) => a - b)").await;
    assert_eq!(order["result"], json!((0..20).collect::<Vec<_>>()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_a_session_has_an_end() {
    let node = Node::start(&["--session-queue-max", "1"]).await;
    run(&node, "s", "1").await;
    let slow = json!({"code": "for (;;);", "session": "s"});
    let submit = async || {
        let reply = reqwest::Client::new()
            .post(node.url("/api/exec"))
            .header("prefer", "respond-async")
            .json(&slow);
        let reply = reply.send().await.expect("an answer");
        (
            reply.status().as_u16(),
            reply.json::<serde_json::Value>().await.expect("JSON"),
        )
    };
    let (_, first) = submit().await;
    let (_, second) = submit().await;
    let (status, third) = submit().await;
    assert_eq!(
        (status, &third["code"]),
        (429, &json!("queue_full")),
        "{third}"
    );
    // Another session is not held up.
    assert_eq!(said(&node, "t", "1 + 1").await, "2");
    for execution in [second, first] {
        let id = execution["execution_id"].as_str().expect("an id");
        post(&node, &format!("/api/executions/{id}/cancel"), json!({})).await;
    }
    assert_eq!(said(&node, "s", "2").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sessions_than_processes() {
    let node = Node::start(&["--sessions-warm-max", "2"]).await;
    for round in 1..=3 {
        for session in ["a", "b", "c", "d"] {
            let code = "globalThis.n = (globalThis.n ?? 0) + 1";
            assert_eq!(said(&node, session, code).await, round.to_string());
        }
    }
    // What was given up is reaped: two sessions with a fork each, the zygote, and its forks.
    wait_until("the processes of cold sessions to be gone", async || {
        let (_, list) = super::get(&node, "/api/sessions").await;
        let sessions = list["sessions"].as_array().expect("a list").clone();
        sessions
            .iter()
            .filter(|session| session["warm"] == true)
            .count()
            <= 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sessions_a_request_that_names_one_is_refused() {
    let node = Node::start(&["--stateless"]).await;
    for body in [
        json!({"code": "1", "session": "s"}),
        json!({"code": "1", "heap": "00".repeat(32)}),
    ] {
        let (status, problem) = node.exec(body).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (409, &json!("sessions_off"))
        );
    }
    let (status, problem) = super::get(&node, "/api/sessions").await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &json!("sessions_off"))
    );
    assert_eq!(node.exec(json!({"code": "1 + 1"})).await.1["result"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_are_told() {
    let node = Node::start(&[]).await;
    for (body, field) in [
        (json!({"code": "1", "session": ""}), "session"),
        (json!({"code": "1", "session": "a\nb"}), "session"),
        (json!({"code": "1", "session": "x".repeat(257)}), "session"),
        (json!({"code": "1", "heap": "0"}), "heap"),
        (json!({"code": "1", "heap": "AB".repeat(32)}), "heap"),
        (
            json!({"code": "1", "session": "s", "heap": "00".repeat(32)}),
            "session",
        ),
    ] {
        let (status, problem) = node.exec(body.clone()).await;
        assert_eq!(
            (status.as_u16(), &problem["code"], &problem["field"]),
            (400, &json!("invalid_request"), &json!(field)),
            "{body}: {problem}"
        );
    }
    let (status, problem) = node
        .exec(json!({"code": "1", "heap": "00".repeat(32)}))
        .await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (404, &json!("heap_not_found"))
    );
    // A name that needs escaping is a name like any other.
    assert_eq!(said(&node, "ä/b c?", "1").await, "1");
    let (status, info) = super::get(&node, "/api/sessions/%C3%A4%2Fb%20c%3F").await;
    assert_eq!(
        (status.as_u16(), &info["commits"]),
        (200, &json!(1)),
        "{info}"
    );
}

/// The scripts that a sandbox has to stand, in a session: it stands where it stood.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_code_changes_nothing() {
    let node = Node::start(&[]).await;
    run(&node, "s", "let n = 41; const keep = {a: [1, 2, 3]}").await;
    for code in [
        "while (true) {}",
        "const a = []; while (true) a.push(new Array(1e6).fill(1))",
        "const b = []; while (true) b.push(new ArrayBuffer(1 << 24))",
        "'x'.repeat(2 ** 29).replace(/x/g, 'yyyyyyyy')",
        "for (;;) Promise.resolve().then(() => {})",
        "(function f() { return f() + 1 })()",
        "new WebAssembly.Memory({initial: 65536, maximum: 65536}).buffer",
        "Object.defineProperty(globalThis, 'Array', {get() { throw 1 }}); for (;;);",
    ] {
        let body = json!({"code": code, "session": "s", "timeout_ms": 500, "heap_mb": 32});
        let (status, reply) = node.exec(body).await;
        assert_eq!(status, 200, "{code}: {reply}");
        assert_eq!(
            said(&node, "s", "[n, keep.a.length]").await,
            "[ 41, 3 ]",
            "{code}"
        );
    }
}
