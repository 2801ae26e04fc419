//! A write each few milliseconds while nodes go down and come up, and then all of them read back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

use super::ClusterArgs;
use super::connection::{Connection, Read};
use super::gaps::{longest, percentile};
use super::record::Record;
use crate::error::LoadError;
use crate::print;

const READS_AT_ONCE: usize = 16;
const READ_TRIES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// What to write. Standard input tells what happens: `down N` before the node of that endpoint (from 0)
/// is killed, `up N` when it serves again; its end ends the writing.
#[derive(Debug, Args)]
pub struct FailoverArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// A write is due each time that so long went by
    #[arg(long, default_value_t = 10)]
    interval_ms: u64,
    /// Writes that wait for their answer; what is due above that is counted and left out
    #[arg(long, default_value_t = 1024)]
    outstanding_max: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
    /// Fail when a gap is longer
    #[arg(long)]
    gap_ms_max: Option<u64>,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct FailoverReport {
    kills: usize,
    /// The longest time without a successful write after each kill, in their order.
    gaps_ms: Vec<u128>,
    gap_p50_ms: Option<u128>,
    gap_p99_ms: Option<u128>,
    gap_max_ms: Option<u128>,
    acknowledged: usize,
    /// Writes that got an error: they may have happened.
    failed: usize,
    first_error: Option<String>,
    left_out: u64,
    /// Acknowledged, and not there or another value.
    lost: usize,
    first_lost: Option<String>,
}

/// What standard input can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Down(usize),
    Up(usize),
}

#[derive(Default)]
struct Writes {
    successes: Vec<Instant>,
    acknowledged: Vec<u64>,
    failed: usize,
    first_error: Option<String>,
    outstanding: usize,
}

/// Runs it, prints the report, and fails when a write was lost.
pub async fn run(args: FailoverArgs) -> Result<(), LoadError> {
    let args = Rc::new(args);
    let report = LocalSet::new().run_until(measure(args.clone())).await?;
    print(&report)?;
    let limit = args.gap_ms_max.map_or(u128::MAX, u128::from);
    let failed = report.lost + report.gaps_ms.iter().filter(|gap| **gap > limit).count();
    let checks = report.acknowledged + report.kills;
    if failed > 0 || report.acknowledged == 0 {
        return Err(LoadError::Failed { failed, checks });
    }
    Ok(())
}

async fn measure(args: Rc<FailoverArgs>) -> Result<FailoverReport, LoadError> {
    let endpoints = args.cluster.endpoints.len();
    let connections: Vec<Connection> = (0..endpoints)
        .map(|endpoint| args.cluster.connect(endpoint))
        .collect::<Result<_, _>>()?;
    let mut up: Vec<bool> = vec![true; endpoints];
    let mut orders = orders(endpoints);
    let writes = Rc::new(RefCell::new(Writes::default()));
    let mut kills = Vec::new();
    let mut left_out = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(args.interval_ms.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut number = 0;
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order.transpose()? {
                Some(Order::Down(endpoint)) => {
                    up[endpoint] = false;
                    kills.push(Instant::now());
                }
                Some(Order::Up(endpoint)) => up[endpoint] = true,
                None => break,
            },
            _ = ticks.tick() => {
                let serving: Vec<usize> = (0..endpoints).filter(|endpoint| up[*endpoint]).collect();
                if serving.is_empty() || writes.borrow().outstanding >= args.outstanding_max {
                    left_out += 1;
                    continue;
                }
                let endpoint = serving[number as usize % serving.len()];
                writes.borrow_mut().outstanding += 1;
                let record = Record::new(0, number, args.value_bytes);
                let write = write(writes.clone(), connections[endpoint].clone(), number, record);
                tokio::task::spawn_local(write);
                number += 1;
            }
        }
    }
    let end = Instant::now();
    while writes.borrow().outstanding > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    let Writes {
        successes,
        acknowledged,
        failed,
        first_error,
        ..
    } = writes.take();
    let gaps: Vec<Duration> = longest(&successes, &kills, end);
    let gaps_ms: Vec<u128> = gaps.iter().map(Duration::as_millis).collect();
    let mut sorted = gaps_ms.clone();
    sorted.sort_unstable();
    let lost = read_back(&args, &connections, &acknowledged).await?;
    Ok(FailoverReport {
        kills: kills.len(),
        gap_p50_ms: percentile(&sorted, 50),
        gap_p99_ms: percentile(&sorted, 99),
        gap_max_ms: sorted.last().copied(),
        gaps_ms,
        acknowledged: acknowledged.len(),
        failed,
        first_error,
        left_out,
        lost: lost.len(),
        first_lost: lost.into_values().next(),
    })
}

