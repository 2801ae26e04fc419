//! A backup is the whole cluster, taken while it works; and a cluster comes of it on any number of nodes.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;
use crate::sessions::until_answered;
use crate::support::{Ended, program, run};

/// Its delta is a blob.
const LARGE: &str = "var big = Array.from({length: 30_000}, (_, i) => 'x' + i * 7919); big.length";

async fn offline(arguments: &[&str]) -> Ended {
    let mut command = program();
    run(command
        .args(["admin", "-o", "json", "backup"])
        .args(arguments))
    .await
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

async fn exec(fleet: &Fleet, index: usize, session: &str, code: &str) -> Value {
    let body = json!({"code": code, "session": session});
    until_answered(fleet, index, &body).await["result"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_comes_back_from_a_backup_on_one_node_and_on_three() {
    let mut fleet = Fleet::of_three().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cluster.backup");
    assert_eq!(exec(&fleet, 0, "s", "globalThis.n = 1").await, 1);
    assert_eq!(exec(&fleet, 1, "s", LARGE).await, 30_000);
    fleet.put(2, "tag", json!({"kept": true})).await;
    // It is taken while others write.
    let mut written = 0;
    let saved = {
        let arguments = ["backup", "save", text(&file)];
        let mut save = std::pin::pin!(fleet.admin(&arguments));
        loop {
            let name = format!("during-{written}");
            tokio::select! {
                saved = &mut save => break saved,
                _ = fleet.put(written % 3, &name, json!(1)) => written += 1,
            }
        }
    };
    assert_eq!(saved.code, Some(0), "{saved:?}");
    assert!(written > 0, "nothing was written meanwhile");
    // It is no later than this.
    assert_eq!(exec(&fleet, 0, "s", "n = 99").await, 99);
    let verified = offline(&["verify", text(&file)]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let verified: Value = serde_json::from_str(&verified.out).expect("JSON");
    assert!(
        verified["blobs"].as_u64().is_some_and(|blobs| blobs >= 1),
        "{verified}"
    );
    for index in 0..3 {
        fleet.kill(index);
        std::fs::remove_dir_all(&fleet.members[index].directory).expect("removed");
    }

    // One node of another name, and others that join it.
    let mut restored = Fleet::new();
    let first = restored.add("m1", &[]);
    let into = restored.members[first].directory.clone();
    let told = offline(&["restore", text(&file), text(&into), "--node-id", "m1"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(told["state_hash"], verified["state_hash"]);
    assert_ne!(told["cluster_id"], verified["cluster_id"]);
    restored.start(first).await;
    assert_eq!(exec(&restored, first, "s", "++n").await, 2);
    assert_eq!(
        exec(&restored, first, "s", "big[29_999]").await,
        "x237562081"
    );
    let (status, tag) = restored.get(first, "/api/tags/tag").await;
    assert_eq!(
        (status, &tag["value"]),
        (StatusCode::OK, &json!({"kept": true}))
    );
    let join = restored.members[first].endpoint();
    for name in ["m2", "m3"] {
        let index = restored.add(name, &["--join", &join]);
        restored.start(index).await;
    }
    wait_until("three voters", PATIENCE, async || {
        let told = restored.administer(&["members", "-o", "json"]).await;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let members = told["members"].as_array().cloned().unwrap_or_default();
        members
            .iter()
            .filter(|member| member["role"] != "learner")
            .count()
            == 3
    })
    .await;
    // What one node had is on a majority again before it is lost.
    assert_eq!(exec(&restored, 1, "s", "++n").await, 3);
    restored.same_state().await;
    // Once more into a directory that is somebody's.
    let again = offline(&["restore", text(&file), text(&into)]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_with_a_fault_is_refused_and_one_is_taken_by_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let backups = directory.path().join("backups");
    let mut fleet = Fleet::new();
    let flags = [
        "--backup-dir",
        text(&backups),
        "--backup-secs",
        "1",
        "--backup-count",
        "2",
    ];
    fleet.add("n1", &flags);
    fleet.start_all().await;
    exec(&fleet, 0, "s", LARGE).await;
    let found = || {
        let entries = std::fs::read_dir(&backups).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == "mcpv8"))
            .collect();
        files.sort();
        files
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut count = 0;
    wait_until("old backups to go", PATIENCE, async || {
        count += 1;
        fleet.put(0, &format!("tag-{count}"), json!(count)).await;
        seen.extend(found());
        seen.len() > 3
    })
    .await;
    assert!(found().len() <= 3, "two, and one that has just come");
    fleet.kill(0);
    let file = found().pop().expect("a backup");
    assert_eq!(offline(&["verify", text(&file)]).await.code, Some(0));
    let bytes = std::fs::read(&file).expect("read");
    let wrong = directory.path().join("wrong");
    for place in [0, 20, bytes.len() / 3, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[place] ^= 4;
        std::fs::write(&wrong, flipped).expect("written");
        let told = offline(&["verify", text(&wrong)]).await;
        assert_eq!(told.code, Some(1), "{place}: {told:?}");
        let into = directory.path().join("into");
        let told = offline(&["restore", text(&wrong), text(&into)]).await;
        assert_eq!(told.code, Some(1), "{place}: {told:?}");
    }
    // A directory in which a restoration has failed takes another one.
    let into = directory.path().join("into");
    let told = offline(&["restore", text(&file), text(&into)]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
}

/// The second takes only what is new, and is whole all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_in_one_directory_share_their_blobs() {
    let mut fleet = Fleet::new();
    fleet.add("n1", &["--blob-check-secs", "1", "--heap-ttl-secs", "1"]);
    fleet.start_all().await;
    let directory = tempfile::tempdir().expect("a directory");
    let into = directory.path().join("backups");
    let save = async |more: &[&str]| {
        let arguments = ["-o", "json", "backup", "save", "--into", text(&into)];
        let told = fleet.administer(&[&arguments[..], more].concat()).await;
        serde_json::from_str::<Value>(&told).expect("JSON")
    };
    let blobs = || {
        let entries = std::fs::read_dir(into.join("blobs"))
            .into_iter()
            .flatten()
            .flatten();
        let folders = entries.filter(|entry| entry.file_name().len() == 2);
        let files = folders.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten());
        let files = files.flatten().map(|file| {
            let made = file
                .metadata()
                .and_then(|it| it.modified())
                .expect("it is there");
            (file.path(), made)
        });
        files.collect::<std::collections::BTreeMap<_, _>>()
    };
    exec(&fleet, 0, "s", LARGE).await;
    wait_until("the engine's own blobs", PATIENCE, async || {
        let told = fleet.administer(&["engines", "-o", "json"]).await;
        told.contains("\"kept\": true")
    })
    .await;
    let first = save(&[]).await;
    let before = blobs();
    assert!(!before.is_empty());
    exec(&fleet, 0, "s", &LARGE.replace("big", "more")).await;
    let second = save(&[]).await;
    let after = blobs();
    assert_eq!(after.len(), before.len() + 1, "one is new");
    assert!(
        before.iter().all(|blob| after.get(blob.0) == Some(blob.1)),
        "the others were left alone"
    );
    assert_eq!(
        second["blobs"].as_u64(),
        first["blobs"].as_u64().map(|blobs| blobs + 1)
    );
    let file = second["file"].as_str().expect("a path").to_owned();
    assert!(
        second["bytes"].as_u64() < second["blob_bytes"].as_u64(),
        "{second}"
    );

    // It is a backup as any other, with the blobs beside it.
    let restored = directory.path().join("restored");
    let told = offline(&["restore", &file, text(&restored)]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let new = after
        .keys()
        .find(|path| !before.contains_key(*path))
        .expect("the new one");
    let whole = std::fs::read(new).expect("it is there");
    let mut spoilt = whole.clone();
    spoilt[whole.len() / 2] ^= 1;
    std::fs::write(new, &spoilt).expect("there is room");
    let told = offline(&["verify", &file]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    // Who saves finds that out, and the next one brings it again.
    let arguments = ["backup", "save", "--into", text(&into)];
    assert_eq!(fleet.admin(&arguments).await.code, Some(1));
    save(&[]).await;
    assert_eq!(std::fs::read(new).expect("it is there again"), whole);

    // What only old backups had goes with them.
    let delete = fleet.client.delete(fleet.members[0].url("/api/sessions/s"));
    assert_eq!(delete.send().await.expect("an answer").status(), 204);
    wait_until("the heaps to go", PATIENCE, async || {
        let told = fleet.administer(&["contents", "-o", "json"]).await;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["heaps"] == 0 && told["loose_blobs"].as_u64() >= Some(2)
    })
    .await;
    let last = save(&["--keep", "1"]).await;
    let files = std::fs::read_dir(&into).expect("it is there").flatten();
    let files = files.filter(|file| file.path().extension().is_some_and(|it| it == "mcpv8"));
    assert_eq!(files.count(), 1);
    assert_eq!(
        blobs().len() as u64,
        last["blobs"].as_u64().expect("a number")
    );
}
