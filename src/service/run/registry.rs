//! The executions that can be asked for, bounded by number, by age and by bytes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::admission::Admitted;
use super::key::{Digest, Key};
use super::record::{Record, Retention};
use super::{Error, ExecutionId, ListCursor, ListPage};
use crate::config::RunConfig;

/// All executions that this node knows.
pub(super) struct Registry {
    executions_max: usize,
    kept_bytes_max: u64,
    execution_ttl: Duration,
    /// Executions with a key are kept at least as long as the key is promised to work.
    keyed_ttl: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<ExecutionId, Arc<Record>>,
    by_order: BTreeMap<u64, Arc<Record>>,
    keys: HashMap<Key, (Digest, Arc<Record>)>,
    orders: u64,
    /// The finished ones whose caller has the answer, by the time of their end.
    answered: VecDeque<Kept>,
    /// Those that a caller will come back for, and those with a key.
    awaited: VecDeque<Kept>,
    kept_bytes: u64,
    unfinished: usize,
}

struct Kept {
    record: Arc<Record>,
    expires: Instant,
    bytes: u64,
}

/// What became of a request to insert.
pub(super) enum Inserted {
    /// A new execution, and how it was let in, if it was yet.
    New(Arc<Record>, Option<Admitted>),
    /// The one that has this key already.
    Known(Arc<Record>),
}

impl Registry {
    pub fn new(config: &RunConfig) -> Self {
        let execution_ttl = Duration::from_secs(config.execution_ttl_secs);
        let idempotency_ttl = Duration::from_secs(config.idempotency_ttl_secs);
        Self {
            executions_max: config.executions_max,
            kept_bytes_max: config.kept_bytes_max,
            execution_ttl,
            keyed_ttl: execution_ttl.max(idempotency_ttl),
            table: Mutex::default(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the execution of this key, or makes one if it is let in; two requests with one key that
    /// come at the same time give one execution.
    pub fn insert(
        &self,
        key: Option<(Key, Digest)>,
        admit: impl FnOnce() -> Result<Option<Admitted>, Error>,
        make: impl FnOnce(u64, Option<Key>) -> Record,
    ) -> Result<Inserted, Error> {
        let mut evicted = Vec::new();
        let mut table = self.table();
        if let Some((key, digest)) = &key
            && let Some((known, record)) = table.keys.get(key)
        {
            return if known == digest {
                Ok(Inserted::Known(Arc::clone(record)))
            } else {
                Err(Error::IdempotencyConflict { id: record.id })
            };
        }
        let admitted = admit()?;
        table.orders += 1;
        let order = table.orders;
        let record = Arc::new(make(order, key.as_ref().map(|(key, _)| key.clone())));
        if let Some((key, digest)) = key {
            table.keys.insert(key, (digest, Arc::clone(&record)));
        }
        table.by_id.insert(record.id, Arc::clone(&record));
        table.by_order.insert(order, Arc::clone(&record));
        table.unfinished += 1;
        while table.by_id.len() > self.executions_max && table.evict_oldest(&mut evicted) {}
        drop(table);
        Ok(Inserted::New(record, admitted))
    }

    /// The execution has ended: from now on it takes up memory, and its time runs.
    pub fn finished(&self, record: &Arc<Record>, kept_bytes: u64) {
        let mut evicted = Vec::new();
        let mut table = self.table();
        table.unfinished -= 1;
        if record.not_run().is_some()
            && let Some(key) = &record.key
        {
            // Nothing ran: the same key may run it now.
            table.keys.remove(key);
        }
        let keyed = record.key.is_some();
        let ttl = if keyed {
            self.keyed_ttl
        } else {
            self.execution_ttl
        };
        let kept = Kept {
            record: Arc::clone(record),
            expires: Instant::now() + ttl,
            bytes: kept_bytes,
        };
        table.kept_bytes += kept_bytes;
        if keyed || record.retention == Retention::Awaited {
            table.awaited.push_back(kept);
        } else {
            table.answered.push_back(kept);
        }
        while (table.kept_bytes > self.kept_bytes_max || table.by_id.len() > self.executions_max)
            && table.evict_oldest(&mut evicted)
        {}
        drop(table);
    }

    /// Forgets those whose time is over.
    pub fn expire(&self, now: Instant) {
        let mut evicted = Vec::new();
        let mut table = self.table();
        while table
            .answered
            .front()
            .is_some_and(|kept| kept.expires <= now)
        {
            let kept = table.answered.pop_front();
            table.forget(kept, &mut evicted);
        }
        // Keyed and other ones live differently long in one queue, so this looks at each; only the
        // sweep does, and the queue is bounded.
        let awaited = std::mem::take(&mut table.awaited);
        for kept in awaited {
            if kept.expires <= now {
                table.forget(Some(kept), &mut evicted);
            } else {
                table.awaited.push_back(kept);
            }
        }
        drop(table);
    }

    pub fn get(&self, id: &ExecutionId) -> Result<Arc<Record>, Error> {
        let found = self.table().by_id.get(id).cloned();
        found.ok_or(Error::NotFound { id: *id })
    }

    /// A page of records, newest first, and where the next one begins.
    pub fn list(&self, page: &ListPage) -> (Vec<Arc<Record>>, Option<ListCursor>) {
        /// Records that are looked at under one lock.
        const CHUNK: usize = 256;
        let mut before = page.after.map_or(u64::MAX, |cursor| cursor.0);
        let mut found = Vec::new();
        loop {
            let chunk: Vec<_> = {
                let table = self.table();
                let older = table.by_order.range(..before).rev();
                older
                    .take(CHUNK)
                    .map(|(_, record)| Arc::clone(record))
                    .collect()
            };
            let whole = chunk.len() == CHUNK;
            for record in chunk {
                if found.len() == page.limit {
                    return (found, Some(ListCursor(before)));
                }
                before = record.order;
                if page.status.is_none_or(|status| record.status() == status) {
                    found.push(record);
                }
            }
            if !whole {
                return (found, None);
            }
        }
    }

    /// Those that have not ended.
    pub fn unfinished(&self) -> Vec<Arc<Record>> {
        let records: Vec<_> = self.table().by_order.values().cloned().collect();
        records
            .into_iter()
            .filter(|record| !record.status().is_final())
            .collect()
    }

    pub fn unfinished_count(&self) -> usize {
        self.table().unfinished
    }

    /// How many there are, and the memory that the finished ones take up.
    pub fn size(&self) -> (usize, u64) {
        let table = self.table();
        (table.by_id.len(), table.kept_bytes)
    }
}

impl Table {
    /// Forgets the one that ended first, of those whose caller has the answer if there is one. What
    /// is evicted is given out, to be freed when the lock is not held any more.
    fn evict_oldest(&mut self, evicted: &mut Vec<Kept>) -> bool {
        let kept = self
            .answered
            .pop_front()
            .or_else(|| self.awaited.pop_front());
        let some = kept.is_some();
        self.forget(kept, evicted);
        some
    }

    fn forget(&mut self, kept: Option<Kept>, evicted: &mut Vec<Kept>) {
        let Some(kept) = kept else {
            return;
        };
        self.kept_bytes -= kept.bytes;
        self.by_id.remove(&kept.record.id);
        self.by_order.remove(&kept.record.order);
        if let Some(key) = &kept.record.key {
            // A key that was released may belong to another execution by now.
            if self
                .keys
                .get(key)
                .is_some_and(|(_, holder)| holder.id == kept.record.id)
            {
                self.keys.remove(key);
            }
        }
        evicted.push(kept);
    }
}

#[cfg(test)]
mod tests;
