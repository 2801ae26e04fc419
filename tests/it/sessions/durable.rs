//! What was answered is there after the node was killed.

use rustix::process::Signal;
use serde_json::json;

use super::{get, node_in, post, run, said};
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_comes_back_with_its_sessions() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node_in(directory.path(), &[]).await;
    run(&node, "s", "let n = 0; const f = () => ++n").await;
    // More than fits into a commit, and more runs than are read one by one.
    run(
        &node,
        "s",
        "const big = Array.from({length: 50_000}, (_, i) => ({i, s: 'v' + i})); 0",
    )
    .await;
    for _ in 0..1030 {
        run(&node, "s", "f()").await;
    }
    let long = format!("'{}'.length // {}", "é".repeat(12_000), "x".repeat(9_000));
    let keyed = json!({"code": long, "session": "s", "idempotency_key": "long"});
    let (_, first) = node.exec(keyed.clone()).await;
    let (_, branch) = node
        .exec(json!({"code": "f() + 1000", "heap": first["heap"]}))
        .await;
    let (_, log) = get(&node, "/api/sessions/s/log?limit=1000").await;
    node.signal(Signal::KILL);
    node.ended().await;

    let node = node_in(directory.path(), &[]).await;
    assert_eq!(get(&node, "/api/sessions/s/log?limit=1000").await.1, log);
    assert_eq!(log["commits"][0]["code"], long);
    // The key is as good as it was: the run does not happen again.
    let (_, replayed) = node.exec(keyed.clone()).await;
    assert_eq!(
        (&replayed["heap"], &replayed["result"]),
        (&first["heap"], &json!(12_000)),
        "{replayed}"
    );
    let other = json!({"code": "1", "session": "s", "idempotency_key": "long"});
    let (status, problem) = node.exec(other).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (422, &json!("idempotency_conflict"))
    );
    assert_eq!(
        said(&node, "s", "[f(), big[49_999].s]").await,
        "[ 1031, 'v49999' ]"
    );
    let (_, branch) = node
        .exec(json!({"code": "f()", "heap": branch["heap"]}))
        .await;
    assert_eq!(branch["result"], 1032);
    post(&node, "/api/sessions/s/reset", json!({"commit": 100})).await;
    assert_eq!(said(&node, "s", "n").await, "98");
}

/// Killed again and again, in the middle of a run and right after one: each has happened once or not at all, and a
/// client that repeats it with its key finds it done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_in_the_middle_of_runs_loses_none_and_doubles_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = node_in(directory.path(), &[]).await;
    for number in 1..=40 {
        let in_the_middle = number % 10 == 5;
        let right_after = number % 10 == 0;
        let slowly = if in_the_middle {
            "await new Promise(r => setTimeout(r, 500));"
        } else {
            ""
        };
        let body = json!({
            "code": format!("globalThis.n = (globalThis.n ?? 0) + 1; {slowly} globalThis.n"),
            "session": "counter",
            "idempotency_key": number.to_string(),
        });
        if in_the_middle || right_after {
            let request = reqwest::Client::new()
                .post(node.url("/api/exec"))
                .json(&body);
            let pending = tokio::spawn(request.send());
            let kept = if in_the_middle { number - 1 } else { number };
            wait_until("the run to come so far", async || {
                if in_the_middle {
                    let (_, running) = get(&node, "/api/executions?status=running").await;
                    !running["executions"].as_array().expect("a list").is_empty()
                } else {
                    get(&node, "/api/sessions/counter").await.1["commits"] == number
                }
            })
            .await;
            node.signal(Signal::KILL);
            node.ended().await;
            // Whatever the client has heard, it asks again.
            let _ = pending.await;
            node = node_in(directory.path(), &[]).await;
            let (_, info) = get(&node, "/api/sessions/counter").await;
            assert_eq!(info["commits"], kept, "{info}");
        }
        let (_, reply) = node.exec(body).await;
        assert_eq!(reply["result"], number, "{reply}");
    }
    let (_, info) = get(&node, "/api/sessions/counter").await;
    assert_eq!(info["commits"], 40);
}
