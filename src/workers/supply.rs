use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Fuse, FusedFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use rustix::process::Pid;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use super::child::Child;
use super::line::{FORK_RETRY_DELAY, ForkingLine, LineChild, News};
use super::orphans::reap_orphans;
use super::process::Process;
use super::zygote::Zygote;
use super::{Engine, Error, Options};

/// How long a caller waits for a forked process before it is told that there is none.
const TAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// A zygote is replaced after this many forks: whatever builds up in it or in the kernel's
/// bookkeeping of it does not build up for ever.
const FORKS_MAX: u64 = 100_000;

/// A zygote whose run crashed is replaced, but lives this long: a start costs as much as hundreds of
/// runs, and who can crash one run can crash many.
const RENEWAL_PERIOD_MIN: Duration = Duration::from_secs(1);

/// Between two attempts to start a zygote, doubled each time,
const RESTART_DELAY_MIN: Duration = Duration::from_millis(10);
/// up to this.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

/// How often the children that wait are looked at: one that dies there says nothing.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How long the forks under way may take once their zygote is of no more use.
const LAST_FORKS_TIMEOUT: Duration = Duration::from_secs(1);

/// The forked processes that wait for a run, and those who wait for one.
#[derive(Default)]
struct Shelf {
    ready: VecDeque<Child>,
    waiting: VecDeque<oneshot::Sender<Child>>,
}

/// How often such an order is given when its fork dies or its zygote does.
const LINE_ATTEMPTS_MAX: usize = 5;

/// Somebody wants a process that becomes an image.
struct LineOrder {
    image: OwnedFd,
    forking: oneshot::Sender<ForkingLine>,
}

/// How many such orders may wait.
const LINE_ORDERS_MAX: usize = 64;

