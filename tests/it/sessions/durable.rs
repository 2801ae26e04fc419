//! What was answered is there after the node was killed.

use rustix::process::Signal;
use serde_json::json;

use super::{get, node_in, post, run, said};

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

/// Killed in the middle of a run, again and again: each run has happened once or not at all, and a client
/// that repeats it with its key finds it done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_in_the_middle_of_runs_loses_none_and_doubles_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = node_in(directory.path(), &[]).await;
    let mut killed = 0;
    for number in 1..=40 {
        let body = json!({
            "code": "globalThis.n = (globalThis.n ?? 0) + 1",
            "session": "counter",
            "idempotency_key": number.to_string(),
        });
        let request = reqwest::Client::new()
            .post(node.url("/api/exec"))
            .json(&body)
            .send();
        let answered = if number % 5 == 0 {
            let pending = tokio::spawn(request);
            // Earlier and later each time, so that some runs are kept and some are not.
            tokio::time::sleep(std::time::Duration::from_micros(800 * (number / 5))).await;
            node.signal(Signal::KILL);
            node.ended().await;
            killed += 1;
            node = node_in(directory.path(), &[]).await;
            let _ = pending.await;
            None
        } else {
            Some(request.await.expect("an answer"))
        };
        let reply = match answered {
            Some(reply) => reply.json().await.expect("JSON"),
            None => node.exec(body).await.1,
        };
        assert_eq!(reply["result"], number, "{reply}");
    }
    assert_eq!(killed, 8);
    let (_, info) = get(&node, "/api/sessions/counter").await;
    assert_eq!(info["commits"], 40);
}
