//! Tasks: code that is to run, whatever becomes of nodes.
//!
//! | command | state | effect |
//! |---|---|---|
//! | CreateTask | the idempotency key made one | that one, or KEY_REUSED |
//! | | one of the id | the same: replayed; another: EXISTS |
//! | | else | queued |
//! | AssignTask | queued, or running at a node whose life is over; attempts are left | running; the fence is the log index |
//! | | no attempts left, or another state | WRONG_STATE |
//! | | the life of the node is over | STALE_INCARNATION |
//! | FinishTask | running, its fence | succeeded; or failed: queued again, failed when it is the `last`, dead when no attempts are left |
//! | | ended by this fence | nothing when it is the same end, else WRONG_STATE |
//! | | another fence | FENCED, `actual` = that in force |
//! | CancelTask | queued or running | cancelled; the fence is the log index |
//! | | cancelled / ended | nothing / WRONG_STATE |
//! | DeleteTask | ended / not | it goes / WRONG_STATE |
//!
//! A node that is down has any number of tasks, so NodeDown touches none: the leader assigns them anew one
//! by one, or finishes with their fences those that have no attempts left.

use bytes::Bytes;

use super::{Context, Outcome, Stop, StoreError, Transaction, View, done, idempotency, limits};
use super::{nodes, refuse, refuse_as, require};
use crate::proto::{self, Reason, TaskRecord, TaskState};
use crate::state::table;

/// The scope of the keys of tasks.
const SCOPE: &[u8] = b"task";

fn is_live(state: TaskState) -> bool {
    matches!(state, TaskState::Queued | TaskState::Running)
}

/// Writes the record, and its row among those that have not ended.
fn put<V: View>(
    rows: &mut Transaction<V>,
    before: Option<&TaskRecord>,
    record: &TaskRecord,
) -> Result<(), StoreError> {
    let live = |task: &TaskRecord| table::live_task(task.state as u8, task.run_at_ms, &task.id);
    if let Some(before) = before
        && is_live(before.state())
    {
        rows.delete(&live(before))?;
    }
    if is_live(record.state()) {
        rows.put_bytes(live(record), Bytes::new())?;
    }
    rows.put(table::task(&record.id), record)
}

fn require_task<V: View>(rows: &mut Transaction<V>, id: &str) -> Result<TaskRecord, Stop> {
    require(limits::text_id(id), Reason::Invalid)?;
    match rows.record(&table::task(id))? {
        Some(record) => Ok(record),
        None => refuse(Reason::NotFound),
    }
}

pub(super) fn create<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::CreateTask,
) -> Result<Outcome, Stop> {
    let fits = limits::text_id(&command.id)
        && (1..=limits::CODE_BYTES_MAX).contains(&command.code.len())
        && limits::text(&command.session)
        && command.input.len() <= limits::TASK_INPUT_BYTES_MAX
        && limits::attempts(command.attempts_max)
        && limits::text(&command.idempotency_key)
        && limits::digest(&command.request_digest);
    require(fits, Reason::Invalid)?;
    let created = |id, replayed| Outcome::TaskCreated(proto::TaskCreated { id, replayed });
    let request = idempotency::Request {
        scope: SCOPE,
        key: &command.idempotency_key,
        digest: &command.request_digest,
    };
    if let Some(made) = idempotency::made(rows, context, &request)? {
        return Ok(created(String::from_utf8_lossy(&made).into_owned(), true));
    }
    if let Some(known) = rows.record::<TaskRecord>(&table::task(&command.id))? {
        let same = known.code == command.code
            && known.session == command.session
            && known.input == command.input
            && known.attempts_max == command.attempts_max;
        require(same, Reason::Exists)?;
        return Ok(created(command.id, true));
    }
    idempotency::remember(rows, context, &request, command.id.as_bytes())?;
    let record = TaskRecord {
        id: command.id,
        code: command.code,
        session: command.session,
        input: command.input,
        run_at_ms: command.run_at_ms,
        attempts_max: command.attempts_max,
        state: TaskState::Queued.into(),
        created_ms: context.time_ms,
        changed_ms: context.time_ms,
        principal: context.principal.to_owned(),
        ..TaskRecord::default()
    };
    put(rows, None, &record)?;
    Ok(created(record.id, false))
}

pub(super) fn assign<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::AssignTask,
) -> Result<Outcome, Stop> {
    let before = require_task(rows, &command.id)?;
    nodes::require_life(rows, command.node, command.incarnation)?;
    let free = match before.state() {
        TaskState::Queued => true,
        TaskState::Running => !nodes::lives(rows, before.owner_node, before.owner_incarnation)?,
        _ => false,
    };
    require(
        free && before.attempts < before.attempts_max,
        Reason::WrongState,
    )?;
    let record = TaskRecord {
        state: TaskState::Running.into(),
        attempts: before.attempts.saturating_add(1),
        owner_node: command.node,
        owner_incarnation: command.incarnation,
        fence: context.index,
        changed_ms: context.time_ms,
        ..before.clone()
    };
    put(rows, Some(&before), &record)?;
    Ok(Outcome::TaskAssigned(proto::TaskAssigned {
        fence: record.fence,
    }))
}

pub(super) fn finish<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::FinishTask,
) -> Result<Outcome, Stop> {
    require(
        command.report.len() <= limits::REPORT_BYTES_MAX,
        Reason::Invalid,
    )?;
    let before = require_task(rows, &command.id)?;
    if command.fence == 0 || command.fence != before.fence {
        return refuse_as(Reason::Fenced, before.fence);
    }
    let state = if command.succeeded {
        TaskState::Succeeded
    } else if command.last {
        TaskState::Failed
    } else if before.attempts >= before.attempts_max {
        TaskState::Dead
    } else {
        TaskState::Queued
    };
    if before.state() != TaskState::Running {
        let again = before.state() == state && before.report == command.report;
        require(again, Reason::WrongState)?;
        return Ok(done());
    }
    let record = TaskRecord {
        state: state.into(),
        report: command.report,
        run_at_ms: match state {
            TaskState::Queued => command.retry_at_ms,
            _ => before.run_at_ms,
        },
        changed_ms: context.time_ms,
        ..before.clone()
    };
    put(rows, Some(&before), &record)?;
    Ok(done())
}

pub(super) fn cancel<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::CancelTask,
) -> Result<Outcome, Stop> {
    let before = require_task(rows, &command.id)?;
    if before.state() == TaskState::Cancelled {
        return Ok(done());
    }
    require(is_live(before.state()), Reason::WrongState)?;
    let record = TaskRecord {
        state: TaskState::Cancelled.into(),
        fence: context.index,
        changed_ms: context.time_ms,
        ..before.clone()
    };
    put(rows, Some(&before), &record)?;
    Ok(done())
}

pub(super) fn delete<V: View>(
    rows: &mut Transaction<V>,
    command: &proto::DeleteTask,
) -> Result<Outcome, Stop> {
    let before = require_task(rows, &command.id)?;
    require(!is_live(before.state()), Reason::WrongState)?;
    rows.delete(&table::task(&before.id))?;
    Ok(done())
}