/// Forks ahead of demand and hands the children out.
pub struct Supply {
    shelf: Mutex<Shelf>,
    /// Wakes the loop: a child was taken, or somebody waits.
    wake: Notify,
    /// The newest zygote that is not wanted any more: a run of it crashed.
    renew: AtomicU64,
    engine: &'static Engine,
    options: Options,
    zygote_starts: AtomicU64,
    zygote_pid: AtomicUsize,
    lines: mpsc::Sender<LineOrder>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Supply {
    /// A supply whose loop owns `zygote`.
    pub fn start(
        zygote: Zygote,
        engine: &'static Engine,
        options: Options,
        tracker: TaskTracker,
    ) -> Arc<Self> {
        let (lines, orders) = mpsc::channel(LINE_ORDERS_MAX);
        let supply = Arc::new(Self {
            shelf: Mutex::default(),
            wake: Notify::new(),
            renew: AtomicU64::new(0),
            engine,
            options,
            zygote_starts: AtomicU64::new(0),
            zygote_pid: AtomicUsize::new(0),
            lines,
            stop: CancellationToken::new(),
            tracker: tracker.clone(),
        });
        tracker.spawn(supply.clone().supply_loop(zygote, orders));
        supply
    }

    /// A process that waits for its frame.
    pub async fn take(&self) -> Result<Child, Error> {
        let deadline = tokio::time::Instant::now() + TAKE_TIMEOUT;
        loop {
            let waiting = {
                let mut shelf = self.shelf();
                match shelf.ready.pop_front() {
                    Some(child) => Ok(child),
                    None => {
                        let (sender, receiver) = oneshot::channel();
                        shelf.waiting.push_back(sender);
                        Err(receiver)
                    }
                }
            };
            self.wake.notify_one();
            let child = match waiting {
                Ok(child) => child,
                Err(receiver) => tokio::select! {
                    child = receiver => child.map_err(|_| Error::Stopping)?,
                    () = self.stop.cancelled() => return Err(Error::Stopping),
                    () = tokio::time::sleep_until(deadline) => {
                        return Err(Error::NoneReady { waited: TAKE_TIMEOUT });
                    }
                },
            };
            if !child.is_closed() {
                return Ok(child);
            }
            self.reap(child.into_process(), |_| {});
            self.discard_dead();
        }
    }

    /// A process that is about to become the image: it takes the steps next.
    pub async fn fork_line(&self, image: OwnedFd) -> Result<LineChild, Error> {
        for _ in 0..LINE_ATTEMPTS_MAX {
            let image = image.try_clone().map_err(|_| Error::Stopping)?;
            let (forking, ordered) = oneshot::channel();
            let order = LineOrder { image, forking };
            let forked = async {
                self.lines.send(order).await.map_err(|_| Error::Stopping)?;
                match ordered.await {
                    Ok(forking) => Ok(forking.ready().await.ok()),
                    Err(_) => Ok(None),
                }
            };
            let forked = tokio::select! {
                forked = forked => forked?,
                () = self.stop.cancelled() => return Err(Error::Stopping),
                () = tokio::time::sleep(TAKE_TIMEOUT) => {
                    return Err(Error::NoneReady { waited: TAKE_TIMEOUT });
                }
            };
            if let Some(child) = forked {
                return Ok(child);
            }
            tokio::time::sleep(FORK_RETRY_DELAY).await;
        }
        Err(Error::Dying {
            attempts: LINE_ATTEMPTS_MAX,
        })
    }

    /// Reaps what dies in a process group and is held by nobody, until the group is empty.
    pub fn watch_group(&self, group: Pid) {
        self.tracker.spawn(reap_orphans(group, self.stop.clone()));
    }

    /// Asks for another zygote than this one; its waiting children are given up with it.
    pub fn renew(&self, generation: u64) {
        self.renew.fetch_max(generation, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Kills a process, reaps it in the background, and tells `ended` how it ended. The caller, who has
    /// an answer to give, waits for none of it.
    pub fn reap(
        &self,
        process: Process,
        ended: impl FnOnce(super::process::Exit) + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.tracker.spawn(async move {
            process.kill();
            ended(process.ended().await);
        })
    }

    /// Ends the loop, the zygote and the children that wait.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How many children wait.
    pub fn ready(&self) -> usize {
        self.shelf().ready.len()
    }

    /// How many zygotes were started, and the present one's process id.
    pub fn zygote(&self) -> (u64, Option<i32>) {
        let pid = self.zygote_pid.load(Ordering::Relaxed) as i32;
        (
            self.zygote_starts.load(Ordering::Relaxed),
            (pid != 0).then_some(pid),
        )
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many children should be there or on their way.
    fn wanted(&self) -> usize {
        let mut shelf = self.shelf();
        // Callers that gave up are not waited for.
        shelf.waiting.retain(|waiting| !waiting.is_closed());
        (self.options.runs_ready + shelf.waiting.len()).saturating_sub(shelf.ready.len())
    }

    /// Gives a child to who waits longest, or puts it on the shelf.
    fn put(&self, mut child: Child) {
        let mut shelf = self.shelf();
        while let Some(waiting) = shelf.waiting.pop_front() {
            match waiting.send(child) {
                Ok(()) => return,
                Err(back) => child = back,
            }
        }
        shelf.ready.push_back(child);
    }

    /// Gives up the children that died while they waited.
    fn discard_dead(&self) {
        let dead: VecDeque<Child> = {
            let mut shelf = self.shelf();
            let (dead, ready) = shelf.ready.drain(..).partition(Child::is_closed);
            shelf.ready = ready;
            dead
        };
        for child in dead {
            self.reap(child.into_process(), |_| {});
        }
    }

    fn discard_ready(&self) {
        let ready = std::mem::take(&mut self.shelf().ready);
        for child in ready {
            self.reap(child.into_process(), |_| {});
        }
    }

    async fn supply_loop(
        self: Arc<Self>,
        mut zygote: Zygote,
        mut orders: mpsc::Receiver<LineOrder>,
    ) {
        let mut generation = 0;
        loop {
            generation += 1;
            self.zygote_starts.store(generation, Ordering::Relaxed);
            let group = zygote.process().pid();
            let pid = group.as_raw_nonzero().get();
            self.zygote_pid.store(pid as usize, Ordering::Relaxed);
            info!(pid, generation, "zygote ready");
            self.watch_group(group);
            let successor = match self.serve(&zygote, generation, &mut orders).await {
                End::Stopped => None,
                End::Dead => {
                    warn!(pid, generation, "zygote died, starting another");
                    self.zygote_pid.store(0, Ordering::Relaxed);
                    self.start_again().await
                }
                End::Succeeded(successor) => {
                    debug!(pid, generation, "another zygote takes over");
                    self.discard_ready();
                    Some(successor)
                }
            };
            self.tracker.spawn(zygote.end());
            match successor {
                Some(successor) => zygote = successor,
                None => {
                    self.discard_ready();
                    return;
                }
            }
        }
    }

    async fn start_again(&self) -> Option<Zygote> {
        let mut delay = RESTART_DELAY_MIN;
        loop {
            let started = tokio::select! {
                started = Zygote::start(self.engine, self.options) => started,
                () = self.stop.cancelled() => return None,
            };
            match started {
                Ok(zygote) => return Some(zygote),
                Err(error) => error!(%error, "can't start a zygote"),
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.stop.cancelled() => return None,
            }
            delay = (delay * 2).min(RESTART_DELAY_MAX);
        }
    }

    /// Forks from one zygote until it is of no more use. One that is to be renewed serves until its
    /// successor is warm, so that nobody waits for a start.
    async fn serve(
        &self,
        zygote: &Zygote,
        generation: u64,
        orders: &mut mpsc::Receiver<LineOrder>,
    ) -> End {
        let mut forking = FuturesUnordered::new();
        let mut successor = pin!(Fuse::terminated());
        let mut forks = 0;
        let renewable = tokio::time::Instant::now() + RENEWAL_PERIOD_MIN;
        let mut look = tokio::time::interval(LOOK_PERIOD);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let end = 'serving: loop {
            let unwanted = self.renew.load(Ordering::Relaxed) >= generation;
            let renew = unwanted && tokio::time::Instant::now() >= renewable || forks >= FORKS_MAX;
            if renew && successor.is_terminated() {
                successor.set(self.start_again().fuse());
            }
            while forking.len() < self.wanted() {
                match zygote.fork() {
                    Ok(ordered) => {
                        forks += 1;
                        forking.push(ordered.ready(generation));
                    }
                    // The socket is full: go on when a child has answered.
                    Err(error)
                        if error.kind() == io::ErrorKind::WouldBlock && !forking.is_empty() =>
                    {
                        break;
                    }
                    Err(error) => {
                        warn!(%error, "can't order a fork");
                        break 'serving End::Dead;
                    }
                }
            }
            tokio::select! {
                Some(child) = forking.next(), if !forking.is_empty() => match child {
                    Ok(child) => self.put(child),
                    Err(error) => debug!(%error, "a fork did not become ready"),
                },
                news = zygote.news() => match news {
                    News::ForkFailed(errno) => {
                        warn!(errno, "a fork failed, trying again");
                        tokio::time::sleep(FORK_RETRY_DELAY).await;
                        if zygote.order().is_err() {
                            break 'serving End::Dead;
                        }
                    }
                    News::Ended => break 'serving End::Dead,
                },
                started = &mut successor, if !successor.is_terminated() => match started {
                    Some(started) => break 'serving End::Succeeded(started),
                    None => break 'serving End::Stopped,
                },
                Some(order) = orders.recv() => {
                    forks += 1;
                    match zygote.line().fork_line(Some(order.image.as_fd())) {
                        // Whoever gave the order up has its descriptors closed with it.
                        Ok(ordered) => drop(order.forking.send(ordered)),
                        Err(error) => debug!(%error, "can't order a fork"),
                    }
                }
                () = self.wake.notified() => {}
                _ = look.tick() => self.discard_dead(),
                () = self.stop.cancelled() => break 'serving End::Stopped,
            }
        };
        // A child tells its process id when it is ready: one that nobody waited for would end unreaped.
        let rest = async {
            while let Some(child) = forking.next().await {
                if let Ok(child) = child {
                    self.put(child);
                }
            }
        };
        if tokio::time::timeout(LAST_FORKS_TIMEOUT, rest)
            .await
            .is_err()
        {
            warn!(
                generation,
                "the last forks of a zygote did not become ready"
            );
        }
        end
    }
}

/// Why a zygote is not used any more.
enum End {
    Dead,
    Succeeded(Zygote),
    Stopped,
}
