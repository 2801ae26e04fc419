//! The state as it is read: changes in memory above the database.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::StoreError;
use super::base::{Base, Header};
use super::overlay::Overlay;
use crate::state::apply::Change;
use crate::state::hash::StateHash;

/// The hashes of so many indexes are kept, for comparing nodes.
const HASHES_MAX: usize = 16_384;
/// A scan looks at so many changes at once.
const STEP_ROWS: usize = 1024;

/// Changes that are being written.
pub(super) struct Frozen {
    pub overlay: Overlay,
    /// The state with them.
    pub header: Header,
}

/// The layers, from the newest to the oldest: `active`, `frozen`, `base`.
pub(super) struct Layers {
    pub base: Arc<Base>,
    pub frozen: Option<Arc<Frozen>>,
    pub active: Overlay,
    /// The state with all of them.
    pub header: Header,
    /// The state of the base, which is durable.
    pub synced: Header,
    /// The hash after each of the last entries, by index.
    hashes: VecDeque<(u64, StateHash)>,
}

impl Layers {
    /// The state as a database has it.
    pub fn new(base: Base, header: Header) -> Self {
        let mut layers = Self {
            base: Arc::new(base),
            frozen: None,
            active: Overlay::default(),
            synced: header.clone(),
            header,
            hashes: VecDeque::new(),
        };
        layers.remember_hash();
        layers
    }

    /// What the overlays cost, in bytes.
    pub fn bytes(&self) -> usize {
        let frozen = self.frozen.as_ref();
        self.active.bytes() + frozen.map_or(0, |frozen| frozen.overlay.bytes())
    }

    /// A row, if it is in memory.
    pub fn get_in_memory(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let frozen = || self.frozen.as_ref()?.overlay.get(key);
        self.active.get(key).or_else(frozen)
    }

    /// Takes in what an entry has changed. The header has its log id already.
    pub fn change(&mut self, changes: Vec<Change>) {
        for Change { key, old, new } in changes {
            self.header.change(&key, old.as_deref(), new.as_deref());
            self.active.change(key, old.is_some(), new);
        }
        self.remember_hash();
    }

    fn remember_hash(&mut self) {
        if let Some(last) = &self.header.last_applied {
            if self.hashes.len() == HASHES_MAX {
                self.hashes.pop_front();
            }
            self.hashes.push_back((last.index, self.header.hash));
        }
    }

    /// The hash of the state after an entry.
    pub fn hash_at(&self, index: u64) -> Option<StateHash> {
        let place = self
            .hashes
            .binary_search_by_key(&index, |(index, _)| *index);
        place.ok().map(|place| self.hashes[place].1)
    }

    /// The first changes of a range, from both overlays, and the key before which they are complete.
    fn changes_in(&self, from: &[u8], to: &Bytes) -> (BTreeMap<Bytes, Option<Bytes>>, Bytes) {
        let mut changes = BTreeMap::new();
        let mut complete = to.clone();
        let frozen = self.frozen.as_ref().map(|frozen| &frozen.overlay);
        // The newer one is last and wins.
        for overlay in frozen.into_iter().chain([&self.active]) {
            for (count, (key, value)) in overlay.range(from, to).enumerate() {
                if count == STEP_ROWS {
                    complete = complete.min(key.clone());
                    break;
                }
                changes.insert(key.clone(), value.clone());
            }
        }
        changes.retain(|key, _| *key < complete);
        (changes, complete)
    }
}

/// Reads rows of a range, in their order, until there are enough of them.
///
/// `changes_in` is called with the layers locked, the database is read without. Each row is one that was in
/// force while it ran.
pub(super) fn scan(
    layers: &std::sync::RwLock<Layers>,
    from: &[u8],
    to: &[u8],
    mut take: impl FnMut(Bytes, Bytes) -> bool,
) -> Result<(), StoreError> {
    let to = Bytes::copy_from_slice(to);
    let mut from = Bytes::copy_from_slice(from);
    while from < to {
        let (changes, complete, base) = {
            let layers = super::read(layers);
            let (changes, complete) = layers.changes_in(&from, &to);
            (changes, complete, layers.base.clone())
        };
        let mut changes = changes.into_iter().peekable();
        for row in base.range(&from, &complete) {
            let (key, value) = row?;
            while let Some((changed, new)) = changes.next_if(|(changed, _)| *changed < key) {
                if let Some(new) = new
                    && !take(changed, new)
                {
                    return Ok(());
                }
            }
            let value = match changes.next_if(|(changed, _)| *changed == key) {
                None => Some(value),
                Some((_, new)) => new,
            };
            if let Some(value) = value
                && !take(key, value)
            {
                return Ok(());
            }
        }
        for (changed, new) in changes {
            if let Some(new) = new
                && !take(changed, new)
            {
                return Ok(());
            }
        }
        from = complete;
    }
    Ok(())
}
