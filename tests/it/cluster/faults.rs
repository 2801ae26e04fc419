//! What may happen to nodes, under writes and reads through all of them: nothing that was acknowledged is
//! lost, nothing takes effect twice, the history is linearizable (`linear` tells how that is checked), and
//! writes go through again soon after. A run in which the fault did not hit fails.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::fleet::{Fleet, PATIENCE};
use super::history::History;
use super::linear;
use super::load::Load;
use super::wire::Link;
use crate::server::wait_until;

/// Work before, during and after a fault.
const QUIET: Duration = Duration::from_secs(1);

/// Waits until the clients have worked for a while.
async fn work(load: &Load, time: Duration) {
    let until = load.now() + time;
    wait_until("the clients to work", PATIENCE, async || {
        load.now() >= until
    })
    .await;
}

/// The end of each scenario: all nodes serve, the history is right, the states are one.
async fn settle(fleet: &Fleet, load: Load) -> History {
    for index in 0..fleet.members.len() {
        fleet.ready(index).await;
    }
    for index in 0..fleet.members.len() {
        wait_until("writes through each node", PATIENCE, async || {
            fleet.put(index, "settled", json!(index)).await.status() == 200
        })
        .await;
    }
    let history = load.end().await;
    assert!(
        history.acknowledged_writes() > 50,
        "the clients did nothing"
    );
    if let Some(fault) = linear::fault(&history) {
        panic!("{fault}");
    }
    fleet.same_state().await;
    history
}

/// The cluster believes that all nodes live.
async fn all_live(fleet: &Fleet) {
    wait_until("all nodes to live", PATIENCE, async || {
        let status = fleet.status().await;
        let members = status["members"].as_array().cloned().unwrap_or_default();
        !members.is_empty() && members.iter().all(|member| member["alive"] == true)
    })
    .await;
}

