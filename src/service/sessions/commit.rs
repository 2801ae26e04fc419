//! What a run changed becomes part of the history. Bytes first, the pointer second; and until it is known what
//! became of a commit, the session does nothing else.

use std::time::{Duration, Instant};

use cluster::node::ProposeError;
use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{CommitHeap, CommitRecord, FinishTask, Reason};
use cluster::state::{CODE_BYTES_MAX, DELTA_BYTES_MAX, REPLY_BYTES_MAX};
use serde::{Deserialize, Serialize};

use super::types::Made;
use super::{Error, HeapId, Inner, Reply, TaskFence};
use crate::workers::{EngineId, Language};

/// One attempt at a commit; the next has the same number, so the two can't both take effect.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// A commit that could not even be handed in for so long is given up: nothing has happened.
const UNWRITTEN_MAX: Duration = Duration::from_secs(20);
/// Before it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// What is to become part of the history.
pub(super) struct Wanted<'a> {
    /// What it ran in.
    pub engine: EngineId,
    /// The session's id with the fence of its claim; none for a branch.
    pub session: Option<([u8; 16], u64)>,
    pub parent: Option<HeapId>,
    pub delta: &'a [u8],
    pub reply: Reply,
    pub code: String,
    pub language: Language,
    pub principal: &'a str,
    pub key: Option<(&'a str, [u8; 32])>,
    /// The task that ends with it.
    pub task: Option<&'a TaskFence>,
}

impl Wanted<'_> {
    /// The name of what it makes.
    pub fn heap(&self) -> HeapId {
        HeapId::of(&Made {
            engine: self.engine.0,
            parent: self.parent,
            delta: self.delta,
            reply: &self.reply.bytes,
            code: &self.code,
            language: language_name(self.language),
            principal: self.principal,
        })
    }
}

/// What became of it.
pub(super) enum Committed {
    /// It is part of the history, under this name.
    Mine(HeapId),
    /// The same request has made this heap before.
    Before(HeapId),
}

/// Code and reply in a blob of their own, where one of them is too long for the commit.
#[derive(Serialize, Deserialize)]
pub(super) struct LongRecord {
    pub code: String,
    pub reply: String,
}

