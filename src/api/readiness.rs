use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the node takes work; shared by the server, which knows, and `/readyz`, which tells.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Not ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Tells it.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
