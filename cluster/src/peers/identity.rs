//! What this node is in the cluster, once it is something.

use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderValue;

use crate::ids::{ClusterId, NodeName};

/// Cheap to clone; all clones see the same.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    name: NodeName,
    standing: RwLock<Option<Arc<Standing>>>,
}

/// A member's place, with the headers that tell of it.
pub(super) struct Standing {
    pub(super) cluster_id: ClusterId,
    pub(super) node: u64,
    pub(super) cluster_header: HeaderValue,
    pub(super) node_header: HeaderValue,
}

impl Identity {
    /// Of a node that is no member yet.
    pub fn new(name: NodeName) -> Self {
        Self(Arc::new(Inner {
            name,
            standing: RwLock::new(None),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &NodeName {
        &self.0.name
    }

    /// It is this node of this cluster from now on.
    pub fn set(&self, cluster_id: ClusterId, node: u64) {
        let standing = Standing {
            cluster_id,
            node,
            cluster_header: HeaderValue::try_from(cluster_id.to_string())
                .expect("hexadecimal digits are a header's value"),
            node_header: HeaderValue::from(node),
        };
        *self
            .0
            .standing
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(standing));
    }

    /// Cluster and Raft id; none while it is no member.
    pub fn get(&self) -> Option<(ClusterId, u64)> {
        self.standing()
            .map(|standing| (standing.cluster_id, standing.node))
    }

    /// The cluster that it belongs to.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.get().map(|(cluster_id, _)| cluster_id)
    }

    /// Its Raft id.
    pub fn node(&self) -> Option<u64> {
        self.get().map(|(_, node)| node)
    }

    pub(super) fn standing(&self) -> Option<Arc<Standing>> {
        self.0
            .standing
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
