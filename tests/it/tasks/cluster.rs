//! Tasks on three nodes that are killed, frozen and cut off: all end, and each counts once.

use std::time::Duration;

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::fleet::{Fleet, PATIENCE};
use crate::cluster::wire::Link;
use crate::server::wait_until;
use crate::sessions::Random;

/// Tasks of one round; half of them in sessions.
const TASKS: u64 = 24;
const SESSIONS: u64 = 4;
/// All of a round's tasks have ended by then: several leases, and the runs themselves.
const ROUND_MAX: Duration = Duration::from_secs(150);

fn env(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// Makes a task through any node that answers; the key makes the retries safe.
async fn create(fleet: &Fleet, first: usize, body: &Value) -> String {
    let (mut at, mut id) = (first, None);
    wait_until("a task to be made", PATIENCE, async || {
        at = (at + 1) % 3;
        let url = fleet.members[at].url("/api/tasks");
        let request = fleet.client.post(url).json(body);
        let Ok(reply) = request.timeout(Duration::from_secs(5)).send().await else {
            return false;
        };
        let status = reply.status();
        if status != StatusCode::CREATED && status != StatusCode::OK {
            assert!(status.is_server_error() || status == 429, "{status}");
            return false;
        }
        let Ok(task) = reply.json::<Value>().await else {
            return false;
        };
        id = task["task_id"].as_str().map(str::to_owned);
        true
    })
    .await;
    id.expect("just made")
}

async fn task(fleet: &Fleet, at: usize, id: &str) -> Option<Value> {
    let url = fleet.members[at].url(&format!("/api/tasks/{id}"));
    let request = fleet.client.get(url).timeout(Duration::from_secs(3));
    let reply = request.send().await.ok()?;
    let whole = reply.status() == StatusCode::OK;
    reply.json().await.ok().filter(|_| whole)
}

/// A library that puts the clock of the node that it is loaded into ahead.
fn skewed_clock() -> String {
    let library = concat!(env!("CARGO_TARGET_TMPDIR"), "/skewed_clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tasks/skewed_clock.c");
    let built = std::process::Command::new("cc")
        .args([
            "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, source,
        ])
        .status();
    assert!(built.expect("a C compiler").success());
    library.to_owned()
}

/// The node's own clock is the one that stamps what enters through it.
async fn assert_skewed(fleet: &Fleet) {
    let mut made = Vec::new();
    for index in [0, 2] {
        let reply = fleet.put(index, "clock", json!(index)).await;
        assert_eq!(reply.status(), StatusCode::OK);
        let (_, tag) = fleet.get(0, "/api/tags/clock").await;
        let time = tag["changed_at"].as_str().expect("a time");
        made.push(cluster::schedule::time_ms(time).expect("RFC 3339"));
    }
    assert!(
        made[1] - made[0] > 9_000,
        "the clock is not skewed: {made:?}"
    );
}

/// What happens to nodes in a round.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Freeze,
    CutOff,
}

