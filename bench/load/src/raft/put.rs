//! A closed loop of writes: each client sends its next one when its last one is committed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::task::LocalSet;

use super::ClusterArgs;
use super::connection::{Connection, System};
use super::record::{Record, VALUE_BYTES_MIN};
use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};
use crate::proc::{TreeUse, runs, tree_use};

/// After an error, so that a node that refuses is not asked at full speed.
const PAUSE: Duration = Duration::from_millis(10);

/// What to write, and for how long.
#[derive(Debug, Args)]
pub struct PutArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Clients, with a connection each
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// How long it counts
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long it runs before that
    #[arg(long, default_value_t = 2.0)]
    warmup_seconds: f64,
    /// Count as long as this process runs, but at most so long as `--seconds` tells
    #[arg(long)]
    while_pid: Option<u32>,
    /// Bytes of a value, two quotes among them
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
    /// The number of the first writer: another one writes other names
    #[arg(long, default_value_t = 0)]
    first_writer: u64,
    /// The servers' processes, with commas: what they use is told for each write
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct PutReport {
    system: System,
    clients: usize,
    seconds: f64,
    per_second: f64,
    errors: u64,
    first_error: Option<String>,
    #[serde(flatten)]
    latency: LatencySummary,
    /// Processor time of all servers for each write.
    server_us_per_write: Option<f64>,
    /// That of this client.
    client_us_per_write: f64,
    /// What all servers handed to the disk for each write.
    disk_bytes_per_write: Option<f64>,
}

struct Run {
    args: PutArgs,
    window: Window,
    latency: RefCell<Latency>,
    errors: Cell<u64>,
    first_error: RefCell<Option<String>>,
}

/// When writes count: from its start until it is closed.
struct Window {
    from: Instant,
    closed: Cell<bool>,
}

/// Runs it.
pub async fn run(args: PutArgs) -> Result<PutReport, LoadError> {
    LocalSet::new().run_until(measure(args)).await
}

async fn measure(args: PutArgs) -> Result<PutReport, LoadError> {
    let connections = connect(&args).await?;
    let run = Rc::new(Run {
        window: Window {
            from: Instant::now() + Duration::from_secs_f64(args.warmup_seconds),
            closed: Cell::new(false),
        },
        args,
        latency: RefCell::new(Latency::new()),
        errors: Cell::new(0),
        first_error: RefCell::new(None),
    });
    let clients: Vec<_> = connections
        .into_iter()
        .zip(run.args.first_writer..)
        .map(|(connection, writer)| {
            tokio::task::spawn_local(client(run.clone(), connection, writer))
        })
        .collect();
    tokio::time::sleep_until(run.window.from.into()).await;
    let (before, own_before) = (run.args.servers_use(), tree_use(std::process::id()));
    run.args.last().await;
    run.window.closed.set(true);
    let seconds = run.window.from.elapsed().as_secs_f64();
    let (after, own_after) = (run.args.servers_use(), tree_use(std::process::id()));
    for client in clients {
        client.await.expect("a client does not panic");
    }

    let latency = run.latency.borrow().summary();
    let first_error = run.first_error.take();
    if latency.count == 0 {
        let first = first_error.unwrap_or_else(|| "no write ended in time".into());
        return Err(LoadError::NothingMeasured { first });
    }
    let writes = latency.count as f64;
    let servers = !run.args.pids.is_empty();
    let us = |before: TreeUse, after: TreeUse| {
        let used = after.processor.saturating_sub(before.processor);
        used.as_secs_f64() * 1e6 / writes
    };
    let disk_bytes = after.disk_bytes.saturating_sub(before.disk_bytes);
    Ok(PutReport {
        system: run.args.cluster.system,
        clients: run.args.clients,
        seconds,
        per_second: writes / seconds,
        errors: run.errors.get(),
        first_error,
        latency,
        server_us_per_write: servers.then(|| us(before, after)),
        client_us_per_write: us(own_before, own_after),
        disk_bytes_per_write: servers.then(|| disk_bytes as f64 / writes),
    })
}

/// All are connected before the first one writes.
async fn connect(args: &PutArgs) -> Result<Vec<Connection>, LoadError> {
    let mut connections = Vec::new();
    for writer in 0..args.clients {
        let mut connection = args.cluster.connect(writer)?;
        let first = Record::new(args.first_writer + writer as u64, 0, args.value_bytes());
        connection.put(first).await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// Writes until the window is closed; only what ends in the window counts.
async fn client(run: Rc<Run>, mut connection: Connection, writer: u64) {
    for number in 1.. {
        let record = Record::new(writer, number, run.args.value_bytes());
        let sent = Instant::now();
        let outcome = connection.put(record).await;
        if run.window.closed.get() {
            return;
        }
        let now = Instant::now();
        let counts = now >= run.window.from;
        match outcome {
            Ok(()) if counts => run.latency.borrow_mut().record(now - sent),
            Ok(()) => {}
            // One before the window tells as much of the servers as one within.
            Err(error) => {
                run.errors.set(run.errors.get() + 1);
                run.first_error
                    .borrow_mut()
                    .get_or_insert_with(|| error.to_string());
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl PutArgs {
    fn value_bytes(&self) -> usize {
        self.value_bytes.max(VALUE_BYTES_MIN)
    }

    fn servers_use(&self) -> TreeUse {
        let mut sum = TreeUse::default();
        for pid in &self.pids {
            let one = tree_use(*pid);
            sum.processor += one.processor;
            sum.disk_bytes += one.disk_bytes;
        }
        sum
    }

    /// Ends when the window does.
    async fn last(&self) {
        let until = Instant::now() + Duration::from_secs_f64(self.seconds);
        let Some(pid) = self.while_pid else {
            return tokio::time::sleep_until(until.into()).await;
        };
        while runs(pid) && Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
