//! Who runs a session. The claim is a command: its fence is what makes one owner's commits good and another's
//! not. Which node that is, is only a question of speed.

use std::time::{Duration, Instant};

use cluster::node::ProposeError;
use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{ClaimSession, Reason, SessionRecord};
use cluster::state::is_name;

use super::{CLAIM_TIMEOUT, Error, Inner, Owner, Sessions, Target};
use crate::workers::{EngineId, Workers};

impl Sessions {
    /// Who runs what a target names; a session that nobody runs is claimed for this node, and made where there
    /// is none. With `take_over` it is claimed from a node that does not answer.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn owner(
        &self,
        target: &Target,
        principal: &str,
        take_over: bool,
    ) -> Result<Owner, Error> {
        let inner = &self.inner;
        let name = match target {
            Target::Session(name) => name,
            // A branch takes nothing from anybody: any node can make one.
            Target::Heap(_) => return Ok(Owner::Here),
        };
        check_name(name)?;
        let record = inner.find(name).await?;
        match record {
            Some(record) if inner.is_own(&record) => return Ok(Owner::Here),
            Some(record) if !take_over && inner.lives(&record) => {
                return Ok(Owner::There(record.owner_node));
            }
            _ => {}
        }
        inner.claim(name, principal).await
    }

    /// Waits until this node's state has all that was acknowledged anywhere before: what it knew of owners
    /// was not true any more.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn refresh(&self) -> Result<(), Error> {
        let deadline = Instant::now() + CLAIM_TIMEOUT;
        self.inner.cluster.linearizable(deadline).await?;
        Ok(())
    }
}

impl Inner {
    /// A session's record, as this node has it.
    pub(super) async fn find(&self, name: &str) -> Result<Option<SessionRecord>, Error> {
        let state = self.cluster.state();
        // The record of a session in use is in memory, its name is not.
        if let Some(id) = self.warm.id(name)
            && let Some(record) = state.session(&id).await?
            && record.name == name
        {
            return Ok(Some(record));
        }
        let record = state.session_by_name(name).await?;
        if let Some(id) = record.as_ref().and_then(|it| it.id[..].try_into().ok()) {
            self.warm.note(name, id);
        }
        Ok(record)
    }

    /// Whether this life of this node runs a session.
    pub(super) fn is_own(&self, record: &SessionRecord) -> bool {
        self.cluster.node() == Some(record.owner_node)
            && record.owner_incarnation == self.cluster.incarnation()
    }

    fn lives(&self, record: &SessionRecord) -> bool {
        let node = self.cluster.state().known_node(record.owner_node);
        // One that an operator drains takes no runs.
        node.is_some_and(|node| {
            node.alive && !node.draining && node.incarnation == record.owner_incarnation
        })
    }

    async fn claim(&self, name: &str, principal: &str) -> Result<Owner, Error> {
        self.register_engine().await?;
        let mut session_id = [0; 16];
        getrandom::fill(&mut session_id).expect("the kernel has random bytes");
        let claim = ClaimSession {
            name: name.to_owned(),
            node: self.cluster.node().ok_or(ProposeError::NotMember)?,
            incarnation: self.cluster.incarnation(),
            engine_id: self.engines.own().id().0.to_vec(),
            session_id: session_id.to_vec(),
        };
        let deadline = Instant::now() + CLAIM_TIMEOUT;
        let committed = self
            .cluster
            .propose(Kind::ClaimSession(claim), principal, deadline);
        let committed = committed.await?;
        self.applied(committed.index).await?;
        match committed.reply.outcome {
            Some(Outcome::SessionClaimed(_)) => {
                self.figures.claimed();
                Ok(Owner::Here)
            }
            Some(Outcome::Refused(refused)) => match refused.reason() {
                Reason::ClaimedRecently => Ok(Owner::There(refused.actual)),
                _ => Err(Error::refused(&refused, name)),
            },
            _ => Err(Error::Record),
        }
    }

    /// Waits until this node's own state has an entry.
    pub(super) async fn applied(&self, index: u64) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(5);
        match self.cluster.state().wait_applied(index, deadline).await {
            true => Ok(()),
            false => Err(cluster::node::ReadError::Lagging.into()),
        }
    }

    /// Makes this node's engine known.
    pub(super) async fn register_engine(&self) -> Result<(), Error> {
        let registered = self.engines.register().await;
        registered.map_err(|error| Error::engine(self.engines.own().id(), error))
    }

    /// The processes of a session's engine.
    pub(super) async fn workers(&self, engine: &[u8]) -> Result<Workers, Error> {
        let id = EngineId(engine.try_into().map_err(|_| Error::Record)?);
        let workers = self.engines.workers(id).await;
        workers.map_err(|error| Error::engine(id, error))
    }
}

/// A name that a session may have.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    match is_name(name) {
        true => Ok(()),
        false => Err(Error::Name { bytes: name.len() }),
    }
}
