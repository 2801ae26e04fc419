//! What nothing reaches any more goes after its time, and nothing else does.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{delete, get, node_in, post, run, said};
use crate::cluster::fleet::{Fleet, PATIENCE};
use crate::server;
use crate::support::{Node, wait_until};

const LARGE: &str = "var big = Array.from({length: 50_000}, (_, i) => ({i})); big.length";

/// The blobs of a node. Those of its engine come some seconds after its first session.
fn blobs(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory.join("blobs")).expect("blobs");
    let of_names = entries
        .flatten()
        .filter(|entry| entry.file_name().len() == 2);
    let files = of_names.flat_map(|entry| {
        let files = std::fs::read_dir(entry.path());
        files.into_iter().flatten().flatten()
    });
    files
        .map(|file| file.file_name().into_string().expect("hex"))
        .collect()
}

async fn is_there(node: &Node, heap: &Value) -> bool {
    let (status, _) = node.exec(json!({"code": "1", "heap": heap})).await;
    status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn heaps_of_a_deleted_session_go_and_those_of_its_branches_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let flags = ["--heap-ttl-secs", "2", "--blob-check-secs", "1"];
    let node = node_in(directory.path(), &flags).await;
    let mut heaps = Vec::new();
    for code in ["let n = 1; n", "n = 2", "n = 3", LARGE] {
        heaps.push(run(&node, "main", code).await["heap"].clone());
    }
    let large = blobs(directory.path());
    assert_eq!(large.len(), 1);
    let fork = json!({"name": "branch", "from": "main", "commit": 2});
    assert_eq!(post(&node, "/api/sessions", fork).await.0, 201);
    assert_eq!(delete(&node, "/api/sessions/main").await, 204);

    wait_until("the end of the large heap's bytes", async || {
        blobs(directory.path()).is_disjoint(&large)
    })
    .await;
    let (_, log) = get(&node, "/api/sessions/branch/log").await;
    let kept = log["commits"].as_array().expect("a list");
    assert_eq!(kept.len(), 2, "{log}");
    assert_eq!((&kept[0]["heap"], &kept[1]["heap"]), (&heaps[1], &heaps[0]));
    assert_eq!(said(&node, "branch", "n").await, "2");
    // Asking for one that is gone keeps nothing of it; asking for one that is kept makes another branch.
    for heap in &heaps[2..] {
        assert!(!is_there(&node, heap).await, "{heap}");
    }
    for heap in &heaps[..2] {
        assert!(is_there(&node, heap).await, "{heap}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_without_a_name_goes_after_its_time_unless_it_gets_one() {
    let node = Node::start(&["--heap-ttl-secs", "3"]).await;
    let first = run(&node, "main", "let n = 1; n").await["heap"].clone();
    let branch =
        async || node.exec(json!({"code": "n += 1", "heap": first})).await.1["heap"].clone();
    let (named, other) = (branch().await, branch().await);
    assert_eq!(
        post(
            &node,
            "/api/sessions",
            json!({"name": "kept", "heap": named})
        )
        .await
        .0,
        201
    );
    // Looking does not keep it, unlike running.
    let look = async |heap: &Value| {
        let heap = heap.as_str().expect("a heap").to_owned();
        get(&node, &format!("/api/sessions/main/log?from={heap}"))
            .await
            .0
    };
    assert_eq!(look(&other).await, 200);
    wait_until("the end of a branch", async || look(&other).await == 404).await;
    assert_eq!(look(&named).await, 200);
    assert_eq!(said(&node, "kept", "n").await, "2");
    assert_eq!(said(&node, "main", "n").await, "1");
}

/// A node that has lost a copy fetches it by itself, before anybody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_copy_is_made_again() {
    let mut fleet = Fleet::of_three_planned();
    for member in &mut fleet.members {
        let flags = ["--blob-check-secs", "1"].map(str::to_owned);
        member.flags.extend(flags);
    }
    fleet.start_all().await;
    let body = json!({"code": LARGE, "session": "s"});
    let request = fleet
        .client
        .post(fleet.members[0].url("/api/exec"))
        .json(&body);
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let directories = || fleet.members.iter().map(|member| member.directory.clone());
    server::wait_until("a copy on a majority", PATIENCE, async || {
        directories().filter(|it| !blobs(it).is_empty()).count() >= 2
    })
    .await;
    let hit = directories().find(|it| !blobs(it).is_empty());
    let hit = hit.expect("one has it");
    let large = blobs(&hit);
    for entry in std::fs::read_dir(hit.join("blobs"))
        .expect("blobs")
        .flatten()
    {
        if entry.file_name().len() == 2 {
            std::fs::remove_dir_all(entry.path()).expect("removed");
        }
    }
    assert!(blobs(&hit).is_disjoint(&large), "the fault hit");
    server::wait_until("the copy to be made again", PATIENCE, async || {
        blobs(&hit).is_superset(&large)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_nobody_uses_goes() {
    let node = Node::start(&["--session-idle-secs", "3"]).await;
    run(&node, "idle", "1").await;
    // Each run begins the time anew.
    let mut runs = 0;
    wait_until("the end of the idle session", async || {
        runs += 1;
        assert_eq!(
            run(&node, "busy", "globalThis.n = (globalThis.n ?? 0) + 1").await["result"],
            runs
        );
        get(&node, "/api/sessions/idle").await.0 == 404
    })
    .await;
    assert_eq!(get(&node, "/api/sessions/busy").await.0, 200);
}

/// A tag holds a heap as a session does; so does a task the heap that it made, and the one that it is to run in.
#[tokio::test(flavor = "multi_thread")]
async fn a_heap_stays_as_long_as_a_tag_or_a_task_has_it() {
    let flags = ["--heap-ttl-secs", "2", "--blob-check-secs", "1"];
    let node = Node::start(&flags).await;
    let client = reqwest::Client::new();
    let put = async |tag: &str, body: Value| {
        let request = client
            .put(node.url(&format!("/api/tags/{tag}")))
            .json(&body);
        let reply = request.send().await.expect("an answer");
        (
            reply.status().as_u16(),
            reply.json::<Value>().await.expect("JSON"),
        )
    };
    let mut heaps = Vec::new();
    for code in ["let n = 1; n", "n = 2", "n = 3", "n = 4"] {
        heaps.push(run(&node, "main", code).await["heap"].clone());
    }
    let (status, _) = put("good", json!({"heap": heaps[1]})).await;
    assert_eq!(status, 200);
    let (status, problem) = put("bad", json!({"heap": "0".repeat(64)})).await;
    assert_eq!((status, &problem["code"]), (404, &json!("heap_not_found")));
    let listed = async |heap: &Value| {
        let heap = heap.as_str().expect("a heap").to_owned();
        get(&node, &format!("/api/tags?heap={heap}")).await.1["tags"].clone()
    };
    assert_eq!(listed(&heaps[1]).await[0]["name"], "good");
    assert_eq!(listed(&heaps[0]).await, json!([]));
    // One task that waits for an hour in the last heap, and one that has made a heap.
    let waits = json!({"code": "n", "heap": heaps[3], "delay_ms": 3_600_000});
    let (status, waits) = post(&node, "/api/tasks", waits).await;
    assert_eq!(status, 201, "{waits}");
    let makes = json!({"code": "n *= 10", "heap": heaps[0]});
    let made = post(&node, "/api/tasks", makes).await.1;
    let made = format!("/api/tasks/{}", made["task_id"].as_str().expect("an id"));
    let (_, ended) = get(&node, &format!("{made}?wait=30")).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let (status, _) = post(
        &node,
        "/api/tasks",
        json!({"code": "1", "heap": "0".repeat(64)}),
    )
    .await;
    assert_eq!(status, 404);
    let look = async |heap: &Value| {
        let heap = heap.as_str().expect("a heap").to_owned();
        get(&node, &format!("/api/sessions/other/log?from={heap}"))
            .await
            .0
    };
    assert_eq!(run(&node, "other", "1").await["result"], 1);
    assert_eq!(delete(&node, "/api/sessions/main").await, 204);
    // Longer than loose heaps are kept, and the collector has been there: a branch of now goes.
    let witness = node
        .exec(json!({"code": "n + 1", "heap": heaps[0]}))
        .await
        .1["heap"]
        .clone();
    wait_until("the end of a loose heap", async || {
        look(&witness).await == 404
    })
    .await;
    for heap in &heaps {
        assert_eq!(look(heap).await, 200, "{heap}");
    }
    assert_eq!(look(&ended["heap"]).await, 200);
    // Another tag, another heap: the first is left.
    let (status, _) = put("good", json!({"value": "x", "heap": heaps[0]})).await;
    assert_eq!(status, 200);
    assert_eq!(listed(&heaps[1]).await, json!([]));
    let id = waits["task_id"].as_str().expect("an id");
    assert_eq!(
        post(&node, &format!("/api/tasks/{id}/cancel"), json!({}))
            .await
            .0,
        200
    );
    wait_until("the end of what no tag and no task has", async || {
        look(&heaps[3]).await == 404 && look(&heaps[1]).await == 404
    })
    .await;
    assert_eq!(look(&heaps[0]).await, 200);
    assert_eq!(delete(&node, &made).await, 204);
    assert_eq!(delete(&node, "/api/tags/good").await, 200);
    wait_until("the end of the rest", async || look(&heaps[0]).await == 404).await;
}
