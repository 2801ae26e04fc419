//! One run in a state: it waits for its turn, begins in the state as it stands then, and is part of the history
//! or has not happened.

use std::time::Instant;

use cluster::node::{DiskLevel, ProposeError};
use process_image::StateId;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use worker_protocol::ConsoleLine;

use super::commit::{Committed, Wanted};
use super::warm::{Live, SessionId, SlotState};
use super::{Error, HeapId, Inner, Place, Reply, Run, Sessions, Target, TaskFence, warm};
use crate::workers::session::SessionError;
use crate::workers::{Ended, RunRequest};

/// Code for a state.
pub struct StatefulRun {
    /// What runs.
    pub request: RunRequest,
    /// Who asks.
    pub principal: String,
    /// Makes a retry safe: the key, and the digest of the request.
    pub key: Option<(String, [u8; 32])>,
    /// The task that it is for: the run is kept only while that is so.
    pub task: Option<TaskFence>,
}

/// What a run tells while it goes on, and is asked for.
pub struct Hooks<'a> {
    /// Gets the console's lines while they are printed.
    pub console: &'a mut (dyn FnMut(ConsoleLine) + Send),
    /// Makes the reply that is kept with the commit.
    pub reply: &'a mut (dyn FnMut(&Ended) -> Reply + Send),
    /// Called when it stays unknown for long whether the run is kept.
    pub unknown: &'a mut (dyn FnMut() + Send),
    /// Stops the run.
    pub cancel: CancellationToken,
}

/// A place in the queue of a session, or a run in a heap that waits for nobody.
pub struct Turn {
    sessions: Sessions,
    kind: Kind,
}

enum Kind {
    Session {
        id: SessionId,
        name: String,
        place: warm::Place,
    },
    Heap(HeapId),
}

impl Sessions {
    /// Queues up. The order of the calls is the order of the runs.
    ///
    /// # Errors
    /// The queue is full, or this node does not run the session.
    pub async fn enter(&self, target: &Target) -> Result<Turn, Error> {
        let kind = match target {
            Target::Heap(heap) => Kind::Heap(*heap),
            Target::Session(name) => {
                let record = self.inner.find(name).await?.ok_or(Error::Moved)?;
                let id = record.id[..].try_into().map_err(|_| Error::Record)?;
                Kind::Session {
                    id,
                    name: record.name,
                    place: self.inner.warm.enter(id)?,
                }
            }
        };
        Ok(Turn {
            sessions: self.clone(),
            kind,
        })
    }
}

impl Turn {
    /// Waits until no other run of the session is under way.
    pub async fn wait(&mut self) {
        if let Kind::Session { place, .. } = &mut self.kind {
            place.turn().await;
        }
    }

    /// Runs.
    ///
    /// # Errors
    /// As [`Error`] tells: nothing is kept then, unless it is not known.
    pub async fn run(self, run: StatefulRun, hooks: Hooks<'_>) -> Result<Run, Error> {
        // Nothing of it could be kept, and a process may need a file to begin with.
        if self.sessions.inner.cluster.disk_level() == DiskLevel::Full {
            return Err(ProposeError::DiskFull.into());
        }
        match self.kind {
            Kind::Heap(heap) => in_heap(&self.sessions, heap, run, hooks).await,
            Kind::Session {
                id,
                name,
                mut place,
            } => {
                let state = place.turn().await;
                let ended = in_session(&self.sessions, id, &name, state, run, hooks).await;
                if ended.is_err() {
                    // What is known of the session may be wrong: it is read anew.
                    state.fence = 0;
                    state.live = None;
                }
                let inner = &self.sessions.inner;
                place.used(&inner.warm);
                drop(place);
                inner.make_room(0);
                ended
            }
        }
    }
}

async fn in_session(
    sessions: &Sessions,
    id: SessionId,
    name: &str,
    state: &mut SlotState,
    run: StatefulRun,
    hooks: Hooks<'_>,
) -> Result<Run, Error> {
    let inner = &sessions.inner;
    inner.settle(&id, state).await?;
    let place = |heap, parent| Place {
        session: Some(name.to_owned()),
        heap,
        parent,
    };
    let key = run.key.as_ref().map(|(key, digest)| (&key[..], *digest));
    if let Some((heap, reply)) = inner.made_before(&id, &run.principal, key).await? {
        let place = place(Some(heap), None);
        return Ok(Run::Replayed { reply, place });
    }
    let live = match state.live.take() {
        Some(live) if live.session.state() == HeapId::state(state.heap) => live,
        _ => inner.open(Some(&state.engine), state.heap).await?,
    };
    let whose = Some((id, state.fence));
    let (live, end) = attempt(inner, live, state.heap, whose, &run, hooks).await?;
    state.live = live;
    Ok(match end {
        End::Kept(ended, heap) => {
            let parent = state.heap.replace(heap);
            if let Some(live) = &state.live {
                sessions.fold_if_due(heap, &live.chain);
            }
            let place = place(Some(heap), parent);
            Run::Kept { ended, place }
        }
        End::NotKept(ended, refused) => Run::NotKept {
            ended,
            refused,
            place: place(state.heap, None),
        },
        End::Before(heap, reply) => Run::Replayed {
            reply,
            place: place(Some(heap), None),
        },
    })
}

