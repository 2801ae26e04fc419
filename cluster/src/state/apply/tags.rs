//! Tags: names with JSON values. One may point at a heap, which is kept as long as it does.
//!
//! | command | state | effect |
//! |---|---|---|
//! | PutTag | `if_version` is not the version there is (0 = none) | VERSION_MISMATCH, `actual` = that |
//! | | no commit of its heap | NOT_FOUND |
//! | | else | the value; the version is the log index |
//! | DeleteTag | `if_version` is not the version there is | VERSION_MISMATCH |
//! | | no tag | NOT_FOUND |
//! | | else | it goes; the answer is the version that was there |

use bytes::Bytes;

use super::{Context, Outcome, Stop, Transaction, View, garbage, limits};
use super::{refuse, refuse_as, require};
use crate::proto::{self, Reason, TagRecord};
use crate::state::table;

pub(super) fn put<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::PutTag,
) -> Result<Outcome, Stop> {
    let fits = limits::name(&command.name)
        && (1..=limits::TAG_VALUE_BYTES_MAX).contains(&command.value.len())
        && command.heap_id.len() <= limits::ID_BYTES_MAX;
    require(fits, Reason::Invalid)?;
    let key = table::tag(&command.name);
    let before: Option<TagRecord> = rows.record(&key)?;
    if let Some(wanted) = command.if_version {
        require_version(wanted, before.as_ref())?;
    }
    // First the new one: when both are the same, it is never loose.
    garbage::hold(rows, &command.heap_id)?;
    if let Some(before) = &before {
        leave(rows, context, before)?;
    }
    if !command.heap_id.is_empty() {
        let row = table::heap_tag(&command.heap_id, &command.name);
        rows.put_bytes(row, Bytes::new())?;
    }
    let record = TagRecord {
        name: command.name,
        value: command.value,
        version: context.index,
        changed_ms: context.time_ms,
        principal: context.principal.to_owned(),
        heap_id: command.heap_id,
    };
    rows.put(key, &record)?;
    Ok(Outcome::TagWritten(proto::TagWritten {
        version: context.index,
    }))
}

pub(super) fn delete<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::DeleteTag,
) -> Result<Outcome, Stop> {
    require(limits::name(&command.name), Reason::Invalid)?;
    let key = table::tag(&command.name);
    let record: Option<TagRecord> = rows.record(&key)?;
    if let Some(wanted) = command.if_version {
        require_version(wanted, record.as_ref())?;
    }
    let Some(record) = record else {
        return refuse(Reason::NotFound);
    };
    rows.delete(&key)?;
    leave(rows, context, &record)?;
    Ok(Outcome::TagWritten(proto::TagWritten {
        version: record.version,
    }))
}

/// A tag points at its heap no more.
fn leave<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    record: &TagRecord,
) -> Result<(), Stop> {
    if record.heap_id.is_empty() {
        return Ok(());
    }
    rows.delete(&table::heap_tag(&record.heap_id, &record.name))?;
    Ok(garbage::release(rows, &record.heap_id, context.time_ms)?)
}

fn require_version(wanted: u64, record: Option<&TagRecord>) -> Result<(), Stop> {
    let actual = record.map_or(0, |record| record.version);
    if actual == wanted {
        Ok(())
    } else {
        refuse_as(Reason::VersionMismatch, actual)
    }
}
