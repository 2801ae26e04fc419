//! What callers see and change of sessions without running anything. All of it works on any node.

use std::time::Instant;

use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{
    CommitRecord, CreateSession, DeleteSession, MoveSession, Reason, RenameSession, SessionRecord,
};
use cluster::state::PAGE_ROWS_MAX;

use super::owner::check_name;
use super::{Error, HeapId, Sessions};
use crate::hex;

/// A session as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name.
    pub name: String,
    /// Its immutable id, in hex.
    pub id: String,
    /// Where it stands; none = nothing was kept yet.
    pub heap: Option<HeapId>,
    /// How many commits lead there.
    pub commits: u64,
    /// Its engine's id, in hex.
    pub engine: String,
    /// The name of the node that runs it, while that lives.
    pub owner: Option<String>,
    /// Whether a process waits for its next run; known of this node's own sessions alone.
    pub warm: Option<bool>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// Some sessions in the order of their names.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionInfo>,
    /// More follow.
    pub more: bool,
}

/// One run of a history.
#[derive(Clone, Debug)]
pub struct Commit {
    /// What it made.
    pub heap: HeapId,
    /// What it began from.
    pub parent: Option<HeapId>,
    /// How many commits lead here from nothing.
    pub number: u64,
    /// What ran.
    pub code: String,
    /// Its language, as callers spell it.
    pub language: String,
    /// The reply, as JSON.
    pub reply: Vec<u8>,
    /// The bytes of its delta, where they stand in the commit itself.
    pub delta_bytes: Option<u64>,
    /// When it was kept, in milliseconds since 1970.
    pub committed_ms: u64,
}

/// Some commits, the newest first.
#[derive(Clone, Debug)]
pub struct CommitPage {
    /// The commits.
    pub commits: Vec<Commit>,
    /// The heap that the next page begins with; none at the first commit of all.
    pub next: Option<HeapId>,
}

/// A place in a session's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Where it stands.
    Head,
    /// A heap.
    Heap(HeapId),
    /// After so many commits; 0 = before the first.
    Number(u64),
}

/// The text is no point of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a point of a history is `head`, a heap by its 64 hex digits, or the number of a run (0: before the first)"
)]
pub struct MalformedPoint;

impl std::str::FromStr for Point {
    type Err = MalformedPoint;

    fn from_str(text: &str) -> Result<Self, MalformedPoint> {
        if text == "head" {
            return Ok(Self::Head);
        }
        match text.parse() {
            Ok(heap) => Ok(Self::Heap(heap)),
            Err(_) => text.parse().map(Self::Number).map_err(|_| MalformedPoint),
        }
    }
}

