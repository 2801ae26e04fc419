//! The processes of sessions that wait for their next run on this node, and those that wait for their turn.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::{Error, HeapId};
use crate::config::SessionsConfig;
use crate::workers::session::Session;

/// A session's immutable id.
pub type SessionId = [u8; 16];

/// So many runs of all sessions together may wait or run.
const WAITING_MAX: usize = 4096;
/// So many names are remembered, and places of sessions that have no process.
const NAMES_MAX: usize = 10_000;

/// What this node keeps of one session that it runs.
#[derive(Default)]
pub struct Slot {
    /// Runs that wait for their turn, and the one that has it.
    waiting: AtomicUsize,
    used: AtomicU64,
    state: Arc<tokio::sync::Mutex<SlotState>>,
}

/// What only the run whose turn it is may touch.
#[derive(Default)]
pub struct SlotState {
    /// The claim that this is good for; 0 = none.
    pub fence: u64,
    /// What the session lives in.
    pub engine: Vec<u8>,
    /// Where the session stands.
    pub heap: Option<HeapId>,
    /// A process in that state.
    pub live: Option<Live>,
}

/// A process, and how far its state is from an image.
pub struct Live {
    /// The process.
    pub session: Session,
    /// What a restore would have to read.
    pub chain: Chain,
    counted: Counted,
}

/// How many deltas there are behind a state.
#[derive(Default)]
pub struct Chain {
    /// How many, since the process was opened or before.
    pub deltas: u64,
    /// Their bytes together, as they are kept.
    pub bytes: u64,
    /// What of them the last image has.
    pub image: Arc<Image>,
}

/// The last image of a chain.
#[derive(Default)]
pub struct Image {
    /// So many deltas are in it,
    pub deltas: AtomicU64,
    /// with so many bytes.
    pub delta_bytes: AtomicU64,
    /// Its own bytes, as they are kept; 0 = the engine's base image.
    pub bytes: AtomicU64,
    /// Another one is being made.
    pub is_making: AtomicBool,
}

/// What all processes together are.
#[derive(Default)]
struct Totals {
    live: AtomicUsize,
    bytes: AtomicU64,
}

/// Counts a process and its memory for as long as it is there.
struct Counted {
    totals: Arc<Totals>,
    bytes: u64,
}

