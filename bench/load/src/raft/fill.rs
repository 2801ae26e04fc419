//! Makes the state big: so many records, through the nodes, each acknowledged.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::task::LocalSet;

use super::ClusterArgs;
use super::connection::Connection;
use super::record::Record;
use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};

const PAUSE: Duration = Duration::from_millis(20);
/// Of one record: then the cluster is given up.
const ATTEMPTS_MAX: u32 = 500;

/// What to write.
#[derive(Debug, Args)]
pub struct FillArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How many
    #[arg(long)]
    records: u64,
    /// At a time
    #[arg(long, default_value_t = 256)]
    outstanding: usize,
    /// Bytes of the smallest value
    #[arg(long, default_value_t = 100)]
    value_bytes_min: usize,
    /// Bytes of the largest; all sizes between take turns
    #[arg(long, default_value_t = 256)]
    value_bytes_max: usize,
    /// The number of the first writer: another one writes other names
    #[arg(long, default_value_t = 0x100)]
    first_writer: u64,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct FillReport {
    records: u64,
    bytes: u64,
    seconds: f64,
    per_second: f64,
    errors: u64,
    first_error: Option<String>,
    #[serde(flatten)]
    latency: LatencySummary,
}

struct Run {
    args: FillArgs,
    next: Cell<u64>,
    bytes: Cell<u64>,
    latency: RefCell<Latency>,
    errors: Cell<u64>,
    first_error: RefCell<Option<String>>,
}

/// Runs it.
pub async fn run(args: FillArgs) -> Result<FillReport, LoadError> {
    LocalSet::new().run_until(fill(args)).await
}

async fn fill(args: FillArgs) -> Result<FillReport, LoadError> {
    let run = Rc::new(Run {
        args,
        next: Cell::new(0),
        bytes: Cell::new(0),
        latency: RefCell::new(Latency::new()),
        errors: Cell::new(0),
        first_error: RefCell::new(None),
    });
    let started = Instant::now();
    let mut writers = Vec::new();
    for writer in 0..run.args.outstanding {
        let connection = run.args.cluster.connect(writer)?;
        let number = run.args.first_writer + writer as u64;
        writers.push(tokio::task::spawn_local(write(
            run.clone(),
            connection,
            number,
        )));
    }
    for writer in writers {
        writer.await.expect("a writer does not panic")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(FillReport {
        records: run.args.records,
        bytes: run.bytes.get(),
        seconds,
        per_second: run.args.records as f64 / seconds,
        errors: run.errors.get(),
        first_error: run.first_error.take(),
        latency: run.latency.borrow().summary(),
    })
}

/// Takes the next record until there is none. One that failed is written again: it may be there twice
/// in the log, but the state has it once.
async fn write(run: Rc<Run>, mut connection: Connection, writer: u64) -> Result<(), LoadError> {
    let sizes = (run.args.value_bytes_max + 1).saturating_sub(run.args.value_bytes_min);
    for number in 0.. {
        let taken = run.next.get();
        if taken >= run.args.records {
            break;
        }
        run.next.set(taken + 1);
        let value_bytes = run.args.value_bytes_min + taken as usize % sizes.max(1);
        let record = Record::new(writer, number, value_bytes);
        let mut attempts = 0;
        loop {
            let sent = Instant::now();
            let Err(error) = connection.put(record.clone()).await else {
                run.latency.borrow_mut().record(sent.elapsed());
                break;
            };
            run.errors.set(run.errors.get() + 1);
            run.first_error
                .borrow_mut()
                .get_or_insert_with(|| error.to_string());
            attempts += 1;
            if attempts == ATTEMPTS_MAX {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let bytes = record.name.len() + record.value.len();
        run.bytes.set(run.bytes.get() + bytes as u64);
    }
    Ok(())
}
