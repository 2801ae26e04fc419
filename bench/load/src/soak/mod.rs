//! Mixed runs at full speed, a twentieth of them hostile, with every answer checked.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use tokio::task::LocalSet;

use crate::client::{Connection, Target};
use crate::error::LoadError;

mod case;
mod watch;

use case::Case;
use watch::{Sample, Watch};

/// How many forks a node takes from one zygote.
const FORKS_PER_ZYGOTE: u64 = 100_000;

/// More than ever wait for a run.
const FORKS_WAITING_MAX: u64 = 1_000;

/// How long the server may take to be as it was before the load.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// Wrong answers that are shown; all are counted.
const SHOWN_MAX: usize = 20;

/// What the soak is told.
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// http://host:port of the server
    #[arg(long)]
    url: String,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The node's process
    #[arg(long)]
    node_pid: u32,
    /// The order of the programs; the same seed gives each client the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients, with a connection each
    #[arg(long, default_value_t = 16)]
    concurrency: u64,
    /// How much the node's and the zygote's memory may grow, in percent
    #[arg(long, default_value_t = 15.0)]
    growth_percent_max: f64,
    /// Growth below this passes whatever its percentage, in KiB
    #[arg(long, default_value_t = 8192)]
    growth_kb_max: u64,
}

/// What the clients count together.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    answered: u64,
    hostile: u64,
    lost: u64,
    wrong: u64,
    kinds: BTreeMap<&'static str, u64>,
    /// Bits of each `Math.random()`: forks of one zygote must not share a sequence.
    randoms: HashSet<u64>,
    shown: usize,
}

impl Tally {
    fn complain(&mut self, what: &str, number: u64, case: &Case, why: &str) {
        if self.shown < SHOWN_MAX {
            self.shown += 1;
            let why: String = why.chars().take(600).collect();
            println!("{what} answer: run {number}, {}: {why}", case.kind);
        }
    }
}

/// Runs it, prints what it saw, and fails when anything was not as it must be.
pub async fn run(args: SoakArgs) -> Result<(), LoadError> {
    LocalSet::new().run_until(soak(args)).await
}

async fn soak(args: SoakArgs) -> Result<(), LoadError> {
    let target = Target::parse(&args.url)?.at("/api/exec");
    println!(
        "soak: seed {}, {} s, {} clients",
        args.seed, args.seconds, args.concurrency
    );
    // Each kind once before the start's figures are taken: what the server sets up lazily is no leak.
    let tally = Rc::new(RefCell::new(Tally::default()));
    {
        let mut connection = Connection::open(&target).await?;
        for (number, case) in case::each().into_iter().enumerate() {
            attempt(&mut connection, number as u64, &case, &tally).await?;
        }
    }
    let mut watch = Watch::new(target.at("/health?verbose"), args.node_pid).await?;
    let start = watch.quiet(None, SETTLE_LIMIT).await?;
    println!("start:  {start}");

    let started = Instant::now();
    let until = started + Duration::from_secs(args.seconds);
    let mut clients = Vec::new();
    for client in 0..args.concurrency {
        let (target, tally) = (target.clone(), tally.clone());
        let random = case::Random::new(args.seed, client);
        clients.push(tokio::task::spawn_local(drive(
            target, random, client, until, tally,
        )));
    }
    let mut samples: Vec<Sample> = Vec::new();
    let mut told = Instant::now();
    let mut samples_lost = 0_usize;
    while Instant::now() < until {
        match watch.sample().await {
            Ok(sample) => {
                if told.elapsed() >= Duration::from_secs(10) {
                    told = Instant::now();
                    println!("{:5.0} s {sample}", started.elapsed().as_secs_f64());
                }
                samples.push(sample);
            }
            Err(error) => {
                samples_lost += 1;
                println!("health: {error}");
            }
        }
        // The next sample is due on the second; this is a clock, not a wait for a condition.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for client in clients {
        client.await.expect("a client does not panic");
    }
    let seconds = started.elapsed().as_secs_f64();
    let end = watch.quiet(Some(start), SETTLE_LIMIT).await?;
    println!("end:    {end}");
    let tally = tally.take();
    println!(
        "{} runs in {seconds:.1} s ({:.0}/s), {} hostile",
        tally.answered,
        tally.answered as f64 / seconds,
        tally.hostile,
    );
    for (kind, count) in &tally.kinds {
        println!("  {kind:<22}{count:>9}");
    }
    let mut checks = Checks::default();
    checks.that(
        "no answer was wrong",
        tally.wrong == 0,
        format!("{} wrong", tally.wrong),
    );
    checks.that(
        "no answer was lost",
        tally.lost == 0 && tally.sent == tally.answered,
        format!(
            "{} sent, {} answered, {} lost",
            tally.sent, tally.answered, tally.lost
        ),
    );
    let share = 100.0 * tally.hostile as f64 / tally.answered.max(1) as f64;
    checks.that(
        "a twentieth was hostile",
        (2.5..=10.0).contains(&share),
        format!("{share:.1} percent"),
    );
    checks.that(
        "health answered throughout",
        samples_lost == 0,
        format!("{samples_lost} lost"),
    );
    for (whose, of) in [
        (
            "node",
            (|sample: &Sample| sample.node_kb) as fn(&Sample) -> u64,
        ),
        ("zygote", |sample: &Sample| sample.zygote_kb),
    ] {
        let (early, late) = tenths(&samples, of);
        let bound = early
            + ((early as f64 * args.growth_percent_max / 100.0) as u64).max(args.growth_kb_max);
        checks.that(
            &format!("memory of the {whose} is flat"),
            early > 0 && late <= bound,
            format!("second tenth {early} KiB, last {late} KiB, bound {bound} KiB"),
        );
    }
    // Each run is a fork, and a few wait: a zygote is replaced after so many, and else never.
    let renewals = end.zygote_starts - start.zygote_starts;
    let due = (tally.sent + FORKS_WAITING_MAX) / FORKS_PER_ZYGOTE;
    checks.that(
        "the zygote is renewed only when that is due",
        renewals <= due,
        format!(
            "{renewals} times in {} runs, due every {FORKS_PER_ZYGOTE}",
            tally.sent
        ),
    );
    checks.that(
        "descriptors are back",
        end.descriptors <= start.descriptors,
        format!("{} then {}", start.descriptors, end.descriptors),
    );
    checks.that(
        "processes are back",
        end.processes <= start.processes,
        format!("{} then {}", start.processes, end.processes),
    );
    checks.that(
        "no zombie is left",
        end.zombies == 0,
        format!("{}", end.zombies),
    );
    checks.end()
}

