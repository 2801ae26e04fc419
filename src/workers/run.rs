use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use worker_protocol::{
    ConsoleLine, Fatal, FatalKind, Limits, Run, ToWorker, from_worker, to_worker,
};

use super::child::{Child, ReadError};
use super::memory::Watch;
use super::{OomCause, Outcome, RunRequest};

/// How often a run's memory is looked at. Most runs are over before the first look.
const MEMORY_PERIOD: Duration = Duration::from_millis(10);

/// How a run ended, as far as its channel tells.
pub enum Heard {
    /// It is known.
    Outcome(Outcome),
    /// The process closed its channel without a word: how it died tells the rest.
    Gone {
        /// It had not taken its frame yet, so nothing of the code ran.
        unsent: bool,
    },
}

/// The frame for a request.
pub fn frame(request: RunRequest) -> ToWorker {
    let seed = match request.reproducible {
        Some(reproducible) => reproducible.seed.to_vec(),
        None => {
            let mut seed = vec![0; 32];
            getrandom::fill(&mut seed).expect("the kernel has random bytes");
            seed
        }
    };
    let limits = request.limits;
    ToWorker {
        frame: Some(to_worker::Frame::Run(Run {
            seed,
            code: request.code,
            language: request.language as i32,
            input_json: request.input_json,
            limits: Some(Limits {
                heap_bytes: limits.heap_bytes_max,
                array_buffer_bytes: limits.array_buffer_bytes_max,
                stack_bytes: limits.stack_bytes_max,
                result_bytes: limits.result_bytes_max,
            }),
            virtual_clock: request.reproducible.map(|it| it.clock),
            globals: request.globals,
        })),
    }
}

/// Sends the frame to a child and listens until the run is over, one way or another. The process is
/// not killed here.
pub async fn drive(
    child: &mut Child,
    frame: &ToWorker,
    timeout: Duration,
    memory_bytes_max: u64,
    console: &mut (dyn FnMut(ConsoleLine) + Send),
    cancel: &CancellationToken,
) -> Heard {
    let deadline = tokio::time::sleep(timeout);
    tokio::pin!(deadline);
    // A frame larger than the socket's buffer is taken only by a child that is alive and well.
    tokio::select! {
        sent = child.send(frame) => if sent.is_err() {
            return Heard::Gone { unsent: true };
        },
        () = &mut deadline => return Heard::Outcome(Outcome::TimedOut),
        () = cancel.cancelled() => return Heard::Outcome(Outcome::Cancelled),
    }
    let mut watch = None;
    let mut period = period();
    loop {
        tokio::select! {
            biased;
            received = child.receive() => match received {
                Ok(Some(from_worker::Frame::Console(lines))) => {
                    lines.lines.into_iter().for_each(&mut *console);
                }
                Ok(Some(from_worker::Frame::Done(done))) => {
                    return Heard::Outcome(Outcome::Done(done));
                }
                Ok(Some(from_worker::Frame::Fatal(fatal))) => {
                    return Heard::Outcome(fatal_outcome(fatal));
                }
                // What this node does not know can't be the end of a run.
                Ok(_) => {}
                Err(ReadError::Closed) => return Heard::Gone { unsent: false },
                Err(ReadError::Unread) => return Heard::Gone { unsent: true },
                Err(ReadError::Frame(error)) => {
                    let message = Some(error.to_string());
                    return Heard::Outcome(Outcome::Crashed { signal: None, message });
                }
            },
            () = &mut deadline => return Heard::Outcome(Outcome::TimedOut),
            () = cancel.cancelled() => return Heard::Outcome(Outcome::Cancelled),
            _ = period.tick() => {
                let watch = watch.get_or_insert_with(|| Watch::new(child.process().pid()));
                if watch.is_over(memory_bytes_max) {
                    return Heard::Outcome(Outcome::OutOfMemory(OomCause::Memory));
                }
            }
        }
        // A child that never stops sending is always ready to be read: the clock goes first then.
        if deadline.is_elapsed() || Instant::now() >= deadline.deadline() {
            return Heard::Outcome(Outcome::TimedOut);
        }
        if cancel.is_cancelled() {
            return Heard::Outcome(Outcome::Cancelled);
        }
    }
}

fn period() -> Interval {
    let mut period = tokio::time::interval_at(Instant::now() + MEMORY_PERIOD, MEMORY_PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Skip);
    period
}

fn fatal_outcome(fatal: Fatal) -> Outcome {
    match fatal.kind() {
        FatalKind::HeapLimit => Outcome::OutOfMemory(OomCause::Heap),
        FatalKind::OutOfMemory => Outcome::OutOfMemory(OomCause::System),
        FatalKind::Internal => Outcome::Crashed {
            signal: None,
            message: Some(fatal.message),
        },
    }
}
