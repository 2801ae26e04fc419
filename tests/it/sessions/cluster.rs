//! Sessions of three nodes: any of them takes any run, and the loss of one loses nothing.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;

const INCREMENT: &str = "globalThis.n = (globalThis.n ?? 0) + 1";

async fn exec(fleet: &Fleet, index: usize, body: &Value) -> Option<(StatusCode, Value)> {
    let request = fleet.client.post(fleet.members[index].url("/api/exec"));
    let reply = request.json(body).timeout(PATIENCE).send().await.ok()?;
    Some((reply.status(), reply.json().await.ok()?))
}

async fn run(fleet: &Fleet, index: usize, session: &str, code: &str) -> Value {
    let body = json!({"code": code, "session": session});
    let (status, reply) = exec(fleet, index, &body).await.expect("an answer");
    assert_eq!(status, StatusCode::OK, "{code} on {index}: {reply}");
    reply
}

async fn owner(fleet: &Fleet, through: usize, session: &str) -> usize {
    let (_, info) = fleet
        .get(through, &format!("/api/sessions/{session}"))
        .await;
    let name = info["owner"].as_str().unwrap_or_else(|| panic!("{info}"));
    let index = fleet.members.iter().position(|member| member.name == name);
    index.expect("a member")
}

/// Runs until it is answered, through one node after the other, as a client behind a balancer does.
pub async fn until_answered(fleet: &Fleet, first: usize, body: &Value) -> Value {
    let begun = Instant::now();
    let mut at = first;
    loop {
        match exec(fleet, at, body).await {
            Some((StatusCode::OK, reply)) => return reply,
            Some((status, problem)) => assert!(
                status.is_server_error() || status.as_u16() == 429,
                "{status} {problem}"
            ),
            None => {}
        }
        assert!(begun.elapsed() < PATIENCE, "never answered: {body}");
        at = (at + 1) % fleet.members.len();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_a_run_of_any_session() {
    let fleet = Fleet::of_three().await;
    for number in 1..=12 {
        let reply = run(&fleet, number % 3, "s", INCREMENT).await;
        assert_eq!(reply["result"], number);
    }
    let logs = [0, 1, 2].map(|index| fleet.get(index, "/api/sessions/s/log"));
    let logs = futures::future::join_all(logs).await;
    assert!(logs.iter().all(|log| *log == logs[0]), "{logs:?}");
    // Branches run where they are asked for.
    let heap = logs[0].1["commits"][3]["heap"].clone();
    for index in 0..3 {
        let body = json!({"code": INCREMENT, "heap": heap});
        let (_, branch) = exec(&fleet, index, &body).await.expect("an answer");
        assert_eq!(branch["result"], 10, "{branch}");
    }
    // What runs on the owner is asked for through any node.
    let other = (owner(&fleet, 0, "s").await + 1) % 3;
    let request = fleet.client.post(fleet.members[other].url("/api/exec"));
    let request = request.header("prefer", "respond-async");
    let body = json!({"code": "console.log('there'); n", "session": "s"});
    let accepted = request.json(&body).send().await.expect("an answer");
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let accepted: Value = accepted.json().await.expect("JSON");
    let location = accepted["location"].as_str().expect("a path");
    let (_, ended) = fleet
        .get((other + 1) % 3, &format!("{location}?wait=20"))
        .await;
    assert_eq!(
        (&ended["result"], &ended["output"]),
        (&json!(12), &json!("there\n"))
    );
    // What is large is on a majority before anybody is told.
    let code = "var big = Array.from({length: 50_000}, (_, i) => ({i})); big.length";
    assert_eq!(run(&fleet, other, "s", code).await["result"], 50_000);
    fleet.same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_at_two_nodes_lose_no_update() {
    let fleet = Fleet::of_three().await;
    const EACH: usize = 40;
    let client = async |index: usize| {
        let mut seen = Vec::new();
        for _ in 0..EACH {
            let reply = run(&fleet, index, "shared", INCREMENT).await;
            seen.push(reply["result"].as_u64().expect("a number"));
        }
        seen
    };
    let (one, two) = tokio::join!(client(0), client(1));
    for seen in [&one, &two] {
        assert!(
            seen.is_sorted(),
            "one client's runs keep their order: {seen:?}"
        );
    }
    let mut all = [one, two].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=2 * EACH as u64).collect::<Vec<_>>());
}

/// Counts in a session while a fault hits, from a client that repeats each request with its key.
async fn count_through(fault: &str) {
    const COUNT: usize = 120;
    let mut fleet = Fleet::of_three().await;
    let mut longest = Duration::ZERO;
    let mut down = None;
    for number in 1..=COUNT {
        if number == COUNT / 3 {
            let hit = match fault {
                "owner" => owner(&fleet, 0, "counter").await,
                _ => fleet.leader().await,
            };
            match fault {
                "frozen" => fleet.members[hit].signal(Signal::STOP),
                _ => fleet.kill(hit),
            }
            down = Some(hit);
        }
        if number == 2 * COUNT / 3 {
            let hit = down.take().expect("something is down");
            match fault {
                "frozen" => fleet.members[hit].signal(Signal::CONT),
                _ => fleet.start(hit).await,
            }
        }
        let body = json!({
            "code": INCREMENT, "session": "counter", "idempotency_key": format!("k{number}"),
        });
        let first = (number + usize::from(Some(number % 3) == down)) % 3;
        let begun = Instant::now();
        let reply = until_answered(&fleet, first, &body).await;
        longest = longest.max(begun.elapsed());
        assert_eq!(reply["result"], number, "{reply}");
    }
    println!("{fault}: the longest run took {longest:?}");
    for index in 0..3 {
        fleet.ready(index).await;
        let (_, info) = fleet.get(index, "/api/sessions/counter").await;
        assert_eq!(info["commits"], COUNT, "{info}");
    }
    fleet.same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_is_killed_and_the_count_is_right() {
    count_through("owner").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_and_the_count_is_right() {
    count_through("leader").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_frozen_and_the_count_is_right() {
    count_through("frozen").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_are_killed_at_once_and_everything_is_there() {
    let mut fleet = Fleet::of_three().await;
    for number in 1..=10 {
        assert_eq!(
            run(&fleet, number % 3, "s", INCREMENT).await["result"],
            number
        );
    }
    let code = "var big = Array.from({length: 50_000}, (_, i) => ({i})); big.length";
    run(&fleet, 0, "s", code).await;
    for index in 0..3 {
        fleet.kill(index);
    }
    fleet.start_all().await;
    assert_eq!(
        run(&fleet, 1, "s", "[n, big.length]").await["result"],
        json!([10, 50_000])
    );
}

/// A node that has lost its blobs gets them from one that has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_copy_is_fetched_from_another_node() {
    let mut fleet = Fleet::of_three().await;
    let code = "var big = Array.from({length: 50_000}, (_, i) => ({i})); big.length";
    run(&fleet, 0, "s", code).await;
    let hit = owner(&fleet, 0, "s").await;
    fleet.kill(hit);
    let blobs = fleet.members[hit].directory.join("blobs");
    std::fs::remove_dir_all(blobs).expect("removed");
    fleet.start(hit).await;
    wait_until("its new life to run the session", PATIENCE, async || {
        run(&fleet, hit, "s", "big.length").await["result"] == 50_000
    })
    .await;
    let log = fleet.get(hit, "/api/sessions/s/log").await.1;
    let heap = log["commits"]
        .as_array()
        .expect("a list")
        .last()
        .expect("one")["heap"]
        .clone();
    let body = json!({"code": "big[49_999].i", "heap": heap});
    let (_, branch) = exec(&fleet, hit, &body).await.expect("an answer");
    assert_eq!(branch["result"], 49_999, "{branch}");
}
