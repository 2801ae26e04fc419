//! Engines: versions of V8 with what they need.
//!
//! | command | state | effect |
//! |---|---|---|
//! | PutEngine | none of the id | a record, allowed |
//! | | the same | nothing |
//! | | the same, without its bytes | flags and blobs are added |
//! | | another one of the id | EXISTS |
//! | | a blob of it is not known | NOT_DURABLE |
//! | SetEngineState | retired | WRONG_STATE, unless it is to be retired |
//! | | else | the state |

use super::{Context, Outcome, Stop, StoreError, Transaction, View, blobs, done, limits};
use super::{refuse, require};
use crate::proto::{self, EngineRecord, EngineState, Reason};
use crate::state::table;

pub(super) fn get<V: View>(
    rows: &mut Transaction<V>,
    id: &[u8],
) -> Result<Option<EngineRecord>, StoreError> {
    rows.record(&table::engine(id))
}

pub(super) fn put<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::PutEngine,
) -> Result<Outcome, Stop> {
    let fits = limits::id(&command.id)
        && limits::flags(&command.v8_flags)
        && command.constants_used.len() <= limits::CONSTANTS_MAX
        && limits::text(&command.v8_version)
        && limits::text(&command.cpu_baseline)
        && limits::optional_blob_hash(&command.worker_blob)
        && limits::optional_blob_hash(&command.base_image_blob)
        // Half an engine is none.
        && command.worker_blob.is_empty() == command.base_image_blob.is_empty();
    require(fits, Reason::Invalid)?;
    let known = get(rows, &command.id)?;
    if let Some(known) = &known {
        let same =
            known.v8_version == command.v8_version && known.cpu_baseline == command.cpu_baseline;
        require(same, Reason::Exists)?;
        // Compressed by another version the same engine has other blobs.
        if command.worker_blob.is_empty() || !known.worker_blob.is_empty() {
            return Ok(done());
        }
    }
    blobs::refer(rows, &command.worker_blob)?;
    blobs::refer(rows, &command.base_image_blob)?;
    let known = known.unwrap_or_else(|| EngineRecord {
        id: command.id,
        v8_version: command.v8_version,
        cpu_baseline: command.cpu_baseline,
        state: EngineState::Allowed.into(),
        created_ms: context.time_ms,
        principal: context.principal.to_owned(),
        ..EngineRecord::default()
    });
    let record = EngineRecord {
        worker_blob: command.worker_blob,
        base_image_blob: command.base_image_blob,
        v8_flags: command.v8_flags,
        constants_used: command.constants_used,
        ..known
    };
    rows.put(table::engine(&record.id), &record)?;
    Ok(done())
}

pub(super) fn set_state<V: View>(
    rows: &mut Transaction<V>,
    command: &proto::SetEngineState,
) -> Result<Outcome, Stop> {
    let state = EngineState::try_from(command.state).unwrap_or(EngineState::Unspecified);
    require(state != EngineState::Unspecified, Reason::Invalid)?;
    let Some(mut record) = get(rows, &command.id)? else {
        return refuse(Reason::NotFound);
    };
    let ended = record.state() == EngineState::Retired && state != EngineState::Retired;
    require(!ended, Reason::WrongState)?;
    record.state = state.into();
    rows.put(table::engine(&record.id), &record)?;
    Ok(done())
}
