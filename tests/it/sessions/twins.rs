//! Random programs in twin sessions: one stays in its process, the other is moved all the time, by eviction, by
//! other nodes, by kill -9. What the two say is the same, run for run.
//!
//! `SESSION_TWINS=N` for another number of programs, `SESSION_TWINS_SEED=N` for others.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::cluster::until_answered;
use super::programs::{OPENING, Program, Random};
use crate::cluster::fleet::Fleet;
use crate::support::Node;

const RUNS: u64 = 12;
const AT_ONCE: usize = 4;
/// A node is killed and started again after so many programs.
const KILL_EVERY: u64 = 25;

/// Twins have no clock and no randomness in common, and collect garbage when they like.
fn is_comparable(code: &str) -> bool {
    let differs = ["Date.now", "performance.now", "crypto.", "deref", "S.dead"];
    !differs.iter().any(|word| code.contains(word))
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// What a caller is told, without what is another thing each time.
fn told(reply: &Value) -> Value {
    let error = reply
        .get("error")
        .map(|error| json!([error["name"], error["message"]]));
    json!([
        reply["status"],
        reply["result_text"],
        reply["output"],
        error
    ])
}

async fn program(seed: u64, stays: &Node, fleet: &Fleet, runs: &AtomicUsize) {
    let mut random = Random(seed);
    let kinds = Program::new(&mut random);
    let opening = format!(
        "var drawn = {}; Math.random = () => (drawn = (drawn * 48271) % 2147483647) / 2147483647;\n{OPENING}",
        seed % 1_000_000 + 1
    );
    let session = format!("twin-{seed}");
    for number in 1..=RUNS {
        let code = match number {
            1 => opening.clone(),
            _ => loop {
                let code = kinds.code(&mut random);
                if is_comparable(&code) {
                    break code;
                }
            },
        };
        let body = json!({
            "code": code, "session": session, "idempotency_key": number.to_string(),
            "language": "javascript", "timeout_ms": 60_000, "heap_mb": 256, "array_buffer_mb": 256,
            "memory_mb": 512,
        });
        let (_, stayed) = stays.exec(body.clone()).await;
        let node = random.below(3) as usize;
        let moved = until_answered(fleet, node, &body).await;
        assert_eq!(
            told(&stayed),
            told(&moved),
            "seed {seed}, run {number}: {code}"
        );
        assert_eq!(
            stayed.get("parent").is_some(),
            moved.get("parent").is_some(),
            "seed {seed}, run {number}: one was kept, the other not: {stayed} {moved}"
        );
        runs.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_say_the_same_wherever_they_are() {
    let programs = number("SESSION_TWINS", 40);
    let seed = number("SESSION_TWINS_SEED", 1);
    println!("seed {seed}, {programs} programs of {RUNS} runs");
    let stays = Node::start(&[]).await;
    let mut fleet = Fleet::of_three_planned();
    for member in &mut fleet.members {
        // So few processes that nearly every run is a restore.
        let flags = ["--sessions-warm-max", "1"].map(str::to_owned);
        member.flags.extend(flags);
    }
    fleet.start_all().await;
    let runs = AtomicUsize::new(0);
    let (mut done, mut kills) = (0, 0);
    while done < programs {
        let some = KILL_EVERY.min(programs - done);
        let first = seed * 1_000_000 + done;
        futures::stream::iter(first..first + some)
            .map(|seed| program(seed, &stays, &fleet, &runs))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<()>>()
            .await;
        done += some;
        let hit = (done / KILL_EVERY % 3) as usize;
        fleet.kill(hit);
        fleet.start(hit).await;
        kills += 1;
        // A session of before goes on.
        let body = json!({"code": "S.n", "session": format!("twin-{first}")});
        let (stayed, moved) = (
            stays.exec(body.clone()).await.1,
            until_answered(&fleet, 0, &body).await,
        );
        assert_eq!(told(&stayed), told(&moved), "seed {first} after a kill");
    }
    println!(
        "seed {seed}: {done} programs, {} runs in each twin, 0 differences, {kills} nodes killed",
        runs.load(Ordering::Relaxed)
    );
    fleet.same_state().await;
}
