//! A session leaves a cluster as one file, and comes into another.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::proto::session_file_record::Record;
use cluster::proto::{SessionFileCommit, SessionFileEngine, SessionFileHeader};
use futures::{Stream, StreamExt as _};

use super::commit::{Committed, Wanted, language_of};
use super::file::{SessionDecoder, SessionEncoder};
use super::owner::check_name;
use super::{Error, HeapId, Reply, SessionInfo, Sessions};
use crate::record_file::FileError;
use crate::service::engines::Parts;
use crate::workers::{EngineId, Facts};

/// So many imports are under way at a time; the others wait.
pub(super) const IMPORTS_MAX: usize = 2;
/// A file of which nothing comes for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Program and base image of an engine, compressed, are smaller.
const ENGINE_BYTES_MAX: usize = 256 << 20;
/// What a record has beside its delta or its engine: code and reply, which have limits of their own.
const RECORD_REST: usize = 64 << 20;
/// After the last commit the session is made in this time.
const MAKE_TIMEOUT: Duration = Duration::from_secs(10);

impl Sessions {
    /// The bytes of a session's file: all that led to where it stands, with its engine if that is wanted.
    ///
    /// # Errors
    /// As [`Error`] tells; later ones end the stream.
    pub async fn export(
        &self,
        name: &str,
        with_engine: bool,
        deadline: Instant,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let record = self.record(name, deadline).await?;
        let mut heaps = Vec::new();
        let mut next = HeapId::from_record(&record.heap_id)?;
        while let Some(heap) = next {
            heaps.push(heap);
            next = HeapId::from_record(&self.commit_at(heap).await?.parent)?;
        }
        let header = SessionFileHeader {
            name: record.name,
            engine_id: record.engine_id.clone(),
            commits: heaps.len() as u64,
        };
        let mut encoder = SessionEncoder::new();
        let mut first = vec![encoder.record(Record::Header(header))];
        if with_engine {
            let id = EngineId(record.engine_id[..].try_into().map_err(|_| Error::Record)?);
            let parts = self.inner.engines.parts(id).await;
            let parts = parts.map_err(|error| Error::engine(id, error))?;
            first.push(encoder.record(Record::Engine(SessionFileEngine {
                v8_version: parts.facts.v8_version,
                v8_flags: parts.facts.v8_flags,
                cpu_baseline: parts.facts.cpu_baseline,
                constants_used: parts.facts.constants_used,
                program: parts.program.to_vec(),
                base_image: parts.base_image.to_vec(),
            })));
        }
        let first = futures::stream::iter(first.into_iter().map(Ok));
        // One commit is in memory at a time.
        let begin = (self.clone(), heaps, Some(encoder));
        let rest = futures::stream::try_unfold(begin, |(sessions, mut heaps, encoder)| async {
            let Some(mut encoder) = encoder else {
                return Ok(None);
            };
            let Some(heap) = heaps.pop() else {
                return Ok(Some((encoder.end(), (sessions, heaps, None))));
            };
            let commit = sessions.commit_file(heap).await?;
            let bytes = encoder.record(Record::Commit(commit));
            Ok(Some((bytes, (sessions, heaps, Some(encoder)))))
        });
        Ok(first.chain(rest))
    }

    async fn commit_file(&self, heap: HeapId) -> Result<SessionFileCommit, Error> {
        let inner = &self.inner;
        let record = self.commit_at(heap).await?;
        let (code, reply) = inner.record_of(heap, &record).await?;
        let (language, principal) = (record.language.clone(), record.principal.clone());
        Ok(SessionFileCommit {
            heap_id: heap.0.to_vec(),
            delta: inner.delta(heap, record).await?.to_vec(),
            reply,
            code,
            language,
            principal,
        })
    }

    /// Makes a session of a file. Every heap gets the name that it had: a heap's
    /// name is a hash over all that led to it, and is compared.
    ///
    /// # Errors
    /// As [`Error`] tells. What was read until then is garbage that goes.
    pub async fn import<E>(
        &self,
        name: String,
        file: impl Stream<Item = Result<Bytes, E>> + Send,
        principal: &str,
    ) -> Result<SessionInfo, Error> {
        check_name(&name)?;
        let inner = &self.inner;
        let _place = inner.imports.acquire().await.expect("it is never closed");
        let delta = usize::try_from(inner.limits.delta_bytes_max).unwrap_or(usize::MAX);
        let mut decoder = SessionDecoder::new(delta.max(ENGINE_BYTES_MAX) + RECORD_REST);
        let mut file = std::pin::pin!(file);
        let mut header: Option<(SessionFileHeader, EngineId)> = None;
        let (mut heap, mut commits, mut ended) = (None, 0, false);
        loop {
            let next = tokio::time::timeout(SILENCE_MAX, file.next()).await;
            let Some(bytes) = next.map_err(|_| FileError::Unread)? else {
                break;
            };
            decoder.push(&bytes.map_err(|_| FileError::Unread)?);
            while let Some(record) = decoder.next()? {
                match (record, &header) {
                    _ if ended => return Err(FileError::Damaged.into()),
                    (Record::Header(found), None) => {
                        let id = found.engine_id[..].try_into();
                        let id = EngineId(id.map_err(|_| FileError::Damaged)?);
                        header = Some((found, id));
                    }
                    (Record::Engine(engine), Some((_, id))) => self.bring(*id, engine).await?,
                    (Record::Commit(commit), Some((_, id))) => {
                        if commits == 0 {
                            let known = self.inner.engines.knows(*id).await;
                            known.map_err(|error| Error::engine(*id, error))?;
                        }
                        heap = Some(self.bring_commit(*id, heap, commit).await?);
                        commits += 1;
                    }
                    (Record::End(_), Some((header, _))) if header.commits == commits => {
                        ended = true;
                    }
                    _ => return Err(FileError::Damaged.into()),
                }
            }
        }
        let (_, id) = header
            .filter(|_| ended && decoder.is_empty())
            .ok_or(FileError::Damaged)?;
        let deadline = Instant::now() + MAKE_TIMEOUT;
        self.create_at(name, heap, id.0.to_vec(), principal, deadline)
            .await
    }

    async fn bring(&self, id: EngineId, engine: SessionFileEngine) -> Result<(), Error> {
        let parts = Parts {
            facts: Facts {
                v8_version: engine.v8_version,
                v8_flags: engine.v8_flags,
                cpu_baseline: engine.cpu_baseline,
                constants_used: engine.constants_used,
            },
            program: engine.program.into(),
            base_image: engine.base_image.into(),
        };
        let brought = self.inner.engines.bring(id, parts).await;
        brought.map_err(|error| Error::engine(id, error))
    }

    async fn bring_commit(
        &self,
        engine: EngineId,
        parent: Option<HeapId>,
        commit: SessionFileCommit,
    ) -> Result<HeapId, Error> {
        let wanted = Wanted {
            engine,
            session: None,
            parent,
            delta: &commit.delta,
            reply: Reply {
                bytes: commit.reply,
                succeeded: true,
                last: true,
            },
            code: commit.code,
            language: language_of(&commit.language).ok_or(FileError::Damaged)?,
            principal: &commit.principal,
            key: None,
            task: None,
        };
        let heap = wanted.heap();
        if heap.0[..] != commit.heap_id {
            return Err(FileError::Damaged.into());
        }
        if self.inner.cluster.state().commit(&heap.0).await?.is_some() {
            return Ok(heap);
        }
        match self.inner.commit(wanted, &mut || {}).await? {
            Committed::Mine(heap) | Committed::Before(heap) => Ok(heap),
        }
    }
}
