//! The worker without a node: fork, evaluate, exit, reap, one after the other.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use process_image::worker_process::WorkerProcess;
use serde::Serialize;
use worker_protocol::{Limits, Run, Start, from_worker, layer, to_worker};

use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};
use crate::proc::rss_kb;

/// A bare loop over a worker program, phase by phase.
#[derive(Debug, Serialize)]
pub struct RunReport {
    code: String,
    zygote_rss_kb: Option<u64>,
    per_second: f64,
    /// From the order to the child's word that it is ready.
    fork: LatencySummary,
    /// From the frame to the result.
    evaluate: LatencySummary,
    /// From the result to the end of the process.
    exit: LatencySummary,
    /// All of it.
    whole: LatencySummary,
}

/// Runs `code` in one process after the other, for that long.
pub fn run_loop(worker: &Path, code: &str, lasting: Duration) -> Result<RunReport, LoadError> {
    let start = Start {
        node_pid: std::process::id(),
        layers: layer::ALL,
        ..Start::default()
    };
    let (zygote, _) = WorkerProcess::start(worker, start).map_err(system("start the worker"))?;
    let frame = to_worker::Frame::Run(Run {
        seed: vec![7; 32],
        code: code.to_owned(),
        limits: Some(Limits {
            heap_bytes: 64 << 20,
            array_buffer_bytes: 64 << 20,
            stack_bytes: 1 << 20,
            result_bytes: 1 << 20,
        }),
        ..Run::default()
    });
    let [mut fork, mut evaluate, mut exit, mut whole] = std::array::from_fn(|_| Latency::new());
    let started = Instant::now();
    while started.elapsed() < lasting {
        let begun = Instant::now();
        let mut process = zygote.fork_run().map_err(system("fork a run"))?;
        let ready = Instant::now();
        process
            .send(frame.clone())
            .map_err(system("send a frame"))?;
        match process.receive().map_err(system("read from a worker"))? {
            from_worker::Frame::Done(done) if done.error.is_none() => {}
            _ => return Err(LoadError::Worker),
        }
        let done = Instant::now();
        process.ended().map_err(system("reap"))?;
        let ended = Instant::now();
        fork.record(ready - begun);
        evaluate.record(done - ready);
        exit.record(ended - done);
        whole.record(ended - begun);
    }
    let seconds = started.elapsed().as_secs_f64();
    let whole = whole.summary();
    Ok(RunReport {
        code: code.to_owned(),
        zygote_rss_kb: rss_kb(zygote.pid()),
        per_second: whole.count as f64 / seconds,
        fork: fork.summary(),
        evaluate: evaluate.summary(),
        exit: exit.summary(),
        whole,
    })
}

fn system(what: &'static str) -> impl Fn(io::Error) -> LoadError {
    move |source| LoadError::System { what, source }
}
