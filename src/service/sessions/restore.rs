//! A process for a heap: from the nearest image, and the deltas after it. An image is kept as the one delta that
//! leads to its heap from the engine's base image, so that what all sessions have in common is kept once.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{CommitRecord, PutImage};
use process_image::fold::{FoldError, fold, squash};
use process_image::{Delta, DeltaLimits, ImageHeader, StateId};
use tokio::task::spawn_blocking;

use super::warm::{Chain, Image, Live};
use super::{Error, HeapId, Inner, Sessions};
use crate::service::blobs;
use crate::storage::{BlobError, BlobId};
use crate::workers::Engine;
use crate::workers::session::{Origin, Session, SessionError};

/// What a committed delta may be. The node that made it had limits of its own, so these only bound the damage.
const DELTA_LIMITS: DeltaLimits = DeltaLimits {
    body_bytes_max: 8 << 30,
    pages_max: 1 << 21,
};
/// A new image is due after so many deltas: each costs a restore a row, and the pages that it changes.
const IMAGE_DELTAS_MAX: u64 = 1024;
/// Or when the deltas have more bytes than the last image, and than this.
const IMAGE_DELTA_BYTES_MIN: u64 = 2 << 20;
/// How long an image may take to be kept.
const IMAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// A delta as it is kept, and the heap that it makes.
struct Link {
    heap: HeapId,
    encoded: bytes::Bytes,
}

impl Inner {
    /// A process in the state of a heap; none is the base image of the engine. Who does not know the engine has a
    /// heap, which knows it.
    #[tracing::instrument(name = "restore", level = "debug", skip_all)]
    pub(super) async fn open(
        &self,
        engine: Option<&[u8]>,
        heap: Option<HeapId>,
    ) -> Result<Live, Error> {
        self.make_room(1);
        let started = Instant::now();
        let (made_in, links, chain) = self.chain(heap).await?;
        let workers = self.workers(engine.unwrap_or(&made_in)).await?;
        let origin = if links.is_empty() {
            Origin::Base
        } else {
            let (engine, scratch) = (workers.engine(), self.scratch.clone());
            let folded = spawn_blocking(move || folded(engine, links, &scratch)).await;
            Origin::Image(folded.expect("folding does not panic")?)
        };
        let opened = Session::open(&workers, origin, self.limits).await;
        let session = opened.map_err(|error| unopened(heap, &error))?;
        self.figures.restored(started.elapsed());
        tracing::debug!(
            heap = heap.map(tracing::field::display),
            deltas = chain.deltas,
            took_ms = started.elapsed().as_millis(),
            "a session's process is open"
        );
        Ok(self.warm.live(session, chain))
    }

    /// Ends processes that were not used for long, until there may be so many more. Nobody waits for that.
    pub(super) fn make_room(&self, more: usize) {
        for session in self.warm.take_excess(more) {
            self.tasks.spawn(session.close());
        }
        self.figures.warm(self.warm.count(), self.warm.bytes());
    }

    /// The engine that a heap was made in, and what leads to it, the oldest first.
    async fn chain(&self, heap: Option<HeapId>) -> Result<(Vec<u8>, Vec<Link>, Chain), Error> {
        let state = self.cluster.state();
        let mut engine = Vec::new();
        let mut links = Vec::new();
        let mut chain = Chain::default();
        let mut next = heap;
        while let Some(heap) = next {
            if let Some(image) = state.image(&heap.0).await? {
                match self.blob(heap, &image.blob).await {
                    Ok(encoded) => {
                        engine = image.engine_id;
                        chain.image = Arc::new(Image::default());
                        let bytes = encoded.len() as u64;
                        chain.image.bytes.store(bytes, Ordering::Relaxed);
                        links.push(Link { heap, encoded });
                        break;
                    }
                    // The deltas say the same, with more work.
                    Err(error) => tracing::warn!(%heap, %error, "an image is of no use"),
                }
            }
            let record = state.commit(&heap.0).await?;
            let record = record.ok_or(Error::HeapNotFound { heap })?;
            engine.clone_from(&record.engine_id);
            next = HeapId::from_record(&record.parent)?;
            let encoded = self.delta(heap, record).await?;
            chain.deltas += 1;
            chain.bytes += encoded.len() as u64;
            links.push(Link { heap, encoded });
        }
        links.reverse();
        Ok((engine, links, chain))
    }

    /// What a commit changed.
    pub(super) async fn delta(
        &self,
        heap: HeapId,
        record: CommitRecord,
    ) -> Result<bytes::Bytes, Error> {
        if record.delta_blob.is_empty() {
            Ok(record.delta.into())
        } else {
            self.blob(heap, &record.delta_blob).await
        }
    }

    /// The bytes of a blob that a commit names.
    pub(super) async fn blob(&self, heap: HeapId, blob: &[u8]) -> Result<bytes::Bytes, Error> {
        let id = BlobId::try_from(blob).map_err(|_| Error::Record)?;
        let read = self.blobs.get(id).await;
        read.map_err(|error| match error {
            blobs::Error::Store(BlobError::Bucket(_)) | blobs::Error::State(_) => {
                let reason = error.to_string().into();
                Error::Unavailable { reason }
            }
            error => damaged(heap, &error),
        })
    }
}