/// The medians of the second and of the last tenth: the first is the time to fill up.
fn tenths(samples: &[Sample], of: fn(&Sample) -> u64) -> (u64, u64) {
    let tenth = (samples.len() / 10).max(1);
    let median = |part: &[Sample]| {
        let mut values: Vec<u64> = part.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let second = samples.get(tenth..2 * tenth).unwrap_or_default();
    let last = samples
        .get(samples.len().saturating_sub(tenth)..)
        .unwrap_or_default();
    (median(second), median(last))
}

/// One client until the end; a connection that breaks is a lost answer, and the next is opened.
async fn drive(
    target: Target,
    mut random: case::Random,
    client: u64,
    until: Instant,
    tally: Rc<RefCell<Tally>>,
) {
    let mut connection = None;
    let mut number = client << 32;
    while Instant::now() < until {
        number += 1;
        let case = case::next(&mut random);
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(&target).await {
                Ok(open) => open,
                Err(error) => {
                    tally.borrow_mut().lost += 1;
                    tally
                        .borrow_mut()
                        .complain("lost", number, &case, &error.to_string());
                    // A server that refuses connections is not asked ten thousand times a second.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        if attempt(&mut open, number, &case, &tally).await.is_ok() {
            connection = Some(open);
        }
    }
}

/// Sends a program and checks its answer; an error means that the connection is of no more use.
async fn attempt(
    connection: &mut Connection,
    number: u64,
    case: &Case,
    tally: &RefCell<Tally>,
) -> Result<(), LoadError> {
    tally.borrow_mut().sent += 1;
    let answer = connection.post("application/json", case.body()).await;
    let mut tally = tally.borrow_mut();
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            tally.lost += 1;
            tally.complain("lost", number, case, &error.to_string());
            return Err(error);
        }
    };
    tally.answered += 1;
    tally.hostile += u64::from(case.hostile);
    *tally.kinds.entry(case.kind).or_default() += 1;
    let reply: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut right = answer.status == 200 && case.matches(&reply);
    if right && case.kind == "random" {
        let bits = reply["result"].as_f64().unwrap_or_default().to_bits();
        right = tally.randoms.insert(bits);
    }
    if !right {
        tally.wrong += 1;
        let body = String::from_utf8_lossy(&answer.body);
        tally.complain(
            "wrong",
            number,
            case,
            &format!("status {}: {body}", answer.status),
        );
    }
    Ok(())
}

/// What was asserted.
#[derive(Debug, Default)]
struct Checks {
    passed: usize,
    failed: usize,
}

impl Checks {
    fn that(&mut self, what: &str, holds: bool, figures: String) {
        let count = if holds {
            &mut self.passed
        } else {
            &mut self.failed
        };
        *count += 1;
        println!("{} {what} ({figures})", if holds { "ok  " } else { "FAIL" });
    }

    fn end(self) -> Result<(), LoadError> {
        println!("{} passed, {} failed", self.passed, self.failed);
        match self.failed {
            0 => Ok(()),
            failed => Err(LoadError::Failed {
                failed,
                checks: self.passed + failed,
            }),
        }
    }
}
