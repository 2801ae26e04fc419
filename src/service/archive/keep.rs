//! What the leader does for the bucket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::archive::LogAfter;
use cluster::node::Cluster;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::keys::{self, Kept};
use super::{Error, Figures, Pace};
use crate::storage::{Bucket, Claim};

/// How soon a node that has begun to lead keeps what callers wait for.
const LOOK: Duration = Duration::from_millis(100);
/// How often the claim is renewed.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// Entries of one object, in bytes, about.
const PIECE_BYTES: u64 = 8 << 20;
/// A new state is worth writing after so many bytes of log,
const LOG_BYTES_MIN: u64 = 64 << 20;
/// or so many pieces: each is a request of a restore.
const PIECES_MAX: usize = 3600;
/// What an earlier cluster kept stays for so long after it was restored from.
const FORMER_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// The last round at the end may take so long.
const LAST_ROUND: Duration = Duration::from_secs(10);
/// A failure is told so often while it lasts.
const TELL: Duration = Duration::from_secs(60);

/// The one that keeps.
pub(super) struct Keeper {
    bucket: Arc<Bucket>,
    claim: Arc<Claim>,
    cluster: Cluster,
    writer: StateWriter,
    figures: Figures,
    /// The last entry in the bucket, for those who wait for it.
    end: watch::Sender<u64>,
    lead: Option<Lead>,
}

/// What is known while this node leads.
struct Lead {
    cluster_id: String,
    /// The last entry in the bucket.
    end: Option<u64>,
    state_bytes: u64,
    log_bytes: u64,
    pieces: usize,
    renewed: Instant,
    /// A newer state is on its way: the log does not wait for it.
    writing: Option<Writing>,
}

struct Writing {
    state: JoinHandle<Result<KeptState, Error>>,
    /// What was in the bucket when it began, and needs not be read after it.
    log_bytes: u64,
    pieces: usize,
}

impl Lead {
    async fn end_writing(&mut self) -> Result<(), Error> {
        let ended = self.writing.take_if(|writing| writing.state.is_finished());
        let Some(ended) = ended else {
            return Ok(());
        };
        let kept = ended.state.await.expect("writing a state does not panic")?;
        self.state_bytes = kept.bytes;
        self.log_bytes = self.log_bytes.saturating_sub(ended.log_bytes);
        self.pieces = self.pieces.saturating_sub(ended.pieces);
        Ok(())
    }
}

impl Keeper {
    pub fn new(
        bucket: Arc<Bucket>,
        claim: Arc<Claim>,
        cluster: Cluster,
        figures: Figures,
        end: watch::Sender<u64>,
    ) -> Self {
        let writer = StateWriter {
            bucket: Arc::clone(&bucket),
            cluster: cluster.clone(),
            figures: figures.clone(),
        };
        Self {
            bucket,
            claim,
            cluster,
            writer,
            figures,
            end,
            lead: None,
        }
    }

