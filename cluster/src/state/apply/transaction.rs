//! What one entry reads and writes.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use crate::state::StoreError;
use crate::state::table::Table;

/// The rows as they were before an entry.
pub trait View {
    /// A row's value.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
    /// The keys from one on, to before another, in their order, at most so many.
    fn keys(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Bytes>, StoreError>;
}

/// A row that is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: Bytes,
    /// What it was; none = it was not.
    pub old: Option<Bytes>,
    /// What it is; none = it is gone.
    pub new: Option<Bytes>,
}

impl Change {
    /// The row is a node's record.
    pub fn is_of_node(&self) -> bool {
        Table::of(&self.key) == Some(Table::Nodes)
    }

    /// The row is a task's record.
    pub fn is_of_task(&self) -> bool {
        Table::of(&self.key) == Some(Table::Tasks)
    }
}

struct Touched {
    old: Option<Bytes>,
    new: Option<Option<Bytes>>,
}

impl Touched {
    fn value(&self) -> &Option<Bytes> {
        self.new.as_ref().unwrap_or(&self.old)
    }
}

/// The rows that an entry has touched. Each is read once.
pub struct Transaction<'a, V> {
    view: &'a V,
    touched: BTreeMap<Bytes, Touched>,
}

impl<'a, V: View> Transaction<'a, V> {
    /// Nothing is touched yet.
    pub fn new(view: &'a V) -> Self {
        Self {
            view,
            touched: BTreeMap::new(),
        }
    }

    fn touch(&mut self, key: &Bytes) -> Result<&mut Touched, StoreError> {
        if !self.touched.contains_key(key) {
            let old = self.view.get(key)?;
            self.touched.insert(key.clone(), Touched { old, new: None });
        }
        Ok(self
            .touched
            .get_mut(key)
            .expect("the row was touched above"))
    }

    /// A row's value as it is now.
    pub fn get(&mut self, key: &Bytes) -> Result<Option<Bytes>, StoreError> {
        Ok(self.touch(key)?.value().clone())
    }

    /// Whether a row was looked at.
    pub fn was_read(&self, key: &Bytes) -> bool {
        self.touched.contains_key(key)
    }

    /// Whether there is such a row.
    pub fn contains(&mut self, key: &Bytes) -> Result<bool, StoreError> {
        Ok(self.touch(key)?.value().is_some())
    }

    /// A row as a record.
    pub fn record<M: Message + Default>(&mut self, key: &Bytes) -> Result<Option<M>, StoreError> {
        match self.get(key)? {
            None => Ok(None),
            Some(value) => M::decode(value)
                .map(Some)
                .map_err(|source| StoreError::malformed(key, source)),
        }
    }

    /// Keys of the rows as they were before the entry.
    pub fn keys_before(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Bytes>, StoreError> {
        self.view.keys(from, to, limit)
    }

    /// Writes a record.
    pub fn put<M: Message>(&mut self, key: Bytes, record: &M) -> Result<(), StoreError> {
        self.put_bytes(key, record.encode_to_vec().into())
    }

    /// Writes a row.
    pub fn put_bytes(&mut self, key: Bytes, value: Bytes) -> Result<(), StoreError> {
        self.touch(&key)?.new = Some(Some(value));
        Ok(())
    }

    /// Removes a row, if there is one.
    pub fn delete(&mut self, key: &Bytes) -> Result<(), StoreError> {
        self.touch(key)?.new = Some(None);
        Ok(())
    }

    /// Makes as if nothing had been written.
    pub fn discard_writes(&mut self) {
        for touched in self.touched.values_mut() {
            touched.new = None;
        }
    }

    /// The rows that are others now, in the order of their keys.
    pub fn finish(self) -> Vec<Change> {
        self.touched
            .into_iter()
            .filter_map(|(key, touched)| {
                let new = touched.new?;
                (new != touched.old).then_some(Change {
                    key,
                    old: touched.old,
                    new,
                })
            })
            .collect()
    }
}
