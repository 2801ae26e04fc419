//! This node's own count of its proposals, by which one that is sent twice takes effect once.
//!
//! After the "client sessions" of the Raft dissertation, section 6.3.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::proto::Origin;

/// One life's proposals.
#[derive(Clone, Debug)]
pub(super) struct Session {
    node: u64,
    incarnation: u64,
    window: Arc<Mutex<Window>>,
}

#[derive(Debug)]
struct Window {
    next: u64,
    // Those that may be sent again.
    open: BTreeSet<u64>,
    open_max: usize,
}

/// A proposal under way. Dropped, it is never sent again, and the cluster may forget its answer.
#[derive(Debug)]
pub(super) struct Ticket {
    session: Session,
    sequence: u64,
}

impl Session {
    /// A new life, with at most so many proposals at once.
    pub fn new(node: u64, incarnation: u64, open_max: usize) -> Self {
        let window = Window { next: 1, open: BTreeSet::new(), open_max };
        Self { node, incarnation, window: Arc::new(Mutex::new(window)) }
    }

    /// Begins a proposal; `None` when too many are under way.
    pub fn begin(&self) -> Option<Ticket> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.open.len() >= window.open_max {
            return None;
        }
        let sequence = window.next;
        window.next += 1;
        window.open.insert(sequence);
        Some(Ticket { session: self.clone(), sequence })
    }

    /// How many are under way.
    pub fn open(&self) -> usize {
        self.window.lock().unwrap_or_else(PoisonError::into_inner).open.len()
    }
}

impl Ticket {
    /// What the command carries.
    pub fn origin(&self) -> Origin {
        let window = self.session.window.lock().unwrap_or_else(PoisonError::into_inner);
        let lowest = window.open.first().copied();
        Origin {
            node: self.session.node,
            incarnation: self.session.incarnation,
            sequence: self.sequence,
            settled_below: lowest.expect("this one is open"),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut window = self.session.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.open.remove(&self.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_sent_again_is_settled() {
        let session = Session::new(3, 9, 3);
        let [first, second, third] = [(); 3].map(|()| session.begin().unwrap());
        assert!(session.begin().is_none(), "three are the most");
        let origin = third.origin();
        assert_eq!((origin.node, origin.incarnation), (3, 9));
        assert_eq!((origin.sequence, origin.settled_below), (3, 1));
        drop(second);
        assert_eq!(third.origin().settled_below, 1, "the first may still be sent again");
        drop(first);
        assert_eq!(third.origin().settled_below, 3);
        let fourth = session.begin().unwrap();
        assert_eq!(fourth.origin().sequence, 4, "numbers are never used twice");
        assert_eq!(session.open(), 2);
    }
}
