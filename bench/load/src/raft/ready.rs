//! A node is ready when a write through it is committed and has come to its own state.

use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use serde::Serialize;

use super::ClusterArgs;
use super::connection::{Connection, Read};
use super::record::Record;
use crate::error::LoadError;

const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// What to wait for.
#[derive(Debug, Args)]
pub struct ReadyArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// At most this long
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
}

/// How long it took, until all were ready.
#[derive(Debug, Serialize)]
pub struct ReadyReport {
    ready_ms: u128,
}

/// Waits.
pub async fn run(args: ReadyArgs) -> Result<ReadyReport, LoadError> {
    let started = Instant::now();
    let limit = Duration::from_secs_f64(args.seconds);
    // Not the value that an earlier wait left.
    let value = format!("\"{:?}\"", SystemTime::UNIX_EPOCH.elapsed()).into_bytes();
    for node in 0..args.cluster.endpoints.len() {
        let mut connection = args.cluster.connect(node)?;
        let record = Record {
            name: format!("ready-{node}"),
            value: value.clone(),
        };
        let mut written = false;
        loop {
            let last = match attempt(&mut connection, &record, &mut written).await {
                Ok(true) => break,
                Ok(false) => "the write has not come to the node's state".into(),
                Err(error) => error.to_string(),
            };
            if started.elapsed() >= limit {
                return Err(LoadError::NotReady {
                    limit_ms: limit.as_millis().try_into().unwrap_or(u64::MAX),
                    last,
                });
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }
    Ok(ReadyReport {
        ready_ms: started.elapsed().as_millis(),
    })
}

async fn attempt(
    connection: &mut Connection,
    record: &Record,
    written: &mut bool,
) -> Result<bool, LoadError> {
    if !*written {
        connection.put(record.clone()).await?;
        *written = true;
    }
    let found = connection.get(record.name.clone(), Read::Local).await?;
    Ok(found.as_ref() == Some(&record.value))
}