    pub async fn run(mut self, pace: Pace, stop: CancellationToken) {
        let mut beat = tokio::time::interval(pace.period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = beat.tick() => {}
                () = self.more(), if pace.at_once => {}
            }
            let round = tokio::select! {
                () = stop.cancelled() => break,
                round = self.round() => round,
            };
            match round {
                Ok(()) if told.take().is_some() => {
                    tracing::info!("the log goes to the bucket again");
                }
                Ok(()) => {}
                Err(error) => {
                    self.figures.failures.inc();
                    // What was written before the failure is found again.
                    self.lead = None;
                    if told.is_none_or(|told| told.elapsed() >= TELL) {
                        told = Some(Instant::now());
                        tracing::error!(%error, "the log does not go to the bucket");
                    }
                }
            }
        }
        match tokio::time::timeout(LAST_ROUND, self.last_round()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the end of the log is not in the bucket");
            }
            Err(_) => tracing::error!("the end of the log is not in the bucket: it is too slow"),
        }
    }

    /// Waits for an entry that is not in the bucket yet.
    async fn more(&self) {
        let Some(end) = self.lead.as_ref().and_then(|lead| lead.end) else {
            // It does not lead, or did not when it was looked at last.
            return tokio::time::sleep(LOOK).await;
        };
        let state = self.cluster.state();
        while !state.wait_applied(end + 1, Instant::now() + BEAT).await {}
    }

    async fn last_round(&mut self) -> Result<(), Error> {
        self.round().await?;
        let voters = self.cluster.state().membership();
        let alone = voters.membership().voter_ids().count() == 1;
        if let Some(lead) = self.lead.as_ref().filter(|_| alone) {
            self.claim.renew(&lead.cluster_id, true).await?;
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<(), Error> {
        let cluster_id = self.cluster.cluster_id().filter(|_| self.cluster.leads());
        let Some(cluster_id) = cluster_id else {
            self.lead = None;
            self.figures.index.set(0);
            self.figures.behind.set(0);
            return Ok(());
        };
        let mut lead = match self.lead.take() {
            Some(lead) => lead,
            None => self.begin(cluster_id.to_string()).await?,
        };
        if lead.renewed.elapsed() >= BEAT {
            self.claim.renew(&lead.cluster_id, false).await?;
            lead.renewed = Instant::now();
        }
        self.catch_up(&mut lead).await?;
        self.lead = Some(lead);
        Ok(())
    }

    /// Somebody else may have kept things before.
    async fn begin(&self, cluster_id: String) -> Result<Lead, Error> {
        self.claim.renew(&cluster_id, false).await?;
        let kept = Kept::of(self.bucket.list(&keys::folder(&cluster_id)).await?);
        Ok(Lead {
            end: kept.end(),
            state_bytes: 0,
            log_bytes: kept.log_bytes,
            pieces: kept.pieces.len(),
            renewed: Instant::now(),
            writing: None,
            cluster_id,
        })
    }

    async fn catch_up(&self, lead: &mut Lead) -> Result<(), Error> {
        lead.end_writing().await?;
        loop {
            let Some(end) = lead.end else {
                self.keep_state(lead).await?;
                continue;
            };
            self.tell(end);
            match self.cluster.log_after(end, PIECE_BYTES).await? {
                LogAfter::Nothing => break,
                LogAfter::Purged => self.keep_state(lead).await?,
                LogAfter::Entries(piece) => {
                    let key = keys::log(&lead.cluster_id, piece.first, piece.last);
                    let bytes = piece.bytes.len() as u64;
                    self.bucket.write(&key, piece.bytes).await?;
                    self.figures.bytes.inc_by(bytes);
                    lead.end = Some(piece.last);
                    lead.log_bytes += bytes;
                    lead.pieces += 1;
                }
            }
        }
        let much = lead.log_bytes > LOG_BYTES_MIN.max(lead.state_bytes) || lead.pieces > PIECES_MAX;
        if much && lead.writing.is_none() {
            let (writer, cluster_id) = (self.writer.clone(), lead.cluster_id.clone());
            lead.writing = Some(Writing {
                state: tokio::spawn(async move { writer.keep(&cluster_id).await }),
                log_bytes: lead.log_bytes,
                pieces: lead.pieces,
            });
        }
        Ok(())
    }

    /// Without a state there is nothing that the log could follow.
    async fn keep_state(&self, lead: &mut Lead) -> Result<(), Error> {
        lead.writing = None;
        let kept = self.writer.keep(&lead.cluster_id).await?;
        lead.end = lead.end.max(Some(kept.index));
        lead.state_bytes = kept.bytes;
        lead.log_bytes = 0;
        lead.pieces = 0;
        Ok(())
    }

    fn tell(&self, end: u64) {
        let applied = self.cluster.state().applied().map_or(0, |it| it.index);
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.end.send_if_modified(|known| {
            let more = *known < end;
            *known = end.max(*known);
            more
        });
        self.figures.index.set(number(end));
        self.figures.behind.set(number(applied.saturating_sub(end)));
    }
}

/// What a state in the bucket is.
struct KeptState {
    index: u64,
    bytes: u64,
}

/// Writes the state. Cheap to clone.
#[derive(Clone)]
struct StateWriter {
    bucket: Arc<Bucket>,
    cluster: Cluster,
    figures: Figures,
}

impl StateWriter {
    /// Keeps the state as of now, and removes what that makes needless.
    async fn keep(&self, cluster_id: &str) -> Result<KeptState, Error> {
        let (index, file) = self.cluster.state().export().await?;
        let key = keys::state(cluster_id, index);
        self.bucket
            .put_file(&key, file.path(), file.size(), file.digest())
            .await?;
        tracing::info!(index, bytes = file.size(), "the state is in the bucket");
        self.figures.bytes.inc_by(file.size());
        let mut needless = Vec::new();
        let own = keys::folder(cluster_id);
        let all = self.bucket.list("archive/").await?;
        let (ours, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|object| object.key.starts_with(&own));
        needless.extend(Kept::of(ours).needless);
        let aged = others.into_iter().filter(|object| {
            let age = object.modified.elapsed();
            age.is_ok_and(|age| age >= FORMER_KEPT)
        });
        needless.extend(aged.map(|object| object.key));
        for key in needless {
            self.bucket.remove(&key).await?;
        }
        Ok(KeptState {
            index,
            bytes: file.size(),
        })
    }
}
