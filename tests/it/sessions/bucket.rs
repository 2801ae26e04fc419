//! A bucket keeps everything: what is lost is a node's directory, and nothing else.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::json;
use tokio::process::Command;

use super::cluster::until_answered;
use super::{get, run, said};
use crate::cluster::fleet::Fleet;
use crate::support::s3_server::{BUCKET, S3Server, SECRET};
use crate::support::{Node, program, run as run_program, wait_until};

/// The program with a bucket, and a directory that is this one.
fn command(server: &S3Server, bucket: &str, directory: &Path) -> Command {
    let mut command = program();
    command.envs(server.environment());
    command.args(["--http-port", "0", "--s3-bucket", bucket]);
    command.arg("--directory-path").arg(directory);
    command
}

async fn node(server: &S3Server, directory: &Path, flags: &[&str]) -> Node {
    let mut command = command(server, BUCKET, directory);
    command.args(flags);
    Node::spawn(command, 1).await
}

/// Text that no compression makes small: its delta is a blob.
const LARGE: &str = "var big = ''; for (let i = 0, x = 1; i < 40000; i++) { \
     x = (x * 48271) % 2147483647; big += x.toString(36); } big.length";

async fn archived(node: &Node) {
    wait_until("the log is in the bucket", async || {
        is_archived(&node.get("/metrics").await.text().await.expect("text"))
    })
    .await;
}

/// Whether a leader's metrics say that the bucket has all that was applied until they were asked for.
fn is_archived(metrics: &str) -> bool {
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name))?;
        line.split(' ').nth(1)?.parse::<u64>().ok()
    };
    let kept = value("mcp_v8_archive_index ");
    kept.is_some() && kept >= value("mcp_v8_cluster_applied_index ")
}

#[tokio::test]
async fn sessions_come_back_from_the_bucket_alone() {
    let objects = tempfile::tempdir().expect("a directory");
    let server = S3Server::start(objects.path()).await;
    let first = tempfile::tempdir().expect("a directory");
    let node_1 = node(&server, first.path(), &[]).await;
    run(&node_1, "counter", "globalThis.x = 41").await;
    let length = said(&node_1, "counter", LARGE).await;
    let (status, tag) = {
        let put = reqwest::Client::new().put(node_1.url("/api/tags/a"));
        let put = put.json(&json!({"value": [1]})).send().await.expect("sent");
        (put.status(), put.text().await.expect("text"))
    };
    assert_eq!(status, StatusCode::OK, "{tag}");
    node_1.signal(Signal::TERM);
    let (code, log) = node_1.ended().await;
    assert_eq!(code, Some(0), "{log}");
    drop(first);

    // It was stopped, so nobody is waited for.
    let second = tempfile::tempdir().expect("a directory");
    let node_2 = node(&server, second.path(), &[]).await;
    assert_eq!(said(&node_2, "counter", "++x").await, "42");
    assert_eq!(said(&node_2, "counter", "big.length").await, length);
    let (status, tag) = get(&node_2, "/api/tags/a").await;
    assert_eq!((status, &tag["value"]), (StatusCode::OK, &json!([1])));
    archived(&node_2).await;
    // A machine that dies says no farewell.
    node_2.signal(Signal::KILL);
    node_2.ended().await;
    drop(second);

    let third = tempfile::tempdir().expect("a directory");
    let node_3 = node(&server, third.path(), &[]).await;
    assert_eq!(said(&node_3, "counter", "++x").await, "43");
    assert_eq!(said(&node_3, "counter", "big.length").await, length);
}