impl Counted {
    fn set(&mut self, bytes: u64) {
        self.totals.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.totals.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set(0);
        self.totals.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All slots of a node, and processes of heaps that belong to no session.
pub struct Warm {
    slots: Mutex<HashMap<SessionId, Arc<Slot>>>,
    /// Ids of sessions by the names that they had when they were last used: names are not in memory.
    names: Mutex<HashMap<String, SessionId>>,
    waiting: Arc<AtomicUsize>,
    branches: Mutex<HashMap<HeapId, (u64, Live)>>,
    totals: Arc<Totals>,
    clock: AtomicU64,
    config: SessionsConfig,
}

/// A turn in a session: while it lives no other run of the session begins.
pub struct Place {
    slot: Arc<Slot>,
    state: Option<OwnedMutexGuard<SlotState>>,
    waiting: Arc<AtomicUsize>,
}

impl Warm {
    pub fn new(config: SessionsConfig) -> Self {
        Self {
            slots: Mutex::default(),
            names: Mutex::default(),
            waiting: Arc::default(),
            branches: Mutex::default(),
            totals: Arc::default(),
            clock: AtomicU64::new(0),
            config,
        }
    }

    /// How many processes there are.
    pub fn count(&self) -> usize {
        self.totals.live.load(Ordering::Relaxed)
    }

    /// The memory that they have of their own, in bytes.
    pub fn bytes(&self) -> u64 {
        self.totals.bytes.load(Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn branches(&self) -> MutexGuard<'_, HashMap<HeapId, (u64, Live)>> {
        self.branches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id that a session of a name had when it was last used.
    pub fn id(&self, name: &str) -> Option<SessionId> {
        self.names().get(name).copied()
    }

    /// Takes note of a session's name.
    pub fn note(&self, name: &str, id: SessionId) {
        let mut names = self.names();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(name.to_owned(), id);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, SessionId>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues up for a session. The order of the calls is the order of the turns.
    pub fn enter(&self, session: SessionId) -> Result<Place, Error> {
        let slot = {
            let mut slots = self.slots();
            if slots.len() >= NAMES_MAX {
                // What is left of sessions that have no process and that nobody waits for.
                slots.retain(|_, slot| !slot.is_empty());
            }
            let slot = Arc::clone(slots.entry(session).or_default());
            // Under the lock: a slot that somebody waits for is not forgotten.
            let waiting = slot.waiting.fetch_add(1, Ordering::Relaxed);
            let all = self.waiting.fetch_add(1, Ordering::Relaxed);
            let waiting_max = self.config.waiting_max;
            if waiting > waiting_max || all >= WAITING_MAX {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                slot.waiting.fetch_sub(1, Ordering::Relaxed);
                return Err(Error::QueueFull { waiting_max });
            }
            slot
        };
        Ok(Place {
            slot,
            state: None,
            waiting: Arc::clone(&self.waiting),
        })
    }

    /// A process that is one of those that are kept, until it is dropped.
    pub fn live(&self, session: Session, chain: Chain) -> Live {
        self.totals.live.fetch_add(1, Ordering::Relaxed);
        let totals = Arc::clone(&self.totals);
        let mut live = Live {
            session,
            chain,
            counted: Counted { totals, bytes: 0 },
        };
        live.weigh();
        live
    }

    /// The process in the state of a heap that belongs to no session.
    pub fn take_branch(&self, heap: &HeapId) -> Option<Live> {
        self.branches().remove(heap).map(|(_, live)| live)
    }

    /// Keeps such a process.
    pub fn put_branch(&self, heap: HeapId, live: Live) {
        let now = self.now();
        self.branches().insert(heap, (now, live));
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// The processes that were not used for longest, and that have to end so that there may be so many more.
    pub fn take_excess(&self, more: usize) -> Vec<Session> {
        let mut excess = Vec::new();
        while self.count() + more > self.config.warm_max
            || self.bytes() > self.config.warm_mb_max << 20
        {
            let Some(oldest) = self.take_oldest() else {
                // All others run something: the bound is exceeded for as long as that takes.
                break;
            };
            excess.push(oldest.into_session());
        }
        excess
    }

    fn take_oldest(&self) -> Option<Live> {
        let mut slots = self.slots();
        let mut branches = self.branches();
        let mut idle: Option<(u64, SessionId, OwnedMutexGuard<SlotState>)> = None;
        for (id, slot) in slots.iter() {
            let used = slot.used.load(Ordering::Relaxed);
            if idle.as_ref().is_some_and(|(oldest, ..)| *oldest <= used) {
                continue;
            }
            if let Ok(state) = Arc::clone(&slot.state).try_lock_owned()
                && state.live.is_some()
            {
                idle = Some((used, *id, state));
            }
        }
        let branch = branches.iter().min_by_key(|(_, (used, _))| *used);
        let branch = branch.map(|(heap, (used, _))| (*used, *heap));
        match (idle, branch) {
            (idle, Some((used, heap))) if idle.as_ref().is_none_or(|(other, ..)| used < *other) => {
                branches.remove(&heap).map(|(_, live)| live)
            }
            (Some((_, id, mut state)), _) => {
                let live = state.live.take();
                drop(state);
                if slots.get(&id).is_some_and(|slot| slot.is_idle()) {
                    slots.remove(&id);
                }
                live
            }
            (None, _) => None,
        }
    }

    /// Ends all processes that nothing runs in.
    pub async fn close(&self) {
        while let Some(live) = self.take_oldest() {
            live.into_session().close().await;
        }
    }

    /// Whether a process waits in a session, as far as that can be told without waiting.
    pub fn is_warm(&self, session: &SessionId) -> bool {
        let slot = self.slots().get(session).cloned();
        slot.is_some_and(|slot| match slot.state.try_lock() {
            Ok(state) => state.live.is_some(),
            // Something runs in it.
            Err(_) => true,
        })
    }
}

impl Live {
    /// Takes note of how much memory the process has of its own: what it has beside the base image, which
    /// all of them share.
    pub fn weigh(&mut self) {
        let session = &self.session;
        let own = session
            .pages()
            .saturating_sub(session.engine().base().present().count());
        self.counted.set(own * process_image::layout::PAGE as u64);
    }

    /// The process alone, which is counted no longer.
    pub fn into_session(self) -> Session {
        self.session
    }
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.is_idle()
            && self
                .state
                .try_lock()
                .is_ok_and(|state| state.live.is_none())
    }

    fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

impl Place {
    /// Waits for the turn.
    pub async fn turn(&mut self) -> &mut SlotState {
        let state = match self.state.take() {
            Some(state) => state,
            None => Arc::clone(&self.slot.state).lock_owned().await,
        };
        self.state.insert(state)
    }

    /// The turn was used at this time.
    pub fn used(&self, warm: &Warm) {
        self.slot.used.store(warm.now(), Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state = None;
        self.slot.waiting.fetch_sub(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
