//! The engines of the cluster. Each node has one of its own, which new sessions run in; the others are kept as blobs,
//! and a node that needs one fetches it and starts a zygote of it. So a session goes on in the engine that made it
//! when its nodes have another version.

mod error;
mod keep;
mod list;
mod parts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::node::Cluster;
use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{EngineRecord, EngineState, PutEngine};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::error::Error;
pub use self::list::EngineInfo;
pub use self::parts::Parts;
use crate::service::blobs::Blobs;
use crate::workers::{Engine, EngineId, Facts, Options, Workers};

/// So many engines beside its own run on a node: each is a zygote, and some 60 MB.
const OTHERS_MAX: usize = 8;
/// How long a write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The engines that this node can run. Cheap to clone.
#[derive(Clone)]
pub struct Engines(Arc<Inner>);

struct Inner {
    own: Workers,
    options: Options,
    cluster: Cluster,
    blobs: Blobs,
    /// Those that were asked for. None is ever given up: sessions may have processes of it at any time.
    others: Mutex<HashMap<EngineId, Arc<OnceCell<Workers>>>>,
    /// The cluster knows this node's own.
    registered: OnceCell<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Engines {
    /// With this node's own workers; others are started with the same options, but nothing forked ahead.
    pub fn new(own: Workers, options: Options, cluster: Cluster, blobs: Blobs) -> Self {
        let options = Options {
            runs_ready: 0,
            ..options
        };
        Self(Arc::new(Inner {
            own,
            options,
            cluster,
            blobs,
            others: Mutex::default(),
            registered: OnceCell::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The engine of new sessions.
    pub fn own(&self) -> &'static Engine {
        self.0.own.engine()
    }

    /// Makes the own engine known, once; its bytes follow in the background.
    ///
    /// # Errors
    /// The cluster does not confirm it.
    pub async fn register(&self) -> Result<(), Error> {
        let registered = self.0.registered.get_or_try_init(|| async {
            let id = self.own().id();
            if self.0.cluster.state().engine(&id.0).await?.is_none() {
                let engine = self.own();
                self.put(engine.id(), engine.facts(), Vec::new(), Vec::new())
                    .await?;
            }
            keep::begin(self);
            Ok(())
        });
        registered.await.copied()
    }

    /// Tells the cluster of an engine.
    async fn put(
        &self,
        id: EngineId,
        facts: &Facts,
        worker_blob: Vec<u8>,
        base_image_blob: Vec<u8>,
    ) -> Result<(), Error> {
        let put = PutEngine {
            id: id.0.to_vec(),
            v8_version: facts.v8_version.clone(),
            cpu_baseline: facts.cpu_baseline.clone(),
            worker_blob,
            base_image_blob,
            v8_flags: facts.v8_flags.clone(),
            constants_used: facts.constants_used.clone(),
        };
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let kind = Kind::PutEngine(put);
        let committed = self.0.cluster.propose(kind, "", deadline).await?;
        match committed.reply.outcome {
            Some(Outcome::Done(_)) => Ok(()),
            Some(Outcome::Refused(refused)) => Err(Error::Refused {
                reason: refused.reason,
            }),
            _ => Err(Error::Refused { reason: 0 }),
        }
    }

    /// The processes of an engine, which is fetched and started where it does not run here yet.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn workers(&self, id: EngineId) -> Result<Workers, Error> {
        let record = self.0.cluster.state().engine(&id.0).await?;
        if let Some(record) = &record
            && record.state() == EngineState::Retired
        {
            return Err(Error::Retired);
        }
        if id == self.own().id() {
            return Ok(self.0.own.clone());
        }
        let cell = {
            let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
            if others.len() >= OTHERS_MAX && !others.contains_key(&id) {
                // One that could not be started takes no place.
                others.retain(|_, cell| cell.initialized() || Arc::strong_count(cell) > 1);
                if others.len() >= OTHERS_MAX {
                    let others = others.len();
                    return Err(Error::TooMany { others });
                }
            }
            Arc::clone(others.entry(id).or_default())
        };
        let workers = cell.get_or_try_init(|| self.start(id, record));
        workers.await.cloned()
    }

    async fn start(&self, id: EngineId, record: Option<EngineRecord>) -> Result<Workers, Error> {
        let parts = self.fetch(record).await?;
        let loaded = spawn_blocking(move || {
            let (program, base_image) = parts.unpacked()?;
            Engine::load_as(id, parts.facts, &program, base_image)
        });
        let engine = loaded.await.expect("loading does not panic")?;
        let workers = Workers::start(engine, self.0.options).await?;
        tracing::info!(engine = %id, v8 = engine.facts().v8_version, "another engine runs here");
        Ok(workers)
    }

    /// Ends all processes of other engines.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        let others = {
            let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *others)
        };
        for cell in others.into_values() {
            if let Some(workers) = cell.get() {
                workers.shutdown().await;
            }
        }
    }
}
