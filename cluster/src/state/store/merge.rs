//! The thread that brings changes from memory to disk.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::control::{Control, Next};
use super::layers::Frozen;
use super::{Store, StoreError, write};
use crate::state::table::HEADER_KEY;

/// The thread's own view of the store, which it does not keep alive.
pub(super) struct Merging {
    pub store: Weak<Store>,
    pub control: Arc<Control>,
    /// The longest wait for more.
    pub delay: Duration,
}

impl Merging {
    /// Runs until the store is closed or fails.
    pub fn run(self) {
        let store = || self.store.upgrade();
        loop {
            match self.control.next(self.delay) {
                Next::Stop => return,
                Next::LookAgain => continue,
                Next::Write => {}
            }
            let Some(store) = store() else { return };
            match merge(&store) {
                Ok(()) => self.control.written(),
                Err(error) => {
                    tracing::error!(%error, "the state can't be written: this node has to stop");
                    return self.control.fail(error);
                }
            }
        }
    }
}

/// Writes all that waits as one batch, and syncs it.
fn merge(store: &Store) -> Result<(), StoreError> {
    let (frozen, base) = {
        let mut layers = write(&store.layers);
        if layers.header.last_applied == layers.synced.last_applied {
            return Ok(());
        }
        let frozen = Arc::new(Frozen {
            overlay: std::mem::take(&mut layers.active),
            header: layers.header.clone(),
        });
        layers.frozen = Some(Arc::clone(&frozen));
        (frozen, Arc::clone(&layers.base))
    };
    let mut batch = sled::Batch::default();
    for (key, value) in frozen.overlay.iter() {
        match value {
            Some(value) => batch.insert(&key[..], &value[..]),
            None => batch.remove(&key[..]),
        }
    }
    batch.insert(&HEADER_KEY, frozen.header.encode());
    base.write(batch)?;
    base.sync()?;
    base.require_no_blobs()?;
    store.disk_bytes.store(base.bytes()?, Ordering::Relaxed);
    let mut layers = write(&store.layers);
    layers.frozen = None;
    layers.synced = frozen.header.clone();
    Ok(())
}
