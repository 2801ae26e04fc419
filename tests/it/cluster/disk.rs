//! Disks that run out of room: writes are refused, reads go on, and all goes on by itself when there is room.
//!
//! A file of many gigabytes, of which nothing is written, takes the room; a node's bound is chosen so that it is
//! over it before and under it then.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::faults::Unmount;
use super::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;

/// What other tests may write or remove meanwhile is less.
const MARGIN_MAX: u64 = 2 << 30;
const FULL: StatusCode = StatusCode::INSUFFICIENT_STORAGE;

/// Takes room until it is dropped.
struct Filler(PathBuf);

impl Filler {
    fn of(bytes: u64) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("filler-{}", std::process::id()));
        let file = File::create(&path).expect("a file can be made");
        let mode = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&file, mode, 0, bytes).expect("there is room for the test");
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn free() -> u64 {
    let found = rustix::fs::statvfs(env!("CARGO_TARGET_TMPDIR")).expect("the disk can be asked");
    found.f_bavail * found.f_frsize
}

/// Directories on the disk that the filler is on.
fn fleet() -> Fleet {
    Fleet::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn flags(free_min: u64) -> [String; 2] {
    [
        "--disk-free-min-mb".to_owned(),
        (free_min >> 20).to_string(),
    ]
}

async fn exec(fleet: &Fleet, index: usize, body: Value) -> (StatusCode, Value) {
    let url = fleet.members[index].url("/api/exec");
    let reply = fleet.client.post(url).json(&body).send().await;
    let reply = reply.expect("the node answers");
    (reply.status(), reply.json().await.expect("JSON"))
}

async fn put(fleet: &Fleet, index: usize, name: &str) -> (StatusCode, Value) {
    let reply = fleet.put(index, name, json!(1)).await;
    (reply.status(), reply.json().await.expect("JSON"))
}

async fn level(fleet: &Fleet, name: &str) -> String {
    let status = fleet.status().await;
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let node = nodes.into_iter().find(|node| node["name"] == name);
    let node = node.unwrap_or_default();
    node["disk"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_without_room_make_nodes_read_only_until_there_is_room() {
    let before = free();
    let margin = MARGIN_MAX.min(before / 8);
    // Low once the filler is there, and not before.
    let low = before - margin;
    let mut alone = fleet();
    alone.add("alone", &[]);
    alone.members[0].flags.extend(flags(low));
    alone.start(0).await;
    let session = json!({"code": "globalThis.n = (globalThis.n ?? 0) + 1", "session": "s"});
    assert_eq!(exec(&alone, 0, session.clone()).await.0, StatusCode::OK);
    assert_eq!(put(&alone, 0, "kept").await.0, StatusCode::OK);

    // Three more: of one the disk counts as full then, the two others do not look.
    let mut three = fleet();
    for name in ["n1", "n2", "n3"] {
        three.add(name, &[]);
    }
    let peers: Vec<_> = three
        .members
        .iter()
        .map(|it| format!("{}={}", it.name, it.endpoint()))
        .collect();
    for member in &mut three.members {
        member.flags = vec!["--peers".to_owned(), peers.join(",")];
        member.flags.extend(match member.name == "n2" {
            true => flags(4 * low),
            false => flags(0),
        });
    }
    // It would be low from the start, which is no less room than it has: it may not lead.
    three.start_all().await;
    assert_eq!(put(&three, 1, "early").await.0, StatusCode::OK);

    let filler = Filler::of(2 * margin);
    let mut problem = Value::Null;
    wait_until("writes to be refused", PATIENCE, async || {
        let (status, body) = put(&alone, 0, "more").await;
        problem = body;
        status == FULL
    })
    .await;
    assert_eq!(problem["code"], "disk_full", "{problem}");
    assert!(
        problem["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--disk-free-min-mb"))
    );
    let (status, refused) = exec(&alone, 0, session.clone()).await;
    assert_eq!(
        (status, &refused["code"]),
        (FULL, &json!("disk_full")),
        "{refused}"
    );
    // What writes nothing goes on, and what makes room is taken.
    assert_eq!(
        exec(&alone, 0, json!({"code": "1 + 2"})).await.1["result"],
        3
    );
    assert_eq!(alone.get(0, "/api/tags/kept").await.0, StatusCode::OK);
    let delete = alone.client.delete(alone.members[0].url("/api/tags/kept"));
    assert!(
        delete
            .send()
            .await
            .expect("an answer")
            .status()
            .is_success()
    );
    let told = alone.admin(&["status"]).await;
    assert_eq!(told.code, Some(1), "{}", told.out);
    assert!(
        told.out.contains("the disk of alone is low"),
        "{}",
        told.out
    );

    // One full disk of three: the others go on, and it lives.
    wait_until("n2 to be full", PATIENCE, async || {
        level(&three, "n2").await == "full"
    })
    .await;
    for number in 0..50 {
        let (status, body) = put(&three, 1, &format!("tag-{number}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    assert_eq!(
        three.get(1, "/api/tags/tag-1?local=true").await.0.as_u16() / 100,
        if three.leader().await == 1 { 2 } else { 4 }
    );

    drop(filler);
    wait_until("room again", PATIENCE, async || {
        put(&alone, 0, "more").await.0 == 200
    })
    .await;
    assert_eq!(
        exec(&alone, 0, session).await.1["result"],
        2,
        "the refused run has not happened"
    );
    wait_until("n2 to have room", PATIENCE, async || {
        level(&three, "n2").await != "full"
    })
    .await;
    let begun = std::time::Instant::now();
    three.same_state().await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// A file system of its own, in memory, where that can be had.
fn mounted(directory: &Path) -> Option<Unmount> {
    std::fs::create_dir_all(directory).expect("a directory can be made");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=400m", "tmpfs"])
        .arg(directory)
        .status();
    if mounted.is_ok_and(|status| status.success()) {
        return Some(Unmount(directory.to_owned()));
    }
    println!("SKIPPED: no file system can be mounted here");
    None
}

/// Takes all room that a directory's file system has, to the last byte.
fn filled(directory: &Path) -> Filler {
    let path = directory.join("filler");
    let mut file = File::create(&path).expect("a file can be made");
    let block = vec![1; 1 << 20];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..1]).is_ok() {}
    Filler(path)
}

/// A file system of its own for one node, filled by somebody else to the last byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_one_byte_left_loses_nothing_and_nobody_has_to_restart() {
    let mut fleet = Fleet::new();
    fleet.add("alone", &[]);
    let directory = fleet.members[0].directory.clone();
    let Some(_unmount) = mounted(&directory) else {
        return;
    };
    fleet.members[0].flags.extend(flags(100 << 20));
    fleet.start(0).await;
    let count = json!({"code": "globalThis.n = (globalThis.n ?? 0) + 1", "session": "s"});
    let mut counted = 0;
    let filler = directory.join("filler");
    let mut file = File::create(&filler).expect("there is room");
    let block = vec![1; 1 << 20];
    // While runs go on, a few MiB at a time; then to the last byte.
    loop {
        if file.write_all(&block).is_err() {
            break;
        }
        if exec(&fleet, 0, count.clone()).await.0 == StatusCode::OK {
            counted += 1;
        }
    }
    assert!(counted > 100, "{counted} runs before there was no room");
    let (status, refused) = exec(&fleet, 0, count.clone()).await;
    assert_eq!(
        (status, &refused["code"]),
        (FULL, &json!("disk_full")),
        "{refused}"
    );
    assert_eq!(level(&fleet, "alone").await, "full");
    assert_eq!(
        exec(&fleet, 0, json!({"code": "1 + 2"})).await.1["result"],
        3
    );
    let (status, session) = fleet.get(0, "/api/sessions/s").await;
    assert_eq!(
        (status, &session["commits"]),
        (StatusCode::OK, &json!(counted))
    );
    drop(file);
    std::fs::remove_file(&filler).expect("it is ours");
    let mut reply = Value::Null;
    wait_until("room again", PATIENCE, async || {
        let (status, body) = exec(&fleet, 0, count.clone()).await;
        reply = body;
        status == StatusCode::OK
    })
    .await;
    assert_eq!(
        reply["result"],
        counted + 1,
        "what was refused has not happened"
    );
    // And all of it is there after the loss of power.
    fleet.kill(0);
    fleet.start(0).await;
    assert_eq!(exec(&fleet, 0, count).await.1["result"], counted + 2);
    fleet.kill(0);
}

/// The disk of one node of three, then of all of them, and room again: nothing is lost, and nobody is started anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_disks_of_a_cluster_run_full_and_it_goes_on() {
    let mut fleet = Fleet::of_three_planned();
    let mut unmount = Vec::new();
    for member in &mut fleet.members {
        let Some(mounted) = mounted(&member.directory) else {
            return;
        };
        unmount.push(mounted);
        member.flags.extend(flags(100 << 20));
    }
    fleet.start_all().await;
    let pids: Vec<_> = fleet.members.iter().map(|member| member.pid()).collect();
    let mut counted = 0;
    // What is not known to have happened is asked for again, with its key.
    let count = async |fleet: &Fleet, index: usize, number: u64| {
        let body = json!({
            "code": "globalThis.n = (globalThis.n ?? 0) + 1",
            "session": "s",
            "idempotency_key": number.to_string(),
        });
        let url = fleet.members[index].url("/api/exec");
        // One that is not answered for long is asked for again as well.
        match fleet.client.post(url).json(&body).send().await {
            Ok(reply) => (reply.status(), reply.json().await.unwrap_or_default()),
            Err(_) => (StatusCode::GATEWAY_TIMEOUT, Value::Null),
        }
    };
    let go_on = async |fleet: &Fleet, counted: &mut u64| {
        let number = *counted + 1;
        for index in (0..3).cycle() {
            let (status, body) = count(fleet, index, number).await;
            if status == StatusCode::OK {
                assert_eq!(body["result"], number, "{body}");
                *counted = number;
                return;
            }
        }
    };
    for _ in 0..20 {
        tokio::time::timeout(PATIENCE * 3, go_on(&fleet, &mut counted))
            .await
            .expect("it counts");
    }
    let directories: Vec<_> = fleet
        .members
        .iter()
        .map(|it| it.directory.clone())
        .collect();
    let first = filled(&directories[0]);
    let name = fleet.members[0].name.clone();
    wait_until("one node to be full", PATIENCE, async || {
        level(&fleet, &name).await == "full"
    })
    .await;
    for _ in 0..20 {
        tokio::time::timeout(PATIENCE * 3, go_on(&fleet, &mut counted))
            .await
            .expect("two go on");
    }
    let others = [filled(&directories[1]), filled(&directories[2])];
    let mut refused = Value::Null;
    wait_until("all to be full", PATIENCE, async || {
        let (status, body) = count(&fleet, 1, counted + 1).await;
        refused = body;
        if status == StatusCode::OK {
            counted += 1;
        }
        status == FULL
    })
    .await;
    assert_eq!(refused["code"], "disk_full", "{refused}");
    for index in 0..3 {
        assert_eq!(
            exec(&fleet, index, json!({"code": "1 + 2"})).await.1["result"],
            3
        );
    }
    drop(others);
    drop(first);
    wait_until("room again", PATIENCE, async || {
        let (status, body) = count(&fleet, 2, counted + 1).await;
        if status == StatusCode::OK {
            counted += 1;
            assert_eq!(body["result"], counted, "{body}");
        }
        status == StatusCode::OK
    })
    .await;
    for _ in 0..20 {
        tokio::time::timeout(PATIENCE * 3, go_on(&fleet, &mut counted))
            .await
            .expect("it goes on");
    }
    fleet.same_state().await;
    let now: Vec<_> = fleet.members.iter().map(|member| member.pid()).collect();
    assert_eq!(now, pids, "nobody was started anew");
    for index in 0..3 {
        fleet.kill(index);
    }
    drop(fleet);
    drop(unmount);
}
