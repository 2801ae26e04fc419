//! What an operator can see of a cluster and of what is left of a node, and what he can do about its disk.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;
use crate::sessions::until_answered;
use crate::support::{program, run};

const LARGE: &str = "var big = Array.from({length: 30_000}, (_, i) => 'x' + i * 7919); big.length";

async fn told(fleet: &Fleet, arguments: &[&str]) -> Value {
    let told = fleet
        .administer(&[&["-o", "json"], arguments].concat())
        .await;
    serde_json::from_str(&told).expect("JSON")
}

async fn run_large(fleet: &Fleet) {
    let body = json!({"code": LARGE, "session": "s"});
    assert_eq!(until_answered(fleet, 0, &body).await["result"], 30_000);
}

/// The files of a node's blobs.
fn blobs(fleet: &Fleet, index: usize) -> Vec<PathBuf> {
    let directory = fleet.members[index].directory.join("blobs");
    let folders = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let folders = folders.filter(|entry| entry.file_name().len() == 2);
    let files = folders.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten());
    files.flatten().map(|file| file.path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_there_is() {
    let mut fleet = Fleet::of_three().await;
    run_large(&fleet).await;
    assert_eq!(
        fleet
            .put(1, "secret-name", json!("secret-value"))
            .await
            .status(),
        200
    );
    let request = fleet.client.post(fleet.members[2].url("/api/tasks"));
    let task = json!({"code": "1", "delay_ms": 3_600_000});
    assert_eq!(
        request
            .json(&task)
            .send()
            .await
            .expect("an answer")
            .status(),
        201
    );

    let contents = told(&fleet, &["contents"]).await;
    for (of, count) in [
        ("sessions", 1),
        ("heaps", 1),
        ("tags", 1),
        ("loose_heaps", 0),
    ] {
        assert_eq!(contents[of], count, "{of}: {contents}");
    }
    assert_eq!(contents["tasks"]["queued"], 1, "{contents}");
    let warm = contents["warm"].as_array().expect("a list");
    let warm = warm.iter().filter_map(|node| node["sessions"].as_u64());
    assert_eq!(
        (warm.clone().count(), warm.sum::<u64>()),
        (3, 1),
        "{contents}"
    );
    let table = fleet.administer(&["contents"]).await;
    assert!(table.contains("0 scheduled, 1 queued"), "{table}");

    // What was in the log of a node that does not run: who did what, and what was said only when it is asked for.
    fleet.kill(0);
    let directory = fleet.members[0].directory.display().to_string();
    let log = async |flags: &[&str]| {
        let mut command = program();
        let printed = run(command
            .args(["admin", "-o", "json", "log", &directory])
            .args(flags))
        .await;
        assert_eq!(printed.code, Some(0), "{}", printed.err);
        printed.out
    };
    let all = log(&[]).await;
    let lines = all
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let puts: Vec<_> = lines.filter(|line| line["command"] == "PutTag").collect();
    assert_eq!(puts.len(), 1, "{all}");
    assert!(!all.contains("secret"), "{all}");
    let index = puts[0]["index"].to_string();
    let one = log(&["--from", &index, "--to", &index, "--values"]).await;
    assert!(one.contains("secret-name"), "{one}");
    let mut command = program();
    let nothing = run(command.args(["admin", "log", "/nowhere"])).await;
    assert_eq!(nothing.code, Some(1), "{}", nothing.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_damaged_copies_are_seen_and_made_again() {
    let fleet = Fleet::of_three().await;
    run_large(&fleet).await;
    let holder = (0..3).find(|index| !blobs(&fleet, *index).is_empty());
    let holder = holder.expect("a majority has it");
    let name = fleet.members[holder].name.clone();
    let row = |blobs: &Value| {
        let nodes = blobs["nodes"].as_array().expect("a list");
        let found = nodes.iter().find(|node| node["node"] == name.as_str());
        found.expect("it is a member").clone()
    };
    let before = told(&fleet, &["blobs"]).await;
    assert_eq!(before["too_few"], 0, "{before}");
    assert_eq!(row(&before)["missing"], 0, "{before}");
    for file in blobs(&fleet, holder) {
        let mut bytes = std::fs::read(&file).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).expect("there is room");
    }
    // A look at names sees nothing wrong; a check reads them, and fetches what it finds damaged.
    let checked = told(&fleet, &["blobs", "check"]).await;
    let checked = row(&checked);
    assert!(checked["damaged"].as_u64() >= Some(1), "{checked}");
    assert_eq!(checked["missing"], 0, "{checked}");
    assert!(
        checked["last_check"]["fetched"].as_u64() >= Some(1),
        "{checked}"
    );
    for file in blobs(&fleet, holder) {
        std::fs::remove_file(file).expect("it is there");
    }
    let lacking = fleet.admin(&["-o", "json", "blobs"]).await;
    assert_eq!(lacking.code, Some(1), "{}", lacking.out);
    told(&fleet, &["blobs", "check"]).await;
    assert_eq!(row(&told(&fleet, &["blobs"]).await)["missing"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_compacted_while_it_is_written() {
    let fleet = Fleet::of_three().await;
    let large = json!("x".repeat(60_000));
    for round in 0..100 {
        fleet
            .put(round % 3, &format!("tag-{round}"), large.clone())
            .await;
    }
    for round in 0..100 {
        let url = fleet.members[round % 3].url(&format!("/api/tags/tag-{round}"));
        fleet.client.delete(url).send().await.expect("an answer");
    }
    for member in &fleet.members {
        let compact = ["compact", &member.name];
        let (compacted, written) =
            tokio::join!(told(&fleet, &compact), fleet.put(0, "during", json!(1)));
        assert_eq!(written.status(), 200);
        let size = |field: &str| compacted[field].as_u64().expect("a number");
        assert!(size("after_bytes") <= size("before_bytes"), "{compacted}");
    }
    wait_until("the same state on all", PATIENCE, async || {
        fleet.admin(&["hash"]).await.code == Some(0)
    })
    .await;
    fleet.same_state().await;
    assert_eq!(fleet.get(2, "/api/tags/during").await.1["value"], 1);
}
