//! Tasks that make tasks at times that they tell, and the end of what is kept of tasks.
//!
//! | command | state | effect |
//! |---|---|---|
//! | FireTask | scheduled, and waits for this time | a queued task like it, unless the time is to pass; it waits for the next |
//! | | it waits for another time, or has ended | WRONG_STATE, `actual` = the time that it waits for |
//! | | a task of the new id | EXISTS |
//! | ExpireTasks | | of those that ended before the time, and of those over the number to keep, the oldest go: at most 256 |

use super::task_rows::{counts, insert, remove, update};
use super::tasks::require_task;
use super::{Context, Outcome, Stop, Transaction, View, blobs, done, limits, refuse_as, require};
use crate::proto::{self, Reason, TaskRecord, TaskState};
use crate::state::table::{self, Table};

/// One command forgets at most so many.
const EXPIRED_MAX: u32 = 256;

pub(super) fn fire<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::FireTask,
) -> Result<Outcome, Stop> {
    let before = require_task(rows, &command.id)?;
    let waits = before.state() == TaskState::Scheduled && before.run_at_ms == command.due_ms;
    if !waits {
        return refuse_as(Reason::WrongState, before.run_at_ms);
    }
    require(command.next_ms > command.due_ms, Reason::Invalid)?;
    let next = TaskRecord {
        run_at_ms: command.next_ms,
        changed_ms: context.time_ms,
        fence: context.index,
        ..before.clone()
    };
    update(rows, context, &before, &next)?;
    if command.task_id.is_empty() {
        return Ok(done());
    }
    require(limits::text_id(&command.task_id), Reason::Invalid)?;
    let known = rows.contains(&table::task(&command.task_id))?;
    require(!known, Reason::Exists)?;
    blobs::refer(rows, &before.request_blob)?;
    let made = TaskRecord {
        id: command.task_id,
        state: TaskState::Queued.into(),
        run_at_ms: command.due_ms,
        created_ms: context.time_ms,
        changed_ms: context.time_ms,
        fence: 0,
        parent: before.id.clone(),
        cron: String::new(),
        time_zone: String::new(),
        late_ms_max: 0,
        ..before
    };
    insert(rows, &made)?;
    Ok(Outcome::TaskCreated(proto::TaskCreated {
        id: made.id,
        replayed: false,
    }))
}

pub(super) fn expire<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::ExpireTasks,
) -> Result<Outcome, Stop> {
    let limit = command.limit.min(EXPIRED_MAX) as usize;
    let surplus = counts(rows)?.ended.saturating_sub(command.keep_max);
    let from = Table::EndedTasks.key(&[]);
    let old = Table::EndedTasks.key(&[&command.before_ms.to_be_bytes()]);
    let mut keys = rows.keys_before(&from, &old, limit)?;
    if (keys.len() as u64) < surplus {
        let limit = limit.min(usize::try_from(surplus).unwrap_or(usize::MAX));
        keys = rows.keys_before(&from, &Table::EndedTasks.end(), limit)?;
    }
    for key in &keys {
        let id = table::time_of(key).and_then(|(_, id)| std::str::from_utf8(id).ok());
        let record = match id {
            Some(id) => rows.record::<TaskRecord>(&table::task(id))?,
            None => None,
        };
        match record {
            Some(record) => remove(rows, context, &record)?,
            None => rows.delete(key)?,
        }
    }
    let count = u32::try_from(keys.len()).expect("the limit is a u32");
    Ok(Outcome::Expired(proto::Expired { count }))
}
