//! Tags: names with JSON values.
//!
//! | command | state | effect |
//! |---|---|---|
//! | PutTag | `if_version` is not the version there is (0 = none) | VERSION_MISMATCH, `actual` = that |
//! | | else | the value; the version is the log index |
//! | DeleteTag | `if_version` is not the version there is | VERSION_MISMATCH |
//! | | no tag | NOT_FOUND |
//! | | else | it goes; the answer is the version that was there |

use super::{Context, Outcome, Stop, Transaction, View, limits, refuse, refuse_as, require};
use crate::proto::{self, Reason, TagRecord};
use crate::state::table;

pub(super) fn put<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::PutTag,
) -> Result<Outcome, Stop> {
    let fits = limits::name(&command.name)
        && (1..=limits::TAG_VALUE_BYTES_MAX).contains(&command.value.len());
    require(fits, Reason::Invalid)?;
    let key = table::tag(&command.name);
    if let Some(wanted) = command.if_version {
        let record: Option<TagRecord> = rows.record(&key)?;
        require_version(wanted, record.as_ref())?;
    }
    let record = TagRecord {
        name: command.name,
        value: command.value,
        version: context.index,
        changed_ms: context.time_ms,
        principal: context.principal.to_owned(),
    };
    rows.put(key, &record)?;
    Ok(Outcome::TagWritten(proto::TagWritten {
        version: context.index,
    }))
}

pub(super) fn delete<V: View>(
    rows: &mut Transaction<V>,
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
    Ok(Outcome::TagWritten(proto::TagWritten {
        version: record.version,
    }))
}

fn require_version(wanted: u64, record: Option<&TagRecord>) -> Result<(), Stop> {
    let actual = record.map_or(0, |record| record.version);
    if actual == wanted {
        Ok(())
    } else {
        refuse_as(Reason::VersionMismatch, actual)
    }
}
