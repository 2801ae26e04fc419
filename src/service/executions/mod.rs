//! Executions of the whole cluster: any node answers for those of any other.
//!
//! What runs here is in [`Runs`]; `owner` tells from an id where an execution is, `remote` asks there. The
//! futures of the latter are large and rare: they are in boxes.

mod owner;
mod remote;
mod routed;

use std::time::Duration;

use cluster::node::Cluster;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};

use self::owner::Owner;
use self::remote::Remote;
pub use self::remote::{CODE, MESSAGE_BYTES_MAX};
use super::run::{
    Error, Event, Execution, ExecutionId, ExecutionList, ListPage, OutputPage, OutputQuery, Runs,
    Status,
};
use super::sessions::Sessions;

/// All executions that can be asked for through this node. Cheap to clone.
#[derive(Clone)]
pub struct Executions {
    runs: Runs,
    cluster: Option<Cluster>,
    sessions: Option<Sessions>,
}

impl Executions {
    /// Those of a node and of the others in its cluster; without sessions where there are none.
    pub fn new(runs: Runs, cluster: Cluster, sessions: Option<Sessions>) -> Self {
        Self {
            runs,
            cluster: Some(cluster),
            sessions,
        }
    }

    /// Those of a program that is no node.
    pub fn alone(runs: Runs) -> Self {
        Self {
            runs,
            cluster: None,
            sessions: None,
        }
    }

    /// Those that run here.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// What the node knows of its cluster now, and how many of its writes are under way.
    pub fn cluster_status(&self) -> Option<(cluster::node::Status, usize)> {
        let cluster = self.cluster.as_ref()?;
        Some((cluster.status(), cluster.proposals_open()))
    }

    /// Whether code can run in sessions here.
    pub fn has_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    async fn place(&self, id: &ExecutionId) -> Result<Option<Remote>, Error> {
        let Some(cluster) = &self.cluster else {
            return Ok(None);
        };
        match owner::of(cluster, id).await? {
            Owner::Here => Ok(None),
            Owner::There => Remote::to(cluster, id.node).map(Some),
        }
    }

    /// What is known of it; after its end or after this time, whichever is first.
    ///
    /// # Errors
    /// It is not kept any more, it is lost with its node, or that node does not answer.
    pub async fn get(&self, id: &ExecutionId, wait: Duration) -> Result<Execution, Error> {
        match self.place(id).await? {
            Some(remote) => Box::pin(remote.get(id, wait)).await,
            None if wait.is_zero() => self.runs.get(id),
            None => self.runs.wait(id, wait).await,
        }
    }

    /// A part of its console output, and where it stands.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn output(
        &self,
        id: &ExecutionId,
        query: OutputQuery,
    ) -> Result<(OutputPage, Status), Error> {
        match self.place(id).await? {
            Some(remote) => Box::pin(remote.output(id, query)).await,
            None => self.runs.output(id, query),
        }
    }

    /// Stops it and waits for its end, but not longer than this. Gives where it stands then.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn cancel(&self, id: &ExecutionId, at_most: Duration) -> Result<Status, Error> {
        match self.place(id).await? {
            Some(remote) => Box::pin(remote.cancel(id, at_most)).await,
            None => self.runs.cancel_and_wait(id, at_most).await,
        }
    }

    /// Stops the execution when the guard is dropped: for a caller that follows it and goes away.
    pub fn cancel_on_drop(&self, id: ExecutionId) -> StopOnDrop {
        StopOnDrop(Some((self.clone(), id)))
    }

    /// What its console printed after an event, and prints, then its end. The stream ends without an end
    /// when the node that runs it dies.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn events_after(
        &self,
        id: &ExecutionId,
        seq: u64,
    ) -> Result<BoxStream<'static, Event>, Error> {
        match self.place(id).await? {
            Some(remote) => Box::pin(remote.follow(id, seq)).await,
            None => Ok(boxed(self.runs.events_after(id, seq)?)),
        }
    }

    /// Executions of one node, newest first; of this one when no other is named.
    ///
    /// # Errors
    /// There is no such node, or it does not answer.
    pub async fn list(&self, page: ListPage, node: Option<&str>) -> Result<ExecutionList, Error> {
        match (node, &self.cluster) {
            (None, _) => Ok(self.runs.list(page)),
            (Some(name), None) => Err(Error::NodeNotFound {
                name: name.to_owned(),
            }),
            (Some(name), Some(cluster)) => match owner::named(cluster, name)? {
                None => Ok(self.runs.list(page)),
                Some(node) => Remote::to(cluster, node)?.list(page).await,
            },
        }
    }
}

/// Stops an execution of any node when it is dropped, unless [`Self::disarm`] was called.
#[must_use = "dropping it stops the execution"]
pub struct StopOnDrop(Option<(Executions, ExecutionId)>);

impl StopOnDrop {
    /// Lets the execution go on.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let Some((executions, id)) = self.0.take() else {
            return;
        };
        // One that is not here is another node's, or is no longer kept and needs no stop.
        if executions.runs.cancel(&id).is_err()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { executions.cancel(&id, Duration::ZERO).await });
        }
    }
}

fn boxed(events: impl Stream<Item = Event> + Send + 'static) -> BoxStream<'static, Event> {
    events.boxed()
}