async fn in_heap(
    sessions: &Sessions,
    heap: HeapId,
    run: StatefulRun,
    hooks: Hooks<'_>,
) -> Result<Run, Error> {
    let inner = &sessions.inner;
    let place = |heap, parent| Place {
        session: None,
        heap: Some(heap),
        parent,
    };
    let key = run.key.as_ref().map(|(key, digest)| (&key[..], *digest));
    if let Some((made, reply)) = inner.made_before(&heap.0, &run.principal, key).await? {
        let place = place(made, Some(heap));
        return Ok(Run::Replayed { reply, place });
    }
    let live = match inner.warm.take_branch(&heap) {
        Some(live) => live,
        None => match inner.open(None, Some(heap)).await {
            // Another node may have made it a moment ago.
            Err(Error::HeapNotFound { .. }) => {
                sessions.refresh().await?;
                inner.open(None, Some(heap)).await?
            }
            opened => opened?,
        },
    };
    let (live, end) = attempt(inner, live, Some(heap), None, &run, hooks).await?;
    let (now, end) = match end {
        End::Kept(ended, made) => {
            if let Some(live) = &live {
                sessions.fold_if_due(made, &live.chain);
            }
            let place = place(made, Some(heap));
            (made, Run::Kept { ended, place })
        }
        End::NotKept(ended, refused) => {
            let place = place(heap, None);
            let end = Run::NotKept {
                ended,
                refused,
                place,
            };
            (heap, end)
        }
        End::Before(made, reply) => {
            let place = place(made, Some(heap));
            (heap, Run::Replayed { reply, place })
        }
    };
    if let Some(live) = live {
        inner.warm.put_branch(now, live);
    }
    Ok(end)
}

enum End {
    Kept(Ended, HeapId),
    NotKept(Ended, crate::workers::session::Refused),
    Before(HeapId, Vec<u8>),
}

/// Runs in a process, and commits what came of it. Gives the process back, where it is still of use.
async fn attempt(
    inner: &Inner,
    mut live: Live,
    parent: Option<HeapId>,
    session: Option<(SessionId, u64)>,
    run: &StatefulRun,
    hooks: Hooks<'_>,
) -> Result<(Option<Live>, End), Error> {
    let engine = live.session.engine().id();
    let ran = live.session.run(
        run.request.clone(),
        &mut *hooks.console,
        hooks.cancel.clone(),
    );
    let ran = ran.instrument(tracing::debug_span!("run")).await;
    let attempt = match ran {
        Ok(attempt) => attempt,
        // A process that waited may have died meanwhile: another one is opened, once.
        Err(SessionError::Gone) => {
            live = inner.open(Some(&engine.0), parent).await?;
            let again = live
                .session
                .run(run.request.clone(), hooks.console, hooks.cancel);
            again.await.map_err(|error| no_process(&error))?
        }
        Err(error) => return Err(no_process(&error)),
    };
    let delta = match attempt.encoded() {
        Ok(delta) => delta,
        Err(_) => {
            inner.figures.not_kept();
            let (ended, refused) = attempt.refuse();
            return Ok((Some(live), End::NotKept(ended, refused)));
        }
    };
    let bytes = delta.len() as u64;
    let wanted = Wanted {
        engine,
        session,
        parent,
        delta,
        reply: (hooks.reply)(attempt.ended()),
        code: run.request.code.clone(),
        language: run.request.language,
        principal: &run.principal,
        key: run.key.as_ref().map(|(key, digest)| (&key[..], *digest)),
        task: run.task.as_ref(),
    };
    let begun = Instant::now();
    let commit = inner.commit(wanted, hooks.unknown);
    let span = tracing::debug_span!("commit", delta_bytes = bytes);
    match commit.instrument(span).await {
        Ok(Committed::Mine(heap)) => {
            let kept = attempt.commit(StateId(heap.0));
            let ended = kept.unwrap_or_else(|_| unreachable!("it has a delta"));
            inner.figures.kept(bytes, begun.elapsed());
            live.chain.deltas += 1;
            live.chain.bytes += bytes;
            live.weigh();
            Ok((Some(live), End::Kept(ended, heap)))
        }
        Ok(Committed::Before(heap)) => {
            attempt.abort();
            inner.figures.replayed();
            Ok((Some(live), End::Before(heap, inner.reply_of(heap).await?)))
        }
        Err(error) => {
            attempt.abort();
            Err(error)
        }
    }
}

impl Inner {
    /// Brings what is known of a session's place up to the claim that is in force.
    async fn settle(&self, id: &SessionId, state: &mut SlotState) -> Result<(), Error> {
        let record = self.cluster.state().session(id).await?;
        let record = record.filter(|record| self.is_own(record));
        let record = record.ok_or(Error::Moved)?;
        // With the same fence nobody but this node has moved the pointer, and this node knows better.
        if state.fence != record.fence {
            state.fence = record.fence;
            state.heap = HeapId::from_record(&record.heap_id)?;
            state.engine = record.engine_id;
        }
        Ok(())
    }
}

fn no_process(error: &SessionError) -> Error {
    Error::Unavailable {
        reason: error.to_string().into(),
    }
}
