//! Sessions: lines of processes, one after the other the same JavaScript world.
//!
//! A session is a process that waits. A run is a fork of it; when the run is kept, the fork is the
//! session from then on and the process before it ends; when not, the fork is killed and nothing has
//! happened. What a kept run changed is a [`Delta`], read from outside while both processes wait.
//!
//! * `entry`: a process that has become an image.
//! * `capture`: what a run changed, within bounds.
//! * `family`: processes that nobody asked for.

mod capture;
mod entry;
mod family;
mod refused;

use std::fs::File;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use process_image::capture::KnownPages;
use process_image::{
    Delta, EngineId, ImageError, ImageHeader, MappingTable, PageSet, ProcessMemory, ScanError,
    Shadow, StateId,
};
use tokio_util::sync::CancellationToken;
use worker_protocol::ConsoleLine;

use super::engine::Engine;
use super::guard::Guard;
use super::handle::Workers;
use super::line::{FORK_RETRY_DELAY, ForkingLine, Line, LineChild, News};
use super::run::{self, Heard};
use super::{Ended, Error, Outcome, RunRequest};

use crate::config::StateConfig;

pub use refused::Refused;

/// How long it may take to read what a run changed: a hundred times what the largest delta takes.
const CAPTURE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a session's process may take to fork. One whose fork was killed before it took its channel
/// hands that channel to the next fork, and is of no use any more.
const FORK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a fork that nobody wants any more is waited for.
const UNDECIDED_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session's state may cost. A run that is over one of these is not kept, and the session stands
/// where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// The encoded delta of one run.
    pub delta_bytes_max: u64,
    /// Pages that have to be looked at after a run: what it wrote, and what it made the kernel map.
    pub pages_max: u64,
    /// Separate mappings of memory.
    pub mappings_max: usize,
    /// Addresses that are mapped, with memory behind them or not.
    pub address_bytes_max: u64,
    /// Page tables of one process.
    pub page_table_bytes_max: u64,
    /// How long it may take to read what a run changed.
    pub capture_timeout: Duration,
    /// Whether the whole memory is compared with what the deltas say, after each run.
    pub verify: bool,
}

impl From<StateConfig> for StateLimits {
    fn from(config: StateConfig) -> Self {
        Self {
            delta_bytes_max: config.delta_bytes_max,
            pages_max: config.touched_pages_max,
            mappings_max: config.mappings_max,
            address_bytes_max: config.address_gb_max << 30,
            page_table_bytes_max: config.page_tables_mb_max << 20,
            capture_timeout: CAPTURE_TIMEOUT,
            verify: cfg!(debug_assertions),
        }
    }
}

impl Default for StateLimits {
    fn default() -> Self {
        StateConfig::default().into()
    }
}

/// What a session begins from.
#[derive(Debug)]
pub enum Origin {
    /// The engine's base image: nothing has run.
    Base,
    /// An image in a file, of which the caller knows that it is whole.
    Image(File),
}