async fn terms(fleet: &Fleet) -> u64 {
    let status = fleet.status().await;
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes
        .iter()
        .filter_map(|node| node["term"].as_u64())
        .max()
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_killed() {
    let mut fleet = Fleet::of_three().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    let (leader, term) = (fleet.leader().await, terms(&fleet).await);
    let from = load.now();
    fleet.kill(leader);
    let next = fleet.leader().await;
    assert_ne!(next, leader, "the fault hit no leader");
    work(&load, QUIET).await;
    fleet.start(leader).await;
    let to = load.now();
    let history = settle(&fleet, load).await;
    assert!(terms(&fleet).await > term, "nobody was elected");
    println!(
        "longest time without a write: {:?}",
        history.longest_silence(from, to)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_killed() {
    let mut fleet = Fleet::of_three().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    let (follower, leader) = (fleet.follower().await, fleet.leader().await);
    fleet.kill(follower);
    work(&load, QUIET).await;
    assert_eq!(
        fleet.leader().await,
        leader,
        "the others go on under the same leader"
    );
    fleet.start(follower).await;
    settle(&fleet, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_frozen_for_ten_seconds() {
    let fleet = Fleet::of_three().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    let leader = fleet.leader().await;
    let name = fleet.members[leader].name.clone();
    fleet.members[leader].signal(Signal::STOP);
    let others: Vec<_> = (0..3).filter(|index| *index != leader).collect();
    let frozen_at = load.now();
    // Its life is over for the others, and another one leads.
    wait_until("the cluster to give it up", PATIENCE, async || {
        let mut command = crate::support::program();
        let endpoint = fleet.members[others[0]].endpoint();
        command.args(["admin", "--timeout-secs", "5", "--endpoints", &endpoint]);
        let told = crate::support::run(command.args(["-o", "json", "members"])).await;
        let told: serde_json::Value = serde_json::from_str(&told.out).unwrap_or_default();
        let members = told["members"].as_array().cloned().unwrap_or_default();
        let is_down = members
            .iter()
            .any(|it| it["name"] == name.as_str() && it["alive"] == false);
        is_down && load.now() >= frozen_at + Duration::from_secs(10)
    })
    .await;
    fleet.members[leader].signal(Signal::CONT);
    all_live(&fleet).await;
    assert_ne!(fleet.leader().await, leader, "the fault hit no leader");
    settle(&fleet, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_cut_off() {
    let fleet = Fleet::of_three_wired().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    let leader = fleet.leader().await;
    let wires = fleet.wires.as_ref().expect("it has wires");
    wires.set(leader, Link::Cut);
    let others: Vec<_> = (0..3).filter(|index| *index != leader).collect();
    wait_until("the others to elect", PATIENCE, async || {
        fleet.put(others[0], "elected", json!(1)).await.status() == 200
    })
    .await;
    // Cut off it can't confirm anything.
    let alone = fleet.put(leader, "alone", json!(1)).await.status().as_u16();
    assert!([503, 504].contains(&alone), "{alone}");
    work(&load, QUIET).await;
    wires.heal();
    settle(&fleet, load).await;
    let (status, elected) = fleet.get(leader, "/api/tags/elected").await;
    assert_eq!((status.as_u16(), &elected["value"]), (200, &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_slow_and_lossy() {
    let fleet = Fleet::of_three_wired().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    let wires = fleet.wires.as_ref().expect("it has wires");
    let from = load.now();
    for node in 0..3 {
        wires.set(node, Link::Lossy);
    }
    work(&load, 4 * QUIET).await;
    let to = load.now();
    wires.heal();
    let history = settle(&fleet, load).await;
    let slow = history
        .0
        .iter()
        .filter(|call| (from..to).contains(&call.start));
    let slowest = slow.filter_map(|call| Some(call.end? - call.start)).max();
    assert!(
        slowest > Some(Duration::from_millis(40)),
        "the links were not slow: {slowest:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_are_killed_at_once() {
    let mut fleet = Fleet::of_three().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    for index in 0..3 {
        fleet.kill(index);
    }
    fleet.start_all().await;
    work(&load, QUIET).await;
    settle(&fleet, load).await;
}

/// The volume of the first node, which had formed the cluster, is wiped: it may not form another one, it is
/// told what to do, and after that it is back with everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_is_lost_and_replaced() {
    let mut fleet = Fleet::of_three().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    fleet.kill(0);
    std::fs::remove_dir_all(&fleet.members[0].directory).expect("it was there");
    fleet.launch(0);
    let status = fleet.ended(0).await;
    assert!(!status.success());
    let log = fleet.members[0].log();
    assert!(log.contains("mcp-v8 admin members replace n1"), "{log}");

    fleet.leader().await;
    let told = fleet.admin(&["members", "replace", "n1"]).await;
    if told.code != Some(0) {
        // Its lease was not over yet.
        assert!(
            told.err.contains("seems to live"),
            "{} {}",
            told.out,
            told.err
        );
        wait_until("its life to be over", PATIENCE, async || {
            fleet.admin(&["members", "replace", "n1"]).await.code == Some(0)
        })
        .await;
    }
    std::fs::remove_dir_all(&fleet.members[0].directory).ok();
    fleet.start(0).await;
    fleet.administer(&["members", "wait", "n1"]).await;
    settle(&fleet, load).await;
}

/// A node that does not look at its disk, and finds it full, stops rather than forgets; the others go on, and with
/// room it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_is_full() {
    let mut fleet = Fleet::of_three().await;
    let victim = fleet.follower().await;
    let directory = fleet.members[victim].directory.clone();
    fleet.stop(victim).await;
    let unwatched = ["--disk-free-min-mb", "0"].map(str::to_owned);
    fleet.members[victim].flags.extend(unwatched);
    // A file system of its own, a little larger than what is there; that takes a right that not everybody has.
    let kept = directory.with_extension("kept");
    std::fs::rename(&directory, &kept).expect("both are in one place");
    std::fs::create_dir(&directory).expect("it is free now");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
        .arg(&directory)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("SKIPPED: no file system can be mounted here");
        return;
    }
    let _unmount = Unmount(directory.clone());
    copy_sparse(&kept, &directory);
    fleet.start(victim).await;
    let load = Load::start(&fleet);
    let leader = fleet.leader().await;
    let large = "x".repeat(60_000);
    // Until there is no more room.
    let mut count = 0;
    wait_until("the disk to be full", 2 * PATIENCE, async || {
        count += 1;
        fleet
            .put(leader, &format!("large-{}", count % 400), json!(large))
            .await;
        fleet.members[victim].log().contains("can't go on") || !fleet.is_ready(victim).await
    })
    .await;
    let status = fleet.ended(victim).await;
    assert!(!status.success(), "a node with a full disk has to stop");
    let resized = std::process::Command::new("mount")
        .args(["-o", "remount,size=512m"])
        .arg(&directory)
        .status();
    assert!(resized.expect("mount runs").success());
    fleet.start(victim).await;
    settle(&fleet, load).await;
    fleet.kill(victim);
}

pub struct Unmount(pub std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

/// As it is, without the room that the log has taken for later.
fn copy_sparse(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp")
        .args(["-a", "--sparse=always"])
        .arg(from.join("."))
        .arg(to)
        .status();
    assert!(copied.expect("cp runs").success());
}

/// A node that comes when the log is gone gets the whole state, and then has the leader's hash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_after_the_log_was_purged() {
    let mut fleet = Fleet::of_three().await;
    let load = Load::start(&fleet);
    work(&load, QUIET).await;
    for name in ["n1", "n2", "n3"] {
        fleet.administer(&["snapshot", name]).await;
        fleet.administer(&["purge", name]).await;
    }
    let leader = fleet.members[fleet.leader().await].endpoint();
    let joined = fleet.add("n4", &["--join", &leader]);
    fleet.start(joined).await;
    fleet.administer(&["members", "wait", "n4"]).await;
    let status = fleet.status().await;
    let nodes = status["nodes"].as_array().expect("a list");
    let of_new = nodes
        .iter()
        .find(|node| node["name"] == "n4")
        .expect("it answers");
    assert!(
        of_new["purged_index"].as_u64() > Some(0),
        "it was sent the log: {of_new}"
    );
    settle(&fleet, load).await;
}
