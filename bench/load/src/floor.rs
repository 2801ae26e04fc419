//! What no server of this kind can beat: a bare fork, and a handler that answers at once.

use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};
use crate::proc::rss_kb;

/// A bare loop of fork, exit, reap.
#[derive(Debug, Serialize)]
pub struct ForkReport {
    touched_mb: usize,
    rss_kb: Option<u64>,
    per_second: f64,
    #[serde(flatten)]
    latency: LatencySummary,
}

/// Forks, lets the child exit at once, and reaps it, one after the other, for that long.
///
/// The process has `touched_mb` of private memory written before, since the page tables that a
/// fork copies are most of its price.
pub fn fork_loop(touched_mb: usize, lasting: Duration) -> Result<ForkReport, LoadError> {
    let mut memory = vec![0_u8; touched_mb << 20];
    for byte in memory.iter_mut().step_by(4096) {
        *byte = 1;
    }
    black_box(&memory);
    let mut latency = Latency::new();
    let started = Instant::now();
    while started.elapsed() < lasting {
        let begun = Instant::now();
        fork_and_reap()?;
        latency.record(begun.elapsed());
    }
    let seconds = started.elapsed().as_secs_f64();
    let latency = latency.summary();
    Ok(ForkReport {
        touched_mb,
        rss_kb: rss_kb(std::process::id()),
        per_second: latency.count as f64 / seconds,
        latency,
    })
}

fn fork_and_reap() -> Result<(), LoadError> {
    // SAFETY: this process has one thread, and the child does nothing but `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    if pid < 0 {
        return Err(LoadError::System {
            what: "fork",
            source: io::Error::last_os_error(),
        });
    }
    let mut status = 0;
    // SAFETY: `status` lives until the call returns.
    if unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {
        return Err(LoadError::System {
            what: "waitpid",
            source: io::Error::last_os_error(),
        });
    }
    Ok(())
}

/// Serves a handler that reads the same request and answers at once, of the same shape, without
/// running anything; prints its address like the real server and never ends.
pub async fn serve() -> Result<(), LoadError> {
    let system = |source| LoadError::System {
        what: "listen",
        source,
    };
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .map_err(system)?;
    let address = listener.local_addr().map_err(system)?;
    println!("http: listening on http://{address}");
    let router = Router::new().route("/api/exec", post(at_once));
    axum::serve(listener, router).await.map_err(system)
}

async fn at_once(Json(request): Json<Value>) -> Json<Value> {
    Json(json!({
        "execution_id": "e1-00000000000-00000000000000000000",
        "status": "completed",
        "result": request["code"].as_str().map(str::len),
        "result_text": "5",
        "result_truncated": false,
        "output": "",
        "output_bytes": 0,
        "truncated": false,
        "created_at": "2000-01-01T00:00:00.000Z",
        "started_at": "2000-01-01T00:00:00.000Z",
        "finished_at": "2000-01-01T00:00:00.001Z",
        "duration_ms": 0.5,
    }))
}
