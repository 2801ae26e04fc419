//! The tables of the state, and the keys of their rows.
//!
//! All rows are in one ordered space: the table's number, then the key within the table. Numbers and the
//! forms of keys are on disk and in snapshots: they never change their meaning.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The number in front of the store's own header, which is no row.
pub(super) const HEADER_KEY: [u8; 1] = [0];

/// A kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// What there is once: the membership, and the mark of node ids.
    Meta = 1,
    /// Nodes by id.
    Nodes = 2,
    /// A node's id by its name.
    NodeNames = 3,
    /// Settings by name.
    Settings = 4,
    /// Tags by name.
    Tags = 5,
    /// Engines by id.
    Engines = 6,
    /// Blobs by hash.
    Blobs = 7,
    /// Sessions by id.
    Sessions = 8,
    /// A session's id by its name.
    SessionNames = 9,
    /// Commits by heap.
    Commits = 10,
    /// Not used: a session's history is the chain of its heaps.
    SessionCommits = 11,
    /// Images by heap.
    Images = 12,
    /// Tasks by id.
    Tasks = 13,
    /// Tasks that have not ended, by state and time.
    LiveTasks = 14,
    /// What idempotency keys were used for.
    IdempotencyKeys = 15,
    /// The same keys by age.
    IdempotencyAges = 16,
    /// What is known of each proposer.
    SettlementSessions = 17,
    /// Answers to proposals that are not settled.
    Settlements = 18,
    /// Heaps that nothing reaches, by the time since when.
    LooseHeaps = 19,
    /// Blobs that nothing names, by the time since when.
    LooseBlobs = 20,
    /// Tasks that have ended, by the time since when.
    EndedTasks = 21,
    /// All tasks, the newest first.
    NewestTasks = 22,
    /// Tags by the heap that they point at.
    HeapTags = 23,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Meta,
        Self::Nodes,
        Self::NodeNames,
        Self::Settings,
        Self::Tags,
        Self::Engines,
        Self::Blobs,
        Self::Sessions,
        Self::SessionNames,
        Self::Commits,
        Self::SessionCommits,
        Self::Images,
        Self::Tasks,
        Self::LiveTasks,
        Self::IdempotencyKeys,
        Self::IdempotencyAges,
        Self::SettlementSessions,
        Self::Settlements,
        Self::LooseHeaps,
        Self::LooseBlobs,
        Self::EndedTasks,
        Self::NewestTasks,
        Self::HeapTags,
    ];

    /// The table that a row's key is in; none for what is no row of this version.
    pub fn of(key: &[u8]) -> Option<Self> {
        let number = usize::from(*key.first()?);
        Self::ALL.get(number.checked_sub(1)?).copied()
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The key of a row: the parts one after the other.
    pub(super) fn key(self, parts: &[&[u8]]) -> Bytes {
        let size = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut key = BytesMut::with_capacity(1 + size);
        key.put_u8(self.number());
        for part in parts {
            key.put_slice(part);
        }
        key.freeze()
    }

    /// Where its rows end.
    pub(super) fn end(self) -> Bytes {
        Bytes::copy_from_slice(&[self.number() + 1])
    }
}

/// The first key that does not begin with the prefix, which is no row of 0xff alone.
pub(super) fn end_of_prefix(prefix: &[u8]) -> Bytes {
    let kept = prefix
        .iter()
        .rposition(|byte| *byte != u8::MAX)
        .expect("a key begins with the number of its table");
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    end.into()
}

/// The key of the membership.
pub(super) fn membership() -> Bytes {
    Table::Meta.key(&[b"membership"])
}

/// The key of the number that the next node gets.
pub(super) fn next_node() -> Bytes {
    Table::Meta.key(&[b"next_node"])
}

/// The key of the level of what is in the state.
pub(super) fn level() -> Bytes {
    Table::Meta.key(&[b"level"])
}

/// A node's key.
pub(super) fn node(id: u64) -> Bytes {
    Table::Nodes.key(&[&id.to_be_bytes()])
}

/// The key of a node's name.
pub(super) fn node_name(name: &str) -> Bytes {
    Table::NodeNames.key(&[name.as_bytes()])
}

/// A setting's key.
pub(super) fn setting(name: &str) -> Bytes {
    Table::Settings.key(&[name.as_bytes()])
}

/// A tag's key.
pub(super) fn tag(name: &str) -> Bytes {
    Table::Tags.key(&[name.as_bytes()])
}

/// The prefix of the tags that point at a heap.
pub(super) fn heap_tags(heap: &[u8]) -> Bytes {
    let length = u8::try_from(heap.len()).expect("ids have a limit");
    Table::HeapTags.key(&[&[length], heap])
}

/// The key of a tag among those that point at a heap.
pub(super) fn heap_tag(heap: &[u8], name: &str) -> Bytes {
    [&heap_tags(heap)[..], name.as_bytes()].concat().into()
}

/// An engine's key.
pub(super) fn engine(id: &[u8]) -> Bytes {
    Table::Engines.key(&[id])
}

