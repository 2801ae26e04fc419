//! Changes in memory that are not in the database yet.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// What a row costs beside its bytes: the tree's nodes and two shared slices, in bytes.
const ROW_BYTES: usize = 128;

struct Slot {
    value: Option<Bytes>,
    /// Whether there was a row of the key below when it was first changed here.
    below: bool,
}

/// The newest values of some rows.
#[derive(Default)]
pub(in crate::state) struct Overlay {
    slots: BTreeMap<Bytes, Slot>,
    bytes: usize,
}

fn size(key: &Bytes, value: Option<&Bytes>) -> usize {
    ROW_BYTES + key.len() + value.map_or(0, Bytes::len)
}

impl Overlay {
    /// Changes a row. `was` tells whether there was one just before.
    ///
    /// One that was made and removed here leaves no trace: it is never written.
    pub fn change(&mut self, key: Bytes, was: bool, value: Option<Bytes>) {
        let below = match self.slots.get(&key) {
            None => was,
            Some(slot) => {
                self.bytes -= size(&key, slot.value.as_ref());
                slot.below
            }
        };
        if value.is_none() && !below {
            self.slots.remove(&key);
            return;
        }
        self.bytes += size(&key, value.as_ref());
        self.slots.insert(key, Slot { value, below });
    }

    /// The row's newest value: the outer none = it is not here.
    pub fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.slots.get(key).map(|slot| slot.value.clone())
    }

    /// The changes from a key on, to before another.
    pub fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        // A range that ends before it begins makes the tree panic.
        let to = to.max(from);
        self.slots
            .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
            .map(|(key, slot)| (key, &slot.value))
    }

    /// All changes.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        self.slots.iter().map(|(key, slot)| (key, &slot.value))
    }

    /// What it costs, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
