//! Blobs: what bytes are durable, and where.
//!
//! | command | state | effect |
//! |---|---|---|
//! | PutBlob | holders are no majority of the voters, nor is it in the bucket | NOT_DURABLE |
//! | | no record | a record |
//! | | a record of that size | the holders are added; those that are no nodes any more go |
//! | | of that size, and `only` | the holders are these, and the bucket has it or not |
//! | | of another size | EXISTS |
//! | DeleteBlob | rows name it | WRONG_STATE, `actual` = how many |
//! | | else | it goes, also where there is none |

use std::collections::BTreeSet;

use super::{Context, Outcome, Stop, StoreError, Transaction, View, done, limits, nodes, quorum};
use super::{refuse, refuse_as, require};
use crate::proto::{self, BlobRecord, Reason};
use crate::state::table;

/// So many nodes may hold a blob.
const HOLDERS_MAX: usize = 64;

pub(super) fn put<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::PutBlob,
) -> Result<Outcome, Stop> {
    let fits = limits::blob_hash(&command.hash) && command.holders.len() <= HOLDERS_MAX;
    require(fits, Reason::Invalid)?;
    let durable = command.in_bucket || quorum::is_majority(rows, &command.holders)?;
    require(durable, Reason::NotDurable)?;
    let key = table::blob(&command.hash);
    let known: Option<BlobRecord> = rows.record(&key)?;
    let mut record = known.unwrap_or_else(|| BlobRecord {
        hash: command.hash,
        size: command.size,
        ..BlobRecord::default()
    });
    if record.size != command.size {
        return refuse_as(Reason::Exists, record.size);
    }
    if command.only {
        record.holders.clear();
        record.in_bucket = false;
    }
    let named: BTreeSet<u64> = record.holders.into_iter().chain(command.holders).collect();
    record.holders = Vec::with_capacity(named.len());
    for holder in named {
        if nodes::get(rows, holder)?.is_some() {
            record.holders.push(holder);
        }
    }
    require(record.holders.len() <= HOLDERS_MAX, Reason::Invalid)?;
    record.in_bucket |= command.in_bucket;
    if record.references == 0 {
        rows.delete(&table::loose_blob(record.changed_ms, &record.hash))?;
        rows.put_bytes(
            table::loose_blob(context.time_ms, &record.hash),
            bytes::Bytes::new(),
        )?;
    }
    record.changed_ms = context.time_ms;
    context.principal.clone_into(&mut record.principal);
    rows.put(key, &record)?;
    Ok(done())
}

pub(super) fn delete<V: View>(
    rows: &mut Transaction<V>,
    command: &proto::DeleteBlob,
) -> Result<Outcome, Stop> {
    require(limits::blob_hash(&command.hash), Reason::Invalid)?;
    let key = table::blob(&command.hash);
    let record: Option<BlobRecord> = rows.record(&key)?;
    if let Some(record) = &record
        && record.references > 0
    {
        return refuse_as(Reason::WrongState, record.references);
    }
    forget(rows, &command.hash)?;
    Ok(done())
}

/// Counts one more row that names the blob; none is named by no bytes.
///
/// A pointer to bytes that may be nowhere is refused.
pub(super) fn refer<V: View>(rows: &mut Transaction<V>, hash: &[u8]) -> Result<(), Stop> {
    if hash.is_empty() {
        return Ok(());
    }
    let key = table::blob(hash);
    let known: Option<BlobRecord> = rows.record(&key)?;
    let Some(mut record) = known else {
        return refuse(Reason::NotDurable);
    };
    if record.references == 0 {
        rows.delete(&table::loose_blob(record.changed_ms, hash))?;
    }
    record.references = record.references.saturating_add(1);
    rows.put(key, &record)
        .map_err(|error: StoreError| error.into())
}

/// Counts one row less that names the blob.
pub(super) fn unrefer<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    hash: &[u8],
) -> Result<(), StoreError> {
    if hash.is_empty() {
        return Ok(());
    }
    let key = table::blob(hash);
    let known: Option<BlobRecord> = rows.record(&key)?;
    let Some(mut record) = known else {
        return Ok(());
    };
    record.references = record.references.saturating_sub(1);
    if record.references == 0 {
        record.changed_ms = context.time_ms;
        rows.put_bytes(
            table::loose_blob(context.time_ms, hash),
            bytes::Bytes::new(),
        )?;
    }
    rows.put(key, &record)
}

/// Removes the record of a blob that no row names.
pub(super) fn forget<V: View>(rows: &mut Transaction<V>, hash: &[u8]) -> Result<(), StoreError> {
    let key = table::blob(hash);
    let known: Option<BlobRecord> = rows.record(&key)?;
    if let Some(record) = known
        && record.references == 0
    {
        rows.delete(&table::loose_blob(record.changed_ms, hash))?;
        rows.delete(&key)?;
    }
    Ok(())
}