async fn write(
    writes: Rc<RefCell<Writes>>,
    mut connection: Connection,
    number: u64,
    record: Record,
) {
    let outcome = connection.put(record).await;
    let mut writes = writes.borrow_mut();
    writes.outstanding -= 1;
    match outcome {
        Ok(()) => {
            writes.successes.push(Instant::now());
            writes.acknowledged.push(number);
        }
        Err(error) => {
            writes.failed += 1;
            writes.first_error.get_or_insert_with(|| error.to_string());
        }
    }
}

/// What was acknowledged and is not there, by number. Each node is asked for its share.
async fn read_back(
    args: &Rc<FailoverArgs>,
    connections: &[Connection],
    acknowledged: &[u64],
) -> Result<BTreeMap<u64, String>, LoadError> {
    let acknowledged: Rc<[u64]> = acknowledged.into();
    let mut readers = Vec::new();
    for reader in 0..READS_AT_ONCE {
        let (args, acknowledged) = (args.clone(), acknowledged.clone());
        let mut connection = connections[reader % connections.len()].clone();
        readers.push(tokio::task::spawn_local(async move {
            let mut lost = BTreeMap::new();
            for number in acknowledged.iter().skip(reader).step_by(READS_AT_ONCE) {
                let Record { name, value } = Record::new(0, *number, args.value_bytes);
                let found = read(&mut connection, &name).await?;
                if found.as_ref() != Some(&value) {
                    let what = if found.is_some() {
                        "another value"
                    } else {
                        "not there"
                    };
                    lost.insert(*number, format!("{name}: {what}"));
                }
            }
            Ok::<_, LoadError>(lost)
        }));
    }
    let mut lost = BTreeMap::new();
    for reader in readers {
        lost.append(&mut reader.await.expect("a reader does not panic")?);
    }
    Ok(lost)
}

async fn read(connection: &mut Connection, name: &str) -> Result<Option<Vec<u8>>, LoadError> {
    let mut tries = 0;
    loop {
        match connection.get(name.into(), Read::Linearizable).await {
            Err(_) if tries < READ_TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// What standard input tells, until it ends. A thread reads it, which ends with the process.
fn orders(endpoints: usize) -> mpsc::Receiver<Result<Order, LoadError>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::Builder::new()
        .name("orders".into())
        .spawn(move || {
            for line in std::io::stdin().lines() {
                let order = line
                    .map_err(|source| LoadError::System {
                        what: "read standard input",
                        source,
                    })
                    .and_then(|line| Order::parse(&line, endpoints));
                if sender.blocking_send(order).is_err() {
                    return;
                }
            }
        })
        .expect("the first thread of a program can be started");
    receiver
}

impl Order {
    fn parse(line: &str, endpoints: usize) -> Result<Self, LoadError> {
        let bad = || LoadError::Order { line: line.into() };
        let (verb, number) = line.trim().split_once(' ').ok_or_else(bad)?;
        let endpoint: usize = number.parse().map_err(|_| bad())?;
        match verb {
            _ if endpoint >= endpoints => Err(bad()),
            "down" => Ok(Self::Down(endpoint)),
            "up" => Ok(Self::Up(endpoint)),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_name_an_endpoint_that_is_there() {
        assert_eq!(Order::parse("down 2", 3).unwrap(), Order::Down(2));
        assert_eq!(Order::parse("up 0\n", 3).unwrap(), Order::Up(0));
        for line in ["down 3", "down", "down x", "sideways 1", "", "up -1"] {
            assert!(Order::parse(line, 3).is_err(), "{line}");
        }
    }
}
