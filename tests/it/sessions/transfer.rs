//! Sessions leave a cluster as files, and come into another.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{get, node_in, run, said};
use crate::support::{Node, program, run as run_program};

async fn export(node: &Node, session: &str, query: &str) -> Vec<u8> {
    let reply = node
        .get(&format!("/api/sessions/{session}/export{query}"))
        .await;
    assert_eq!(reply.status(), StatusCode::OK);
    reply.bytes().await.expect("a whole file").to_vec()
}

async fn import(node: &Node, session: &str, file: Vec<u8>) -> (StatusCode, Value) {
    let request = Client::new().post(node.url(&format!("/api/sessions/{session}/import")));
    let reply = request.body(file).send().await.expect("an answer");
    (reply.status(), reply.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_session_goes_on_in_another_cluster_and_nothing_is_taken_for_one() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let node_1 = node_in(first.path(), &[]).await;
    let node_2 = node_in(second.path(), &[]).await;
    run(
        &node_1,
        "s",
        "let n = 40; const add = (x) => n += x; 'made'",
    )
    .await;
    let big = "var big = Array.from({length: 20_000}, (_, i) => 'x' + i); big.length";
    run(&node_1, "s", big).await;
    run(&node_1, "s", "add(1)").await;
    let file = export(&node_1, "s", "").await;

    let (status, info) = import(&node_2, "t", file.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{info}");
    let (_, original) = get(&node_1, "/api/sessions/s").await;
    assert_eq!(info["heap"], original["heap"]);
    assert_eq!(info["commits"], 3);
    // The history came along, and both go on on their own.
    let (_, log) = get(&node_2, "/api/sessions/t/log").await;
    let (_, original) = get(&node_1, "/api/sessions/s/log").await;
    assert_eq!(log["commits"][2]["code"], original["commits"][2]["code"]);
    assert_eq!(log["commits"][2]["result_text"], "'made'");
    assert_eq!(
        said(&node_2, "t", "add(1) + ':' + big[19_999]").await,
        "'42:x19999'"
    );
    assert_eq!(said(&node_1, "s", "add(10)").await, "51");
    // Again is a copy, under a name that is free.
    let (status, _) = import(&node_2, "u", file.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, problem) = import(&node_2, "t", file.clone()).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("session_exists"))
    );

    for place in [0, 9, 40, 100, file.len() / 2, file.len() - 1] {
        let mut wrong = file.clone();
        wrong[place] ^= 1;
        let (status, problem) = import(&node_2, "wrong", wrong).await;
        // A bit of the engine's name makes another engine.
        assert!(status.is_client_error(), "{place}: {problem}");
    }
    let (status, problem) = import(&node_2, "cut", file[..file.len() - 1].to_vec()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    let (status, problem) = import(&node_2, "empty", Vec::new()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    let (_, listed) = get(&node_2, "/api/sessions").await;
    assert_eq!(
        listed["sessions"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
}

#[tokio::test]
async fn a_session_brings_its_engine_to_a_cluster_of_another_version() {
    let [first, second, third] = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let node_1 = node_in(first.path(), &[]).await;
    run(&node_1, "s", "globalThis.n = 41").await;
    let engine = super::engines::other_engine().await;
    let flags = ["--engine-file", engine.to_str().expect("text")];
    let node_2 = node_in(second.path(), &flags).await;
    let without = export(&node_1, "s", "?engine=false").await;
    let (status, problem) = import(&node_2, "s", without).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("engine_unavailable"))
    );
    let with = export(&node_1, "s", "?engine=true").await;
    let (status, info) = import(&node_2, "s", with.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{info}");
    assert_eq!(said(&node_2, "s", "++n").await, "42");
    // From there it goes on, with the engine that is not that node's own.
    let again = export(&node_2, "s", "?engine=true").await;
    let node_3 = node_in(third.path(), &flags).await;
    let (status, info) = import(&node_3, "s", again).await;
    assert_eq!(status, StatusCode::CREATED, "{info}");
    assert_eq!(said(&node_3, "s", "++n").await, "43");
}

#[tokio::test]
async fn the_command_line_looks_after_sessions() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node_in(directory.path(), &[]).await;
    let session = async |arguments: &[&str]| {
        let mut command = program();
        command.args(["session", "--url", &node.url("")]);
        run_program(command.args(arguments)).await
    };
    run(&node, "a/b", "var n = 1").await;
    run(&node, "a/b", "++n").await;
    let shown = session(&["show", "a/b", "--json"]).await;
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(shown["commits"], 2);
    assert_eq!(
        session(&["fork", "a/b", "old", "--commit", "1"]).await.code,
        Some(0)
    );
    assert_eq!(said(&node, "old", "n").await, "1");
    let log = session(&["log", "a/b"]).await;
    assert!(log.out.contains("++n"), "{log:?}");
    let file = directory.path().join("a.session");
    let file = file.to_str().expect("text");
    assert_eq!(session(&["export", "a/b", file]).await.code, Some(0));
    assert_eq!(session(&["import", file, "copy"]).await.code, Some(0));
    assert_eq!(
        session(&["reset", "copy", "--commit", "1"]).await.code,
        Some(0)
    );
    assert_eq!(said(&node, "copy", "n").await, "1");
    assert_eq!(session(&["rename", "copy", "other"]).await.code, Some(0));
    assert_eq!(session(&["delete", "other"]).await.code, Some(0));
    let listed = session(&["list", "a"]).await;
    assert_eq!(listed.out.lines().count(), 1, "{listed:?}");
    let missing = session(&["show", "nobody"]).await;
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(missing.err.contains("session_not_found"), "{missing:?}");
}