impl Sessions {
    /// A session.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub async fn info(&self, name: &str, deadline: Instant) -> Result<SessionInfo, Error> {
        let record = self.record(name, deadline).await?;
        self.told(record).await
    }

    /// Sessions whose names begin with a prefix, after one of them.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        deadline: Instant,
    ) -> Result<SessionPage, Error> {
        check_limit(limit)?;
        let state = self.inner.cluster.linearizable(deadline).await?;
        let page = state.sessions(prefix, after, limit).await?;
        let mut sessions = Vec::with_capacity(page.rows.len());
        for record in page.rows {
            sessions.push(self.told(record).await?);
        }
        Ok(SessionPage {
            sessions,
            more: page.more,
        })
    }

    /// The history of a session, or of any heap of it, the newest commit first.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn log(
        &self,
        name: &str,
        from: Option<HeapId>,
        limit: usize,
        deadline: Instant,
    ) -> Result<CommitPage, Error> {
        check_limit(limit)?;
        let record = self.record(name, deadline).await?;
        let mut next = match from {
            Some(heap) => Some(heap),
            None => HeapId::from_record(&record.heap_id)?,
        };
        let mut commits = Vec::new();
        while let Some(heap) = next
            && commits.len() < limit
        {
            let commit = self.commit_at(heap).await?;
            next = HeapId::from_record(&commit.parent)?;
            let (code, reply) = self.inner.record_of(heap, &commit).await?;
            commits.push(Commit {
                heap,
                parent: next,
                number: commit.number,
                code,
                language: commit.language,
                reply,
                delta_bytes: commit
                    .delta_blob
                    .is_empty()
                    .then_some(commit.delta.len() as u64),
                committed_ms: commit.committed_ms,
            });
        }
        Ok(CommitPage { commits, next })
    }

    /// Makes a session that stands at a point of another one's history, or at nothing.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn create(
        &self,
        name: String,
        from: Option<(&str, Point)>,
        principal: &str,
        deadline: Instant,
    ) -> Result<SessionInfo, Error> {
        check_name(&name)?;
        let inner = &self.inner;
        let (heap, engine_id) = match from {
            Some((source, point)) => {
                let record = self.record(source, deadline).await?;
                let heap = self.heap_at(&record, point).await?;
                (heap, record.engine_id)
            }
            None => {
                inner.register_engine().await?;
                (None, inner.engines.own().id().0.to_vec())
            }
        };
        self.create_at(name, heap, engine_id, principal, deadline)
            .await
    }

    /// Makes a session that stands at a heap.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn create_from_heap(
        &self,
        name: String,
        heap: HeapId,
        principal: &str,
        deadline: Instant,
    ) -> Result<SessionInfo, Error> {
        check_name(&name)?;
        self.inner.cluster.linearizable(deadline).await?;
        let engine_id = self.commit_at(heap).await?.engine_id;
        self.create_at(name, Some(heap), engine_id, principal, deadline)
            .await
    }

    pub(super) async fn create_at(
        &self,
        name: String,
        heap: Option<HeapId>,
        engine_id: Vec<u8>,
        principal: &str,
        deadline: Instant,
    ) -> Result<SessionInfo, Error> {
        let mut session_id = vec![0; 16];
        getrandom::fill(&mut session_id).expect("the kernel has random bytes");
        let create = Kind::CreateSession(CreateSession {
            session_id,
            name: name.clone(),
            heap_id: HeapId::to_record(heap),
            engine_id,
        });
        self.write(create, &name, heap, principal, deadline).await?;
        self.info(&name, deadline).await
    }

    /// Moves a session to a point of its history; what it runs now is not kept.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn reset(
        &self,
        name: &str,
        point: Point,
        if_heap: Option<HeapId>,
        principal: &str,
        deadline: Instant,
    ) -> Result<SessionInfo, Error> {
        let record = self.record(name, deadline).await?;
        let heap = self.heap_at(&record, point).await?;
        let reset = Kind::MoveSession(MoveSession {
            session_id: record.id,
            heap_id: HeapId::to_record(heap),
            if_heap: if_heap.map(|heap| heap.0.to_vec()),
        });
        self.write(reset, name, heap, principal, deadline).await?;
        self.info(name, deadline).await
    }

    /// Gives a session another name.
    ///
    /// # Errors
    /// As [`Error`] tells; the name is taken, unless the session that has it is to go.
    pub async fn rename(
        &self,
        name: &str,
        to: String,
        replace: bool,
        principal: &str,
        deadline: Instant,
    ) -> Result<SessionInfo, Error> {
        check_name(&to)?;
        let record = self.record(name, deadline).await?;
        let rename = Kind::RenameSession(RenameSession {
            session_id: record.id,
            name: to.clone(),
            replace,
        });
        self.write(rename, &to, None, principal, deadline).await?;
        self.info(&to, deadline).await
    }

    /// Removes a session. Its heaps stay for as long as something else needs them.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn delete(
        &self,
        name: &str,
        principal: &str,
        deadline: Instant,
    ) -> Result<(), Error> {
        let record = self.record(name, deadline).await?;
        let delete = Kind::DeleteSession(DeleteSession {
            session_id: record.id,
            if_heap: None,
        });
        self.write(delete, name, None, principal, deadline).await
    }

    async fn write(
        &self,
        kind: Kind,
        name: &str,
        heap: Option<HeapId>,
        principal: &str,
        deadline: Instant,
    ) -> Result<(), Error> {
        let committed = self.inner.cluster.propose(kind, principal, deadline);
        match committed.await?.reply.outcome {
            Some(Outcome::SessionClaimed(_) | Outcome::Done(_)) => Ok(()),
            Some(Outcome::Refused(refused)) => Err(match (refused.reason(), heap) {
                (Reason::NotFound, Some(heap)) => Error::HeapNotFound { heap },
                _ => Error::refused(&refused, name),
            }),
            _ => Err(Error::Record),
        }
    }

    pub(super) async fn record(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<SessionRecord, Error> {
        check_name(name)?;
        let state = self.inner.cluster.linearizable(deadline).await?;
        let record = state.session_by_name(name).await?;
        record.ok_or_else(|| Error::NotFound {
            name: name.to_owned(),
        })
    }

    pub(super) async fn commit_at(&self, heap: HeapId) -> Result<CommitRecord, Error> {
        let commit = self.inner.cluster.state().commit(&heap.0).await?;
        commit.ok_or(Error::HeapNotFound { heap })
    }

    pub(super) async fn heap_at(
        &self,
        record: &SessionRecord,
        point: Point,
    ) -> Result<Option<HeapId>, Error> {
        let head = HeapId::from_record(&record.heap_id)?;
        let number = match point {
            Point::Head => return Ok(head),
            Point::Heap(heap) => return Ok(Some(heap)),
            Point::Number(0) => return Ok(None),
            Point::Number(number) => number,
        };
        let (mut at, mut last) = (head, 0);
        while let Some(heap) = at {
            let commit = self.commit_at(heap).await?;
            last = last.max(commit.number);
            if commit.number == number {
                return Ok(Some(heap));
            }
            if commit.number < number {
                break;
            }
            at = HeapId::from_record(&commit.parent)?;
        }
        Err(Error::NoSuchCommit { number, last })
    }

    async fn told(&self, record: SessionRecord) -> Result<SessionInfo, Error> {
        let inner = &self.inner;
        let heap = HeapId::from_record(&record.heap_id)?;
        let commits = match heap {
            Some(heap) => self.commit_at(heap).await?.number,
            None => 0,
        };
        let owner = inner.cluster.state().known_node(record.owner_node);
        let owner = owner.filter(|node| node.alive && node.incarnation == record.owner_incarnation);
        let id = <[u8; 16]>::try_from(&record.id[..]).map_err(|_| Error::Record)?;
        let warm = inner.is_own(&record).then(|| inner.warm.is_warm(&id));
        Ok(SessionInfo {
            name: record.name,
            id: hex::encode(&id),
            heap,
            commits,
            engine: hex::encode(&record.engine_id),
            owner: owner.map(|node| node.name),
            warm,
            created_ms: record.created_ms,
        })
    }
}

fn check_limit(limit: usize) -> Result<(), Error> {
    let max = PAGE_ROWS_MAX;
    match (1..=max).contains(&limit) {
        true => Ok(()),
        false => Err(Error::Limit { given: limit, max }),
    }
}