#[tokio::test]
async fn a_bucket_belongs_to_one_living_cluster() {
    let objects = tempfile::tempdir().expect("a directory");
    let server = S3Server::start(objects.path()).await;
    let first = tempfile::tempdir().expect("a directory");
    let node_1 = node(&server, first.path(), &[]).await;
    run(&node_1, "mine", "1").await;
    archived(&node_1).await;
    let second = tempfile::tempdir().expect("a directory");
    let ended = run_program(&mut command(&server, BUCKET, second.path())).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("lives and uses the bucket"), "{ended:?}");
    // Another prefix is another place.
    let other = node(&server, second.path(), &["--s3-prefix", "others"]).await;
    run(&other, "theirs", "2").await;
    let (_, listed) = get(&other, "/api/sessions").await;
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_is_wrong_with_the_bucket_is_told_at_the_start() {
    let objects = tempfile::tempdir().expect("a directory");
    let server = S3Server::start(objects.path()).await;
    let start = async |bucket: &str, secret: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = command(&server, bucket, directory.path());
        run_program(command.env("AWS_SECRET_ACCESS_KEY", secret)).await
    };
    let ended = start("nobodys", SECRET).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        ended.err.contains("there is no bucket nobodys"),
        "{ended:?}"
    );
    let ended = start(BUCKET, "wrong").await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("AWS_SECRET_ACCESS_KEY"), "{ended:?}");
}