impl Sessions {
    /// Makes an image of a heap in the background, where the deltas since the last one are worth it.
    pub(super) fn fold_if_due(&self, heap: HeapId, chain: &Chain) {
        let image = &chain.image;
        let deltas = chain.deltas - image.deltas.load(Ordering::Relaxed);
        let bytes = chain.bytes - image.delta_bytes.load(Ordering::Relaxed);
        let bytes_max = image
            .bytes
            .load(Ordering::Relaxed)
            .max(IMAGE_DELTA_BYTES_MIN);
        let is_due = deltas >= IMAGE_DELTAS_MAX || bytes > bytes_max;
        if !is_due || image.is_making.swap(true, Ordering::Relaxed) {
            return;
        }
        let (sessions, image) = (self.clone(), Arc::clone(image));
        let (deltas, delta_bytes) = (chain.deltas, chain.bytes);
        self.inner.tasks.spawn(async move {
            match sessions.inner.make_image(heap).await {
                Ok(bytes) => {
                    image.deltas.store(deltas, Ordering::Relaxed);
                    image.delta_bytes.store(delta_bytes, Ordering::Relaxed);
                    image.bytes.store(bytes, Ordering::Relaxed);
                    tracing::debug!(%heap, bytes, "an image is kept");
                }
                Err(error) => tracing::warn!(%heap, %error, "an image can't be made"),
            }
            image.is_making.store(false, Ordering::Relaxed);
        });
    }
}

impl Inner {
    async fn make_image(&self, heap: HeapId) -> Result<u64, Error> {
        let deadline = Instant::now() + IMAGE_TIMEOUT;
        // What a run on another node has just made is not here yet.
        self.cluster.linearizable(deadline).await?;
        let (engine, links, _) = self.chain(Some(heap)).await?;
        let engine = self.workers(&engine).await?.engine();
        let image = spawn_blocking(move || squashed(engine, links)).await;
        let image = image.expect("folding does not panic")?;
        let size = image.len() as u64;
        let blob = self.blobs.put(image, deadline).await;
        let put = PutImage {
            heap_id: heap.0.to_vec(),
            blob: blob.map_err(Error::not_durable)?.0.to_vec(),
            size,
            engine_id: engine.id().0.to_vec(),
        };
        let committed = self
            .cluster
            .propose(Kind::PutImage(put), "", deadline)
            .await?;
        match committed.reply.outcome {
            Some(Outcome::Done(_)) => Ok(size),
            Some(Outcome::Refused(refused)) => Err(Error::refused(&refused, "")),
            _ => Err(Error::Record),
        }
    }
}

fn decoded(engine: &Engine, links: Vec<Link>) -> Result<Vec<(StateId, Delta)>, Error> {
    let mut deltas = Vec::with_capacity(links.len());
    for Link { heap, encoded } in links {
        let delta = Delta::decode(&encoded, &DELTA_LIMITS, engine.bounds());
        let delta = delta.map_err(|error| damaged(heap, &error))?;
        deltas.push((HeapId::state(Some(heap)), delta));
    }
    Ok(deltas)
}

fn base(engine: &Engine) -> Result<(ImageHeader, File), Error> {
    let file = engine.image_file().map_err(|error| Error::Unavailable {
        reason: error.to_string().into(),
    })?;
    Ok((engine.base().of_engine(engine.id()), file))
}

/// The image in a file that nobody else sees.
fn folded(engine: &Engine, links: Vec<Link>, scratch: &Path) -> Result<File, Error> {
    let last = links.last().expect("something leads to a heap").heap;
    let unwritable = |error: std::io::Error| Error::Unavailable {
        reason: format!("{}: {error}", scratch.display()).into(),
    };
    let deltas = decoded(engine, links)?;
    let (header, base) = base(engine)?;
    let mut file = tempfile::tempfile_in(scratch).map_err(unwritable)?;
    let out = std::io::BufWriter::with_capacity(1 << 20, &mut file);
    let (_, out) = fold(&header, &base, &deltas, engine.bounds(), out)
        .map_err(|error| unfolded(&deltas, last, &error))?;
    out.into_inner()
        .map_err(|error| unwritable(error.into_error()))?;
    Ok(file)
}

fn squashed(engine: &Engine, links: Vec<Link>) -> Result<Vec<u8>, Error> {
    let last = links.last().expect("something leads to a heap").heap;
    let deltas = decoded(engine, links)?;
    let (header, base) = base(engine)?;
    let image = squash(&header, &base, &deltas, engine.bounds());
    Ok(image
        .map_err(|error| unfolded(&deltas, last, &error))?
        .encode())
}

/// The commit that does not follow on the one before it.
fn unfolded(deltas: &[(StateId, Delta)], last: HeapId, error: &FoldError) -> Error {
    let index = match error {
        FoldError::Delta { index, .. }
        | FoldError::Chain { index, .. }
        | FoldError::Engine { index, .. } => *index,
        // A full disk says nothing of the commits.
        FoldError::Image(error) => {
            return Error::Unavailable {
                reason: chain_of(error).into(),
            };
        }
    };
    damaged(
        deltas.get(index).map_or(last, |(state, _)| HeapId(state.0)),
        error,
    )
}

fn damaged(heap: HeapId, error: &dyn std::error::Error) -> Error {
    let reason = chain_of(error).into();
    Error::Damaged { heap, reason }
}

fn unopened(heap: Option<HeapId>, error: &SessionError) -> Error {
    match (error, heap) {
        (SessionError::Image(_) | SessionError::Table(_), Some(heap)) => damaged(heap, error),
        _ => Error::Unavailable {
            reason: chain_of(error).into(),
        },
    }
}

/// An error with all that is behind it, in one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
