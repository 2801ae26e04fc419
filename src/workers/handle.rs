use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::process::Pid;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};
use worker_protocol::{ConsoleLine, Probe, ProbeKind, ToWorker, from_worker, to_worker};

use super::child::Child;
use super::memory::{self, OomKills};
use super::process::Exit;
use super::run::{self, Heard};
use super::supply::Supply;
use super::zygote::Zygote;
use super::{
    Ended, Engine, Error, OomCause, Options, Outcome, ProbeOutcome, RunRequest, SandboxReport,
    StartError, Stats,
};

/// How many processes may die under one request before it is given up, though none ran its code.
const ATTEMPTS_MAX: usize = 5;

/// The workers of one engine on this node. Cheap to clone.
#[derive(Clone)]
pub struct Workers {
    inner: Arc<Inner>,
}

struct Inner {
    engine: &'static Engine,
    supply: Arc<Supply>,
    report: SandboxReport,
    running: Arc<AtomicUsize>,
    oom_kills: OomKills,
    tracker: TaskTracker,
}

/// One more process with a run, as long as it lives.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A child in use. However its run ends, also when the caller drops it, the process is killed and
/// reaped.
struct Lease {
    child: Option<Child>,
    supply: Arc<Supply>,
    running: Option<Running>,
    generation: u64,
}

impl Lease {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it is taken only at the end")
    }

    /// Kills the process; the receiver tells how it ended.
    fn end(&mut self) -> oneshot::Receiver<Exit> {
        let (sender, exit) = oneshot::channel();
        if let Some(child) = self.child.take() {
            let running = self.running.take();
            self.supply.reap(child.into_process(), move |exit| {
                drop(running);
                // Most callers don't ask.
                let _ = sender.send(exit);
            });
        }
        exit
    }

    /// Waits for the process that is dying, or is killed now, and tells how it ended.
    async fn ended(&mut self) -> Exit {
        self.end().await.unwrap_or(Exit::Unknown)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end();
    }
}

impl Workers {
    /// Starts the zygote of an engine and the loop that forks from it.
    pub async fn start(engine: &'static Engine, options: Options) -> Result<Self, StartError> {
        let zygote = Zygote::start(engine, options).await?;
        let report = SandboxReport {
            mode: options.sandbox,
            layers: zygote.ready().layers.clone(),
            v8_version: zygote.ready().v8_version.clone(),
        };
        let tracker = TaskTracker::new();
        let supply = Supply::start(zygote, engine, options, tracker.clone());
        let inner = Inner {
            engine,
            supply,
            report,
            running: Arc::default(),
            oom_kills: OomKills::new(),
            tracker,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Runs code in a process of its own. `console` gets the lines while they are printed.
    ///
    /// Dropping the future kills the process.
    ///
    /// # Errors
    /// Only when no process could be had; nothing ran then, and the caller may try again.
    pub async fn run(
        &self,
        request: RunRequest,
        console: &mut (dyn FnMut(ConsoleLine) + Send),
        cancel: CancellationToken,
    ) -> Result<Ended, Error> {
        let limits = request.limits;
        let frame = run::frame(request);
        for _ in 0..ATTEMPTS_MAX {
            let mut lease = tokio::select! {
                lease = self.lease() => lease?,
                () = cancel.cancelled() => {
                    let duration = std::time::Duration::ZERO;
                    return Ok(Ended { outcome: Outcome::Cancelled, duration });
                }
            };
            let started = Instant::now();
            let heard = run::drive(
                lease.child(),
                &frame,
                limits.timeout,
                limits.memory_bytes_max,
                console,
                &cancel,
            )
            .await;
            let outcome = match heard {
                Heard::Outcome(outcome) => outcome,
                Heard::Gone { unsent: true } => continue,
                Heard::Gone { unsent: false } => self.cause_of_death(lease.ended().await),
            };
            if let Outcome::Crashed { signal, .. } = &outcome {
                debug!(signal, "a run crashed");
                self.inner.supply.renew(lease.generation);
            }
            return Ok(Ended {
                outcome,
                duration: started.elapsed(),
            });
        }
        Err(Error::Dying {
            attempts: ATTEMPTS_MAX,
        })
    }

    /// Tries something that the sandbox forbids, from inside.
    ///
    /// # Errors
    /// As [`Workers::run`].
    pub async fn probe(&self, kind: ProbeKind) -> Result<ProbeOutcome, Error> {
        let mut lease = self.lease().await?;
        let node_pid = std::process::id();
        let probe = to_worker::Frame::Probe(Probe {
            kind: kind as i32,
            node_pid,
        });
        let frame = ToWorker { frame: Some(probe) };
        if lease.child().send(&frame).await.is_ok()
            && let Ok(Some(from_worker::Frame::ProbeDone(done))) = lease.child().receive().await
        {
            return Ok(ProbeOutcome::Answered(done.result));
        }
        Ok(match lease.ended().await {
            Exit::Signal(signal) => ProbeOutcome::Killed(signal),
            Exit::Code(_) | Exit::Unknown => ProbeOutcome::Ended,
        })
    }

    async fn lease(&self) -> Result<Lease, Error> {
        let child = self.inner.supply.take().await?;
        let running = Some(Running::new(&self.inner.running));
        let generation = child.generation;
        let supply = self.inner.supply.clone();
        Ok(Lease {
            child: Some(child),
            supply,
            running,
            generation,
        })
    }

    /// What they are processes of.
    pub fn engine(&self) -> &'static Engine {
        self.inner.engine
    }

    /// The loop that forks.
    pub(super) fn supply(&self) -> &Arc<Supply> {
        &self.inner.supply
    }

    /// Reaps what dies in a process group and is held by nobody.
    pub(super) fn watch_group(&self, group: Pid) {
        self.inner.supply.watch_group(group);
    }

    /// What the end of a process means for its run.
    pub(super) fn cause_of_death(&self, exit: Exit) -> Outcome {
        const SIGKILL: i32 = 9;
        match exit {
            Exit::Signal(SIGKILL) if self.inner.oom_kills.any_new() => {
                warn!("the kernel killed a run for lack of memory");
                Outcome::OutOfMemory(OomCause::System)
            }
            Exit::Signal(signal) => Outcome::Crashed {
                signal: Some(signal),
                message: None,
            },
            Exit::Code(_) | Exit::Unknown => Outcome::Crashed {
                signal: None,
                message: None,
            },
        }
    }

    /// The sandbox as the first zygote found it.
    pub fn sandbox_report(&self) -> &SandboxReport {
        &self.inner.report
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> Stats {
        let (zygote_starts, zygote_pid) = self.inner.supply.zygote();
        let zygote_resident_bytes = zygote_pid
            .and_then(Pid::from_raw)
            .and_then(memory::resident_bytes);
        Stats {
            ready: self.inner.supply.ready(),
            running: self.inner.running.load(Ordering::Relaxed),
            zygote_starts,
            zygote_pid,
            zygote_resident_bytes,
        }
    }

    /// Ends all processes and waits until they are reaped.
    pub async fn shutdown(&self) {
        self.inner.supply.stop();
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
    }
}
