//! Where a node's Raft is put once the node is a member.

use std::sync::{Arc, OnceLock};

use openraft::storage::RaftStateMachine;

use crate::state::StateMachine;
use crate::types::TypeConfig;

/// Cheap to clone; all clones see the same Raft, set once.
pub struct RaftSlot<SM = StateMachine>(Arc<OnceLock<openraft::Raft<TypeConfig, SM>>>)
where
    SM: RaftStateMachine<TypeConfig>;

impl<SM: RaftStateMachine<TypeConfig>> RaftSlot<SM> {
    /// Of a node that is no member yet.
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// Peers reach this Raft from now on.
    ///
    /// # Panics
    /// When there is one: a node is a member once in a process.
    pub fn set(&self, raft: openraft::Raft<TypeConfig, SM>) {
        let is_first = self.0.set(raft).is_ok();
        assert!(is_first, "a node has one Raft in its life");
    }

    /// The Raft, if the node is a member.
    pub fn get(&self) -> Option<&openraft::Raft<TypeConfig, SM>> {
        self.0.get()
    }
}

impl<SM: RaftStateMachine<TypeConfig>> Clone for RaftSlot<SM> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<SM: RaftStateMachine<TypeConfig>> Default for RaftSlot<SM> {
    fn default() -> Self {
        Self::empty()
    }
}