async fn round(fleet: &mut Fleet, dice: &mut Random, round: u64) {
    let mut ids = Vec::new();
    for number in 0..TASKS {
        let mut body = json!({
            "code": "const until = Date.now() + input.ms; while (Date.now() < until); \
                     globalThis.n = (globalThis.n ?? 0) + 1; input.number",
            "input": {"ms": dice.below(600), "number": number},
            "timeout_ms": 10_000,
            "idempotency_key": format!("{round}-{number}"),
        });
        if number % 2 == 0 {
            let session = number / 2 % SESSIONS;
            body["session"] = json!(format!("r{round}-{session}"));
        }
        ids.push(create(fleet, dice.below(3) as usize, &body).await);
    }
    for _ in 0..2 {
        let (victim, fault) = (
            dice.below(3) as usize,
            [Fault::Kill, Fault::Freeze, Fault::CutOff][dice.below(3) as usize],
        );
        println!("round {round}: {fault:?} {}", fleet.members[victim].name);
        match fault {
            Fault::Kill => fleet.kill(victim),
            Fault::Freeze => fleet.members[victim].signal(Signal::STOP),
            Fault::CutOff => fleet
                .wires
                .as_ref()
                .expect("it is wired")
                .set(victim, Link::Cut),
        }
        // Until the others have given its tasks away, which takes a lease, or not even that.
        let other = (victim + 1) % 3;
        let name = fleet.members[victim].name.clone();
        if dice.below(2) == 0 {
            wait_until("nobody to wait for the victim", PATIENCE, async || {
                let mut running = 0;
                for id in &ids {
                    let Some(task) = task(fleet, other, id).await else {
                        return false;
                    };
                    running += u32::from(task["status"] == "running" && task["node"] == *name);
                }
                running == 0
            })
            .await;
        }
        match fault {
            Fault::Kill => fleet.start(victim).await,
            Fault::Freeze => fleet.members[victim].signal(Signal::CONT),
            Fault::CutOff => fleet.wires.as_ref().expect("it is wired").heal(),
        }
        fleet.ready(victim).await;
    }
    let mut left = ids.clone();
    let mut ended = Vec::new();
    wait_until("all tasks to end", ROUND_MAX, async || {
        let mut still = Vec::new();
        for id in left.drain(..) {
            match task(fleet, 0, &id).await {
                Some(task) if task["finished_at"].is_string() => ended.push(task),
                _ => still.push(id),
            }
        }
        left = still;
        left.is_empty()
    })
    .await;
    for task in &ended {
        assert_eq!(task["status"], "succeeded", "{task}");
        let number = ids.iter().position(|id| task["task_id"] == **id);
        assert_eq!(task["report"]["result"], number.expect("ours"), "{task}");
    }
    let lost: u64 = ended
        .iter()
        .map(|task| task["attempts"].as_u64().unwrap_or(0) - 1)
        .sum();
    // In a session each has happened exactly once, whatever was tried.
    let mut counted = 0;
    for session in 0..SESSIONS {
        let body = json!({"code": "n", "session": format!("r{round}-{session}")});
        let reply = crate::sessions::until_answered(fleet, 0, &body).await;
        counted += reply["result"].as_u64().expect("a number");
    }
    assert_eq!(counted, TASKS / 2, "tasks in sessions count once");
    println!("round {round}: {lost} attempts were lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_ends_and_counts_once_whatever_becomes_of_nodes() {
    let (seed, rounds) = (env("TASKS_SEED", 7), env("TASKS_ROUNDS", 1));
    println!("TASKS_SEED={seed} TASKS_ROUNDS={rounds}");
    let mut dice = Random(seed);
    let mut fleet = Fleet::of_three_wired_planned().await;
    // The third one's clock is ahead, whoever leads.
    let library = skewed_clock();
    let skew = [("LD_PRELOAD", library.clone()), ("SKEW_S", "10".to_owned())];
    fleet.members[2].environment.extend(skew);
    fleet.start_all().await;
    assert_skewed(&fleet).await;
    for number in 0..rounds {
        round(&mut fleet, &mut dice, number).await;
    }
    fleet.same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_gives_its_tasks_back_at_once() {
    let mut fleet = Fleet::of_three_planned();
    for member in &mut fleet.members {
        member
            .flags
            .extend(["--drain-timeout-secs".to_owned(), "1".to_owned()]);
    }
    fleet.start_all().await;
    let body = json!({
        "code": "const until = Date.now() + 4000; while (Date.now() < until); 'done'",
        "timeout_ms": 20_000,
    });
    let id = create(&fleet, 0, &body).await;
    let mut at = None;
    wait_until("a node to have it", PATIENCE, async || {
        let task = task(&fleet, 0, &id).await.unwrap_or_default();
        let name = task["node"].as_str().unwrap_or_default().to_owned();
        at = fleet.members.iter().position(|member| member.name == name);
        task["status"] == "running"
    })
    .await;
    let victim = at.expect("just seen");
    let other = (victim + 1) % 3;
    assert_eq!(fleet.stop(victim).await.code(), Some(0));
    let mut last = Value::Null;
    wait_until("the task to end elsewhere", PATIENCE, async || {
        last = task(&fleet, other, &id).await.unwrap_or_default();
        last["finished_at"].is_string()
    })
    .await;
    assert_eq!(
        (&last["status"], &last["attempts"]),
        (&json!("succeeded"), &json!(2)),
        "{last}"
    );
    assert_ne!(last["node"], fleet.members[victim].name);
    assert_eq!(
        last["failures"], 0,
        "a stop is no error of the task: {last}"
    );
}
