//! Random programs in twin sessions: one stays in its process, the other is moved all the time, by eviction, by
//! other nodes, by kill -9, as a file that is imported under another name. What the two say is the same, run for run.
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
/// A session moves as a file before one of so many runs.
const FILE_EVERY: u64 = 12;
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

/// The seed with the name under which the moved twin ends.
async fn program(seed: u64, stays: &Node, fleet: &Fleet, runs: &AtomicUsize) -> (u64, String) {
    let mut random = Random(seed);
    let kinds = Program::new(&mut random);
    let opening = format!(
        "var drawn = {}; Math.random = () => (drawn = (drawn * 48271) % 2147483647) / 2147483647;\n{OPENING}",
        seed % 1_000_000 + 1
    );
    let stayed_in = format!("twin-{seed}");
    let mut moved_in = stayed_in.clone();
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
        if random.below(FILE_EVERY) == 0 && number > 1 {
            let to = format!("twin-{seed}-{number}");
            move_as_a_file(fleet, random.below(3) as usize, &moved_in, &to).await;
            moved_in = to;
        }
        let body = |session: &str| {
            json!({
                "code": code, "session": session, "idempotency_key": number.to_string(),
                "language": "javascript", "timeout_ms": 60_000, "heap_mb": 256, "array_buffer_mb": 256,
                "memory_mb": 512,
            })
        };
        let (_, stayed) = stays.exec(body(&stayed_in)).await;
        let node = random.below(3) as usize;
        let moved = until_answered(fleet, node, &body(&moved_in)).await;
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
    (seed, moved_in)
}

/// Out of the cluster through one node, and in again through another.
async fn move_as_a_file(fleet: &Fleet, through: usize, from: &str, to: &str) {
    let url =
        |node: usize, path: &str| fleet.members[node % 3].url(&format!("/api/sessions/{path}"));
    let exported = fleet.client.get(url(through, &format!("{from}/export")));
    let exported = exported.send().await.expect("an answer");
    assert!(
        exported.status().is_success(),
        "{from}: {}",
        exported.status()
    );
    let file = exported.bytes().await.expect("a whole file");
    let imported = fleet.client.post(url(through + 1, &format!("{to}/import")));
    let imported = imported.body(file).send().await.expect("an answer");
    let status = imported.status();
    assert!(
        status.is_success(),
        "{to}: {}",
        imported.text().await.expect("text")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_say_the_same_wherever_they_are() {
    let programs = number("SESSION_TWINS", 200);
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
        let names = futures::stream::iter(first..first + some)
            .map(|seed| program(seed, &stays, &fleet, &runs))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        done += some;
        let hit = (done / KILL_EVERY % 3) as usize;
        fleet.kill(hit);
        fleet.start(hit).await;
        kills += 1;
        // The sessions of before go on.
        for (seed, moved_in) in names {
            let body = |session: String| json!({"code": "S.n", "session": session});
            let (_, stayed) = stays.exec(body(format!("twin-{seed}"))).await;
            let moved = until_answered(&fleet, 0, &body(moved_in)).await;
            assert_eq!(told(&stayed), told(&moved), "seed {seed} after a kill");
        }
    }
    println!(
        "seed {seed}: {done} programs, {} runs in each twin, 0 differences, {kills} nodes killed",
        runs.load(Ordering::Relaxed)
    );
    fleet.same_state().await;
}