/// Why a session could not be opened, or had no process to run in.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No process could be had.
    #[error(transparent)]
    Workers(#[from] Error),
    /// The image is refused.
    #[error("the image is refused")]
    Image(#[from] ImageError),
    /// The image is one of another engine.
    #[error("the image is one of engine {found}, not of {expected}")]
    Engine {
        /// The image's.
        found: EngineId,
        /// This node's.
        expected: EngineId,
    },
    /// The process could not be read.
    #[error("the process can't be read")]
    Scan(#[from] ScanError),
    /// The process's table of mappings is refused.
    #[error("the table of mappings is refused")]
    Table(#[source] process_image::TableError),
    /// The process ended, or did not do what it was told, before it was a session.
    #[error("the process did not become the image")]
    Entry(#[source] io::Error),
    /// The session's process is gone: it must be opened again.
    #[error("the session's process is gone")]
    Gone,
}

/// A state and a process that waits in it.
struct Living {
    line: Guard<Line>,
    memory: ProcessMemory,
    table: MappingTable,
    present: PageSet,
    /// What was read of it when it was a run.
    known: KnownPages,
}

/// A process that is ready for a run.
struct Ready {
    child: Guard<LineChild>,
    /// Opened before the run: whoever has the process's number later is not meant.
    memory: ProcessMemory,
}

type Preparing = tokio::task::JoinHandle<io::Result<Ready>>;

/// A session with a live process.
pub struct Session {
    workers: Workers,
    engine: &'static Engine,
    limits: StateLimits,
    state: StateId,
    living: Arc<Living>,
    next: Option<Preparing>,
    /// The fork ahead of a run of which it is not decided whether it is kept.
    undecided: Option<Preparing>,
    /// Shared while a run is compared with it.
    shadow: Option<Arc<Shadow>>,
}

/// A run that has ended and is neither kept nor given up yet. Dropping it gives it up.
pub struct Attempt<'a> {
    session: &'a mut Session,
    ended: Ended,
    successor: Result<Successor, Refused>,
}

/// What the session becomes when a run is kept.
struct Successor {
    living: Arc<Living>,
    delta: Delta,
    encoded: Vec<u8>,
}

impl Session {
    /// A process in the state of `origin`.
    ///
    /// # Errors
    /// When there is no process, or the image is refused.
    pub async fn open(
        workers: &Workers,
        origin: Origin,
        limits: StateLimits,
    ) -> Result<Self, SessionError> {
        let engine = workers.engine();
        let opened = entry::open(workers, engine, origin, limits.verify).await?;
        let mut session = Self {
            workers: workers.clone(),
            engine,
            limits,
            state: opened.header.state(),
            living: Arc::new(opened.living),
            next: None,
            undecided: None,
            shadow: opened.shadow.map(Arc::new),
        };
        session.prepare();
        Ok(session)
    }

    /// The name of its state.
    pub fn state(&self) -> StateId {
        self.state
    }

    /// Its engine.
    pub fn engine(&self) -> &'static Engine {
        self.engine
    }

    /// How many pages its state has.
    pub fn pages(&self) -> u64 {
        self.living.present.count()
    }

    /// The number of its process.
    pub fn pid(&self) -> i32 {
        let pid = self.living.line.process().pid();
        pid.as_raw_nonzero().get()
    }

    /// Writes the image of its state.
    ///
    /// # Errors
    /// When the process can't be read or the file not be written.
    pub async fn save(
        &self,
        file: File,
    ) -> Result<ImageHeader, process_image::capture::CaptureError> {
        let (living, engine, state) = (self.living.clone(), self.engine.id(), self.state);
        let deadline = Instant::now() + self.limits.capture_timeout.max(Duration::from_secs(60));
        let saved = move || {
            let scan = process_image::Scan {
                present: living.present.clone(),
                unshared: PageSet::new(),
            };
            let process = process_image::capture::Child {
                memory: &living.memory,
                table: &living.table,
                scan: &scan,
            };
            process_image::capture::image(engine, state, process, deadline, file)
        };
        let (header, _) = tokio::task::spawn_blocking(saved)
            .await
            .expect("reading a process does not panic")?;
        Ok(header)
    }

    /// Runs code in a fork of the session. `console` gets the lines while they are printed.
    ///
    /// Dropping the future kills the fork.
    ///
    /// # Errors
    /// When no fork could be had; nothing ran then.
    pub async fn run(
        &mut self,
        request: RunRequest,
        console: &mut (dyn FnMut(ConsoleLine) + Send),
        cancel: CancellationToken,
    ) -> Result<Attempt<'_>, SessionError> {
        let limits = request.limits;
        let frame = run::frame(request);
        // That of a run that was given up: while it is on its way, it is a process that nobody holds.
        if let Some(undecided) = self.undecided.take() {
            drop(tokio::time::timeout(UNDECIDED_TIMEOUT, undecided).await);
        }
        let mut ready = self.take_ready().await?;
        let started = Instant::now();
        let heard = run::drive(
            &mut ready.child.get_mut().child,
            &frame,
            limits.timeout,
            limits.memory_bytes_max,
            console,
            &cancel,
        )
        .await;
        let outcome = match heard {
            Heard::Outcome(outcome) => outcome,
            // A frame that was not taken is a run that did not begin, but the fork died under it.
            Heard::Gone { .. } => {
                let exit = ready.child.end().await;
                self.workers.cause_of_death(exit)
            }
        };
        let ended = Ended {
            outcome,
            duration: started.elapsed(),
        };
        let successor = match ended.outcome {
            Outcome::Done(_) => self.capture(ready).await,
            _ => Err(Refused::NotDone),
        };
        match &successor {
            Ok(successor) => {
                self.undecided = Some(fork_ahead(&successor.living, &self.workers));
            }
            Err(_) => {
                // The fork is dead or dying; whatever it made is dead too, or not asked for.
                let pid = self.living.line.process().pid();
                let _ = family::kill_unheld(pid);
                self.prepare();
            }
        }
        Ok(Attempt {
            session: self,
            ended,
            successor,
        })
    }

    async fn capture(&self, ready: Ready) -> Result<Successor, Refused> {
        let parent = self.living.clone();
        let (engine, state, limits) = (self.engine, self.state, self.limits);
        let shadow = self.shadow.clone();
        let captured =
            move || capture::successor(engine, state, &parent, ready, &limits, shadow.as_deref());
        tokio::task::spawn_blocking(captured)
            .await
            .expect("reading a process does not panic")
    }

    /// A fork that waits for a frame: the one made ahead, or another.
    async fn take_ready(&mut self) -> Result<Ready, SessionError> {
        const ATTEMPTS_MAX: usize = 3;
        for _ in 0..ATTEMPTS_MAX {
            self.prepare();
            let next = self.next.take().expect("just prepared");
            match next.await {
                Ok(Ok(ready)) if !ready.child.get().child.is_closed() => return Ok(ready),
                Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => break,
                _ => {}
            }
        }
        Err(SessionError::Gone)
    }

    /// Forks ahead, unless that is done.
    fn prepare(&mut self) {
        if self.next.is_some() {
            return;
        }
        self.next = Some(fork_ahead(&self.living, &self.workers));
    }

    /// Ends the session's processes and waits until they are reaped.
    pub async fn close(mut self) {
        for ahead in [self.next.take(), self.undecided.take()]
            .into_iter()
            .flatten()
        {
            if let Ok(Ok(mut ready)) = ahead.await {
                ready.child.end().await;
            }
        }
        let pid = self.living.line.process().pid();
        let _ = family::kill_unheld(pid);
        if let Ok(mut living) = Arc::try_unwrap(self.living) {
            living.line.end().await;
        }
    }
}

/// Orders a fork that waits for a frame. It is never done before the process was read: a fork makes all
/// pages shared again.
fn fork_ahead(living: &Arc<Living>, workers: &Workers) -> Preparing {
    let living = living.clone();
    let ordered = living.line.get().fork_line(None);
    let supply = workers.supply().clone();
    tokio::spawn(async move {
        let forked = forked(living.line.get(), ordered?);
        let child = tokio::time::timeout(FORK_TIMEOUT, forked).await??;
        let child = Guard::new(child, supply);
        let memory = ProcessMemory::open(child.process().pid().as_raw_nonzero().get() as u32)?;
        Ok(Ready { child, memory })
    })
}

/// The fork that was ordered; it is ordered again as long as the kernel has no place for it.
async fn forked(line: &Line, ordered: ForkingLine) -> io::Result<LineChild> {
    let mut ready = pin!(ordered.ready());
    loop {
        tokio::select! {
            biased;
            child = &mut ready => return child,
            news = line.news() => match news {
                News::ForkFailed(_) => {
                    tokio::time::sleep(FORK_RETRY_DELAY).await;
                    line.order()?;
                }
                News::Ended => return Err(io::ErrorKind::UnexpectedEof.into()),
            },
        }
    }
}

impl Attempt<'_> {
    /// How the run ended.
    pub fn ended(&self) -> &Ended {
        &self.ended
    }

    /// What it changed, or why it can't be kept.
    ///
    /// # Errors
    /// Why it can't.
    pub fn delta(&self) -> Result<&Delta, &Refused> {
        self.successor.as_ref().map(|successor| &successor.delta)
    }

    /// What it changed, as bytes.
    ///
    /// # Errors
    /// Why it can't be kept.
    pub fn encoded(&self) -> Result<&[u8], &Refused> {
        self.successor
            .as_ref()
            .map(|successor| &successor.encoded[..])
    }

    /// Keeps the run: the fork is the session from here on, in the state `state`.
    ///
    /// # Errors
    /// When the run can't be kept. The session stands where it stood then.
    pub fn commit(self, state: StateId) -> Result<Ended, Refused> {
        let Attempt {
            session,
            ended,
            successor,
        } = self;
        let successor = successor?;
        session.living = successor.living;
        session.next = session.undecided.take();
        session.state = state;
        if let Some(shadow) = &mut session.shadow {
            Arc::make_mut(shadow).apply(&successor.delta);
        }
        session.prepare();
        Ok(ended)
    }

    /// Gives up a run that can't be kept, and tells why.
    ///
    /// # Panics
    /// When it can be.
    pub fn refuse(self) -> (Ended, Refused) {
        let Attempt {
            session,
            ended,
            successor,
        } = self;
        session.prepare();
        match successor {
            Err(refused) => (ended, refused),
            Ok(_) => panic!("the run can be kept"),
        }
    }

    /// Gives the run up: nothing has happened.
    pub fn abort(self) -> Ended {
        let Attempt {
            session,
            ended,
            successor,
        } = self;
        drop(successor);
        session.prepare();
        ended
    }
}

#[cfg(test)]
mod tests;
