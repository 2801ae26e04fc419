//! How fast the cluster writes, by its public interface.

use std::time::{Duration, Instant};

use cluster::peers::PeerChannel;
use cluster::proto::tags_client::TagsClient;
use cluster::proto::{DeleteTagRequest, PutTagRequest};
use futures::future::join_all;
use serde::Serialize;
use tonic::Request;

use super::args::Form;
use super::connection::Connection;
use super::error::AdminError;
use super::print::print;
use crate::cli::Exit;

const VALUE_BYTES: usize = 256;
/// How long one write may take.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Slower than this is a disk or a network that a cluster should not have.
const WRITES_PER_SECOND_MIN: f64 = 100.0;
const SLOWEST_MAX: Duration = Duration::from_millis(1000);

#[derive(Serialize)]
struct Perf {
    writes: usize,
    errors: usize,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    slowest_ms: f64,
    good: bool,
}

/// Writes tags for some seconds and removes them.
pub async fn perf(
    connection: &Connection,
    form: Form,
    seconds: u64,
    clients: usize,
) -> Result<Exit, AdminError> {
    // One that answers at all, or the figures would tell of nothing.
    connection.overview().await?;
    let run = getrandom::u64().map_err(|error| AdminError::Refused {
        message: error.to_string(),
    })?;
    let channels: Vec<_> = connection.channels().collect();
    let until = Instant::now() + Duration::from_secs(seconds);
    let started = Instant::now();
    let writers = (0..clients.max(1)).map(|client| {
        let channel = channels[client % channels.len()].clone();
        write(
            channel,
            format!("mcp-v8/check-perf/{run:016x}/{client}"),
            until,
        )
    });
    let (mut took, mut errors) = (Vec::new(), 0);
    for (written, failed) in join_all(writers).await {
        took.extend(written);
        errors += failed;
    }
    let elapsed = started.elapsed();
    took.sort_unstable();
    let at = |share: f64| {
        let place = (took.len() as f64 * share) as usize;
        took.get(place.min(took.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    let ms = |duration: Duration| (duration.as_secs_f64() * 1e5).round() / 100.0;
    let per_second = took.len() as f64 / elapsed.as_secs_f64();
    let perf = Perf {
        writes: took.len(),
        errors,
        per_second: per_second.round(),
        p50_ms: ms(at(0.5)),
        p99_ms: ms(at(0.99)),
        slowest_ms: ms(at(1.0)),
        good: errors == 0 && per_second >= WRITES_PER_SECOND_MIN && at(1.0) <= SLOWEST_MAX,
    };
    print(form, &perf, table)?;
    Ok(if perf.good {
        Exit::Completed
    } else {
        Exit::Failed
    })
}

fn table(perf: &Perf) -> String {
    format!(
        "{} writes of {VALUE_BYTES} bytes, {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, slowest {:.2} ms, {} \
         errors\n{}",
        perf.writes,
        perf.per_second,
        perf.p50_ms,
        perf.p99_ms,
        perf.slowest_ms,
        perf.errors,
        match perf.good {
            true => "good",
            false => "NOT good: fewer than 100/s, one over a second, or an error",
        }
    )
}

async fn write(channel: PeerChannel, name: String, until: Instant) -> (Vec<Duration>, usize) {
    let mut client = TagsClient::new(channel);
    let mut value = vec![b'x'; VALUE_BYTES];
    value[0] = b'"';
    value[VALUE_BYTES - 1] = b'"';
    let (mut took, mut errors) = (Vec::new(), 0);
    while Instant::now() < until {
        let started = Instant::now();
        let mut request = Request::new(PutTagRequest {
            name: name.clone(),
            value: value.clone(),
            if_version: None,
            heap: Vec::new(),
        });
        request.set_timeout(WRITE_MAX);
        match client.put(request).await {
            Ok(_) => took.push(started.elapsed()),
            Err(_) => {
                errors += 1;
                // Not a storm of requests against a cluster that refuses them.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let mut delete = Request::new(DeleteTagRequest {
        name,
        if_version: None,
    });
    delete.set_timeout(WRITE_MAX);
    // A tag that stays is small, and named for what it is.
    let _ = client.delete(delete).await;
    (took, errors)
}