impl Inner {
    /// Commits. `unknown` is called when the outcome stays open for long; the call goes on until it is known.
    pub(super) async fn commit(
        &self,
        wanted: Wanted<'_>,
        unknown: &mut (dyn FnMut() + Send),
    ) -> Result<Committed, Error> {
        let (command, heap) = self.prepare(wanted).await?;
        let (kind, principal) = command;
        let begun = Instant::now();
        let mut exposed = false;
        loop {
            let deadline = Instant::now() + ATTEMPT_TIMEOUT;
            let proposed = self.cluster.propose(kind.clone(), &principal, deadline);
            match proposed.await {
                Ok(committed) => match committed.reply.outcome {
                    Some(Outcome::HeapCommitted(made)) => {
                        let made = HeapId::from_record(&made.heap_id)?.ok_or(Error::Record)?;
                        if made == heap {
                            return Ok(Committed::Mine(heap));
                        }
                        // Its reply is read from this node's own state.
                        self.applied(committed.index).await?;
                        return Ok(Committed::Before(made));
                    }
                    Some(Outcome::Refused(refused)) => {
                        // An earlier attempt may have been kept before the session moved on: a heap's name is made
                        // of all that this run did, so no other run has made one of this name.
                        if exposed {
                            self.applied(committed.index).await?;
                            if self.cluster.state().commit(&heap.0).await?.is_some() {
                                return Ok(Committed::Mine(heap));
                            }
                        }
                        return Err(match refused.reason() {
                            Reason::NotFound | Reason::Conflict => Error::Moved,
                            Reason::TaskFenced => Error::TaskOver,
                            _ => Error::refused(&refused, ""),
                        });
                    }
                    _ => return Err(Error::Record),
                },
                Err(ProposeError::Unknown) => {
                    exposed = true;
                    unknown();
                }
                Err(error @ ProposeError::TooLarge { .. }) => return Err(error.into()),
                // Room is made by somebody else, and not soon.
                Err(error @ ProposeError::DiskFull) if !exposed => return Err(error.into()),
                Err(error) if !exposed && begun.elapsed() > UNWRITTEN_MAX => {
                    return Err(error.into());
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// The command, with all that it names on disk.
    async fn prepare(&self, wanted: Wanted<'_>) -> Result<((Kind, String), HeapId), Error> {
        let language = language_name(wanted.language);
        let heap = wanted.heap();
        let deadline = Instant::now() + ATTEMPT_TIMEOUT * 6;
        let put = |bytes| async move {
            let put = self.blobs.put(bytes, deadline).await;
            Ok::<_, Error>(put.map_err(Error::not_durable)?.0.to_vec())
        };
        let (delta, delta_blob) = match wanted.delta.len() <= DELTA_BYTES_MAX {
            true => (wanted.delta.to_vec(), Vec::new()),
            false => (Vec::new(), put(wanted.delta.to_vec()).await?),
        };
        let reply = wanted.reply;
        // Where the reply stands in the command, it is the task's report too.
        let finish_task = match wanted.task {
            None => None,
            Some(task) => Some(FinishTask {
                id: task.id.clone(),
                fence: task.fence,
                succeeded: reply.succeeded,
                last: reply.last,
                report_blob: match reply.bytes.len() <= REPLY_BYTES_MAX {
                    true if wanted.code.len() <= CODE_BYTES_MAX => Vec::new(),
                    _ => put(reply.bytes.clone()).await?,
                },
                ..FinishTask::default()
            }),
        };
        let fits = reply.bytes.len() <= REPLY_BYTES_MAX && wanted.code.len() <= CODE_BYTES_MAX;
        let (code, reply, record_blob) = if fits {
            (wanted.code, reply.bytes, Vec::new())
        } else {
            let record = LongRecord {
                code: wanted.code,
                reply: String::from_utf8_lossy(&reply.bytes).into_owned(),
            };
            let json = serde_json::to_vec(&record).expect("two texts have a JSON form");
            (String::new(), Vec::new(), put(json).await?)
        };
        let (session_id, fence) = wanted.session.unzip();
        let (key, digest) = wanted.key.unzip();
        let command = CommitHeap {
            session_id: session_id.map_or_else(Vec::new, |id| id.to_vec()),
            fence: fence.unwrap_or(0),
            heap_id: heap.0.to_vec(),
            parent: HeapId::to_record(wanted.parent),
            engine_id: wanted.engine.0.to_vec(),
            delta,
            delta_blob,
            reply,
            code,
            language: language.to_owned(),
            idempotency_key: key.unwrap_or_default().to_owned(),
            request_digest: digest.map_or_else(Vec::new, |digest| digest.to_vec()),
            record_blob,
            finish_task,
        };
        let principal = wanted.principal.to_owned();
        Ok(((Kind::CommitHeap(command), principal), heap))
    }

    /// Code and reply of a commit.
    pub(super) async fn record_of(
        &self,
        heap: HeapId,
        commit: &CommitRecord,
    ) -> Result<(String, Vec<u8>), Error> {
        if commit.record_blob.is_empty() {
            return Ok((commit.code.clone(), commit.reply.clone()));
        }
        let blob = self.blob(heap, &commit.record_blob).await?;
        let record: LongRecord = serde_json::from_slice(&blob).map_err(|_| Error::Record)?;
        Ok((record.code, record.reply.into_bytes()))
    }

    /// What an idempotency key has made: the heap and its reply.
    pub(super) async fn made_before(
        &self,
        scope: &[u8],
        principal: &str,
        key: Option<(&str, [u8; 32])>,
    ) -> Result<Option<(HeapId, Vec<u8>)>, Error> {
        let Some((key, digest)) = key else {
            return Ok(None);
        };
        let state = self.cluster.state();
        let Some(record) = state.idempotency(principal, scope, key).await? else {
            return Ok(None);
        };
        if record.request_digest != digest {
            return Err(Error::KeyReused);
        }
        let heap = HeapId::from_record(&record.made)?.ok_or(Error::Record)?;
        self.figures.replayed();
        Ok(Some((heap, self.reply_of(heap).await?)))
    }

    /// The reply of the run that made a heap.
    pub(super) async fn reply_of(&self, heap: HeapId) -> Result<Vec<u8>, Error> {
        let commit = self.cluster.state().commit(&heap.0).await?;
        let commit = commit.ok_or(Error::HeapNotFound { heap })?;
        Ok(self.record_of(heap, &commit).await?.1)
    }
}

/// As callers spell it.
fn language_name(language: Language) -> &'static str {
    match language {
        Language::Auto => "auto",
        Language::JavaScript => "javascript",
        Language::TypeScript => "typescript",
    }
}

/// What callers spell so.
pub(super) fn language_of(name: &str) -> Option<Language> {
    let all = [Language::Auto, Language::JavaScript, Language::TypeScript];
    all.into_iter().find(|it| language_name(*it) == name)
}