/// A blob's key.
pub(super) fn blob(hash: &[u8]) -> Bytes {
    Table::Blobs.key(&[hash])
}

/// A session's key.
pub(super) fn session(id: &[u8]) -> Bytes {
    Table::Sessions.key(&[id])
}

/// The key of a session's name.
pub(super) fn session_name(name: &str) -> Bytes {
    Table::SessionNames.key(&[name.as_bytes()])
}

/// A commit's key.
pub(super) fn commit(heap: &[u8]) -> Bytes {
    Table::Commits.key(&[heap])
}

/// An image's key.
pub(super) fn image(heap: &[u8]) -> Bytes {
    Table::Images.key(&[heap])
}

/// A task's key.
pub(super) fn task(id: &str) -> Bytes {
    Table::Tasks.key(&[id.as_bytes()])
}

/// The key of the number of tasks.
pub(super) fn task_counts() -> Bytes {
    Table::Meta.key(&[b"task_counts"])
}

/// The key of a task that has ended.
pub(super) fn ended_task(since_ms: u64, id: &str) -> Bytes {
    Table::EndedTasks.key(&[&since_ms.to_be_bytes(), id.as_bytes()])
}

/// The key of a task among all, the newest first.
pub(super) fn newest_task(created_ms: u64, id: &str) -> Bytes {
    Table::NewestTasks.key(&[&(u64::MAX - created_ms).to_be_bytes(), id.as_bytes()])
}

/// The key of a task that has not ended.
pub(super) fn live_task(state: u8, run_at_ms: u64, id: &str) -> Bytes {
    Table::LiveTasks.key(&[&[state], &run_at_ms.to_be_bytes(), id.as_bytes()])
}

/// An idempotency key's key. Lengths stand before what varies, so that no two are the same.
pub(super) fn idempotency_key(principal: &str, scope: &[u8], key: &str) -> Bytes {
    let principal_length = u16::try_from(principal.len()).expect("principals have a limit");
    let scope_length = u16::try_from(scope.len()).expect("scopes have a limit");
    Table::IdempotencyKeys.key(&[
        &principal_length.to_be_bytes(),
        principal.as_bytes(),
        &scope_length.to_be_bytes(),
        scope,
        key.as_bytes(),
    ])
}

/// The key by which an idempotency key is found when it is old.
pub(super) fn idempotency_age(created_ms: u64, key: &[u8]) -> Bytes {
    Table::IdempotencyAges.key(&[&created_ms.to_be_bytes(), &key[1..]])
}

/// The prefix of all proposers that are one node.
pub(super) fn settlement_sessions(node: u64) -> Bytes {
    Table::SettlementSessions.key(&[&node.to_be_bytes()])
}

/// A proposer's key.
pub(super) fn settlement_session(node: u64, incarnation: u64) -> Bytes {
    Table::SettlementSessions.key(&[&node.to_be_bytes(), &incarnation.to_be_bytes()])
}

/// A proposal's key.
pub(super) fn settlement(node: u64, incarnation: u64, sequence: u64) -> Bytes {
    Table::Settlements.key(&[
        &node.to_be_bytes(),
        &incarnation.to_be_bytes(),
        &sequence.to_be_bytes(),
    ])
}

/// The key of a heap that nothing reaches.
pub(super) fn loose_heap(since_ms: u64, heap: &[u8]) -> Bytes {
    Table::LooseHeaps.key(&[&since_ms.to_be_bytes(), heap])
}

/// The key of a blob that nothing names.
pub(super) fn loose_blob(since_ms: u64, hash: &[u8]) -> Bytes {
    Table::LooseBlobs.key(&[&since_ms.to_be_bytes(), hash])
}

/// The time in a key of a row that is ordered by time, and what is behind it.
pub(super) fn time_of(key: &[u8]) -> Option<(u64, &[u8])> {
    let (time, rest) = key.get(1..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*time), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_tables_are_their_places() {
        for (place, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(table.number()), place + 1);
            assert_eq!(Table::of(&table.key(&[b"x"])), Some(table));
        }
        assert_eq!(Table::of(&HEADER_KEY), None);
        let after = u8::try_from(Table::ALL.len() + 1).expect("there are few");
        assert_eq!(Table::of(&[after]), None);
        assert_eq!(Table::of(&[]), None);
    }

    #[test]
    fn a_prefix_ends_where_its_keys_end() {
        assert_eq!(end_of_prefix(&[5, 1]), &[5, 2][..]);
        assert_eq!(end_of_prefix(&[5, 0xff, 0xff]), &[6][..]);
        assert_eq!(end_of_prefix(&[5]), Table::Tags.end());
    }

    #[test]
    fn parts_of_idempotency_keys_do_not_run_into_each_other() {
        assert_ne!(
            idempotency_key("a", b"bc", "d"),
            idempotency_key("ab", b"c", "d")
        );
        assert_ne!(
            idempotency_key("a", b"b", "cd"),
            idempotency_key("a", b"bc", "d")
        );
    }
}