#[tokio::test]
async fn a_bucket_that_fails_loses_nothing() {
    let objects = tempfile::tempdir().expect("a directory");
    let server = S3Server::start(objects.path()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let node_1 = node(&server, directory.path(), &["--cache-mb-max", "1"]).await;
    run(&node_1, "s", "var x = 1").await;
    // A few failures are not seen.
    server.refuse(2);
    run(&node_1, "s", LARGE).await;
    // A slow one is waited for.
    server.hold(Some("/blobs/"));
    let code = LARGE.replace("var big", "var more");
    let slow = run(&node_1, "s", &code);
    let until_held = async {
        wait_until("a blob to be held up", async || server.hit() > 2).await;
        server.hold(None);
    };
    tokio::join!(slow, until_held);
    // One that goes on is: the run is not kept, and the session stands where it stood.
    server.refuse(u32::MAX);
    let body = json!({"code": LARGE.replace("big", "lost"), "session": "s"});
    let (status, reply) = node_1.exec(body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{reply}");
    assert_eq!(reply["code"], "not_durable", "{reply}");
    server.refuse(0);
    let seen = said(&node_1, "s", "typeof lost + typeof big + typeof more + x").await;
    assert_eq!(seen, "'undefinedstringstring1'");
    archived(&node_1).await;
    node_1.signal(Signal::KILL);
    node_1.ended().await;

    // The bytes of a restore break off.
    let again = tempfile::tempdir().expect("a directory");
    let node_2 = node(&server, again.path(), &[]).await;
    server.cut(2);
    assert_eq!(said(&node_2, "s", "x + typeof more").await, "'1string'");
}

/// All nodes are lost with their disks; one of the same names finds the bucket, and the others find it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_come_back_from_the_bucket() {
    let objects = tempfile::tempdir().expect("a directory");
    let server = S3Server::start(objects.path()).await;
    let mut fleet = Fleet::of_three_planned();
    fleet.environment = server.environment().to_vec();
    for member in &mut fleet.members {
        member
            .flags
            .extend(["--s3-bucket", BUCKET].map(str::to_owned));
    }
    fleet.start_all().await;
    let exec = async |fleet: &Fleet, index: usize, code: &str| {
        let body = json!({"code": code, "session": "s"});
        until_answered(fleet, index, &body).await["result"].clone()
    };
    assert_eq!(exec(&fleet, 0, "globalThis.n = 1").await, 1);
    exec(&fleet, 1, LARGE).await;
    // Whoever leads keeps the log.
    let leader = fleet.leader().await;
    fleet.kill(leader);
    assert_eq!(exec(&fleet, (leader + 1) % 3, "++n").await, 2);
    fleet.start(leader).await;
    assert_eq!(exec(&fleet, leader, "++n").await, 3);
    wait_until("the log is in the bucket", async || {
        let leader = &fleet.members[fleet.leader().await];
        let metrics = fleet.client.get(leader.url("/metrics")).send().await;
        let metrics = metrics.expect("sent").text().await.expect("text");
        is_archived(&metrics)
    })
    .await;
    for index in 0..3 {
        fleet.kill(index);
        let directory = &fleet.members[index].directory;
        std::fs::remove_dir_all(directory).expect("removed");
    }
    fleet.start_all().await;
    for index in 0..3 {
        assert_eq!(exec(&fleet, index, "++n").await, 4 + index);
    }
    assert_eq!(exec(&fleet, 0, "typeof big").await, "string");
    let status = fleet.status().await;
    let nodes = status["nodes"].as_array().map(Vec::len);
    assert_eq!(nodes, Some(3), "{status}");
    fleet.same_state().await;
}

/// Rules and dashboard watch what there is: each name, and each value of a label that they ask for, is told by a node
/// with everything on.
#[tokio::test]
async fn what_deploy_watches_is_told() {
    let objects = tempfile::tempdir().expect("a directory");
    let server = S3Server::start(objects.path()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let node = node(&server, directory.path(), &[]).await;
    run(&node, "s", "1").await;
    let metrics = node.get("/metrics").await.text().await.expect("text");
    let told: std::collections::HashSet<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for file in ["prometheus/rules.yml", "grafana/mcp-v8.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(file);
        let text = std::fs::read_to_string(path)
            .expect("it is there")
            .replace('\\', "");
        let mut names = 0;
        for (at, _) in text.match_indices("mcp_v8_") {
            let end = text[at..].find(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
            let name = &text[at..at + end.expect("something follows")];
            assert!(
                told.contains(name.trim_end_matches("_bucket")),
                "{file} asks for {name}, which nobody tells"
            );
            names += 1;
            // {state="queued"} and the like.
            let rest = &text[at + name.len()..];
            if let Some((label, _)) = rest.strip_prefix('{').and_then(|it| it.split_once('}')) {
                let label = label.replace("!=", "=");
                assert!(metrics.contains(&label), "{file}: {label}");
            }
        }
        assert!(names > 10, "{file} asks for {names} names");
    }
}

/// With `--s3-durability commit` what a caller was told is in the bucket, not only what a period ago was.
#[tokio::test(flavor = "multi_thread")]
async fn with_commit_nothing_that_was_told_is_lost() {
    let objects = tempfile::tempdir().expect("a directory");
    let server = S3Server::start(objects.path()).await;
    let first = tempfile::tempdir().expect("a directory");
    let flags = ["--s3-durability", "commit", "--s3-archive-ms", "3600000"];
    let node_1 = node(&server, first.path(), &flags).await;
    for _ in 0..20 {
        run(&node_1, "s", "globalThis.n = (globalThis.n ?? 0) + 1").await;
    }
    let put = async |value: u32| {
        let put = reqwest::Client::new().put(node_1.url("/api/tags/t"));
        let put = put.json(&json!({"value": value})).send().await;
        put.expect("an answer").status()
    };
    // An answer waits for the bucket, and nobody but the caller does.
    server.hold(Some("/archive/"));
    let hit = server.hit();
    let told = AtomicBool::new(false);
    let held = async {
        let status = put(1).await;
        told.store(true, Ordering::Relaxed);
        status
    };
    let release = async {
        wait_until("the log to be held up", async || server.hit() > hit).await;
        assert!(!told.load(Ordering::Relaxed), "told before it was kept");
        assert_eq!(get(&node_1, "/api/tags/t?local=true").await.1["value"], 1);
        server.hold(None);
    };
    let (status, ()) = tokio::join!(held, release);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(said(&node_1, "s", "n").await, "20");
    node_1.signal(Signal::KILL);
    node_1.ended().await;
    drop(first);

    let second = tempfile::tempdir().expect("a directory");
    let node_2 = node(&server, second.path(), &flags).await;
    assert_eq!(said(&node_2, "s", "n").await, "20");
    assert_eq!(get(&node_2, "/api/tags/t").await.1["value"], 1);
}
