//! Where an execution is: its id names a node and one of its lives.

use std::time::{Duration, Instant};

use cluster::node::Cluster;

use crate::service::run::{Error, ExecutionId};

/// How long a node may take to learn of another one's new life.
const NEWS_MAX: Duration = Duration::from_secs(2);

/// Who can tell of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This node.
    Here,
    /// The node that its id names, which lives.
    There,
}

/// Who can tell of an execution.
pub(super) async fn of(cluster: &Cluster, id: &ExecutionId) -> Result<Owner, Error> {
    let here = cluster.node().ok_or(Error::NotMember)?;
    if id.node == here {
        return life(id, cluster.incarnation(), true).map(|()| Owner::Here);
    }
    let mut record = cluster.state().known_node(id.node);
    if record
        .as_ref()
        .is_none_or(|known| known.incarnation < id.incarnation)
    {
        // A life that began a moment ago may not have come to this node's state yet.
        // In a box, since it is rare and its future is large.
        let news = Box::pin(cluster.linearizable(Instant::now() + NEWS_MAX));
        if let Err(error) = news.await {
            tracing::debug!(%error, node = id.node, "no news of another node");
        }
        record = cluster.state().known_node(id.node);
    }
    let record = record.ok_or(Error::NotFound { id: *id })?;
    life(id, record.incarnation, record.alive).map(|()| Owner::There)
}

/// Whether the life that an id names goes on, by the newest life that is known.
fn life(id: &ExecutionId, newest: u64, alive: bool) -> Result<(), Error> {
    if id.incarnation > newest {
        Err(Error::NotFound { id: *id })
    } else if id.incarnation < newest || !alive {
        Err(Error::Lost { id: *id })
    } else {
        Ok(())
    }
}

/// The node of a name or id; `None` when it is this one.
pub(super) fn named(cluster: &Cluster, name: &str) -> Result<Option<u64>, Error> {
    let records = cluster.state().known_nodes();
    let record = records
        .iter()
        .find(|record| record.name == name)
        .or_else(|| records.iter().find(|record| record.id.to_string() == name));
    let record = record.ok_or_else(|| Error::NodeNotFound {
        name: name.to_owned(),
    })?;
    Ok((Some(record.id) != cluster.node()).then_some(record.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_lost_with_the_life_that_ran_it() {
        let id = ExecutionId::new(2, 100);
        assert_eq!(life(&id, 100, true), Ok(()));
        assert_eq!(life(&id, 100, false), Err(Error::Lost { id }));
        assert_eq!(life(&id, 101, true), Err(Error::Lost { id }));
        assert_eq!(life(&id, 99, true), Err(Error::NotFound { id }));
    }
}
