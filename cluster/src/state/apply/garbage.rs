//! Garbage: heaps that nothing reaches, and blobs that nothing names.
//!
//! A commit counts the sessions that stand at it, the commits that begin with it, the tags that point at it
//! and the tasks that made it or are to run in it. One that has none is
//! *loose*, and is in a table by the time since when. Its end makes its parent loose, as old as it was itself;
//! so a long chain goes in as many commands as it takes, each of them bounded, and nothing is ever searched.
//!
//! | command | effect |
//! |---|---|
//! | CollectGarbage | heaps loose since before the time go, with their images; what they named is named once less |
//! | | blobs that nothing has named since before the time go; nodes remove the bytes when they see that |
//! | | at most 256 of each go in one command; the answer is how many |

use super::{Context, Outcome, Stop, StoreError, Transaction, View, blobs, refuse};
use crate::proto::{self, CommitRecord, ImageRecord, Reason};
use crate::state::table::{self, Table};

/// One command forgets at most so many of each kind.
const COLLECTED_MAX: u32 = 256;

/// One more refers to a heap, which has to be there; none is the engine's base image.
pub(super) fn hold<V: View>(rows: &mut Transaction<V>, heap: &[u8]) -> Result<(), Stop> {
    if heap.is_empty() {
        return Ok(());
    }
    let key = table::commit(heap);
    let Some(mut record) = rows.record::<CommitRecord>(&key)? else {
        return refuse(Reason::NotFound);
    };
    if record.loose_ms > 0 {
        rows.delete(&table::loose_heap(record.loose_ms, heap))?;
        record.loose_ms = 0;
    }
    record.references = record.references.saturating_add(1);
    Ok(rows.put(key, &record)?)
}

/// One less refers to a heap since a time.
pub(super) fn release<V: View>(
    rows: &mut Transaction<V>,
    heap: &[u8],
    since_ms: u64,
) -> Result<(), StoreError> {
    if heap.is_empty() {
        return Ok(());
    }
    let key = table::commit(heap);
    let Some(mut record) = rows.record::<CommitRecord>(&key)? else {
        return Ok(());
    };
    record.references = record.references.saturating_sub(1);
    if record.references == 0 {
        loosen(rows, &mut record, since_ms)?;
    }
    rows.put(key, &record)
}

/// Nothing refers to a heap; its record is the caller's to write.
pub(super) fn loosen<V: View>(
    rows: &mut Transaction<V>,
    record: &mut CommitRecord,
    since_ms: u64,
) -> Result<(), StoreError> {
    // 0 says that it is not loose.
    record.loose_ms = since_ms.max(1);
    let key = table::loose_heap(record.loose_ms, &record.heap_id);
    rows.put_bytes(key, bytes::Bytes::new())
}

pub(super) fn collect<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::CollectGarbage,
) -> Result<Outcome, Stop> {
    let limit = command.limit.min(COLLECTED_MAX) as usize;
    let before = |table: Table, time: u64| (table.key(&[]), table.key(&[&time.to_be_bytes()]));
    let (from, to) = before(Table::LooseHeaps, command.heaps_before_ms);
    let heaps = rows.keys_before(&from, &to, limit)?;
    let (from, to) = before(Table::LooseBlobs, command.blobs_before_ms);
    let loose_blobs = rows.keys_before(&from, &to, limit)?;
    for key in &heaps {
        rows.delete(key)?;
        if let Some((since_ms, heap)) = table::time_of(key) {
            forget(rows, context, heap, since_ms)?;
        }
    }
    for key in &loose_blobs {
        rows.delete(key)?;
        if let Some((_, hash)) = table::time_of(key) {
            blobs::forget(rows, hash)?;
        }
    }
    let count = heaps.len() + loose_blobs.len();
    let count = u32::try_from(count).expect("the limit is a u32");
    Ok(Outcome::Expired(proto::Expired { count }))
}

fn forget<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    heap: &[u8],
    since_ms: u64,
) -> Result<(), StoreError> {
    let key = table::commit(heap);
    let Some(record) = rows.record::<CommitRecord>(&key)? else {
        return Ok(());
    };
    if record.loose_ms != since_ms {
        return Ok(());
    }
    rows.delete(&key)?;
    let image_key = table::image(heap);
    if let Some(image) = rows.record::<ImageRecord>(&image_key)? {
        rows.delete(&image_key)?;
        blobs::unrefer(rows, context, &image.blob)?;
    }
    blobs::unrefer(rows, context, &record.delta_blob)?;
    blobs::unrefer(rows, context, &record.record_blob)?;
    release(rows, &record.parent, since_ms)
}
