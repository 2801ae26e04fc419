//! Tasks: code that is to run, whatever becomes of nodes.
//!
//! | command | state | effect |
//! |---|---|---|
//! | CreateTask | the idempotency key made one | that one, or KEY_REUSED |
//! | | one of the id | the same: replayed; another: EXISTS |
//! | | as many have not ended as the command allows | FULL |
//! | | no commit of the heap that it runs in | NOT_FOUND |
//! | | else | queued; with times, scheduled |
//! | AssignTask | queued, or running at a node whose life is over; attempts are left | running; the fence is the log index |
//! | | no attempts left, or another state | WRONG_STATE |
//! | | the life of the node is over | STALE_INCARNATION |
//! | FinishTask | running, its fence | succeeded; or as below |
//! | | ended by this fence | nothing when it is the same end, else WRONG_STATE |
//! | | another fence | FENCED, `actual` = that in force |
//! | CancelTask | not ended | cancelled; the fence is the log index |
//! | | cancelled / ended | nothing / WRONG_STATE |
//! | DeleteTask | ended / not | it goes / WRONG_STATE |
//!
//! An attempt that did not succeed: failed when it is the `last`, or one error more than the task may have;
//! dead when no attempts are left; else queued again. One that was lost is no error of the task's own.
//!
//! The heap that a task runs in is kept until it has ended, the one that it made as long as the task is.
//!
//! A node that is down has any number of tasks, so NodeDown touches none: the leader assigns them anew one
//! by one, or finishes with their fences those that have no attempts left.

use super::task_rows::{counts, insert, is_live, remove, update};
use super::{Context, Outcome, Stop, Transaction, View, blobs, done, garbage, idempotency, limits};
use super::{nodes, refuse, refuse_as, require};
use crate::proto::{self, Reason, TaskRecord, TaskState};
use crate::state::table;

/// The scope of the keys of tasks.
const SCOPE: &[u8] = b"task";
/// A pause is doubled so often at most.
const DOUBLINGS_MAX: u32 = 32;

pub(super) fn require_task<V: View>(
    rows: &mut Transaction<V>,
    id: &str,
) -> Result<TaskRecord, Stop> {
    require(limits::text_id(id), Reason::Invalid)?;
    match rows.record(&table::task(id))? {
        Some(record) => Ok(record),
        None => refuse(Reason::NotFound),
    }
}

/// When a task is tried again after an error.
fn retry_at_ms(task: &TaskRecord, failures: u32, now_ms: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
    let pause = task.backoff_ms.saturating_mul(1 << doublings);
    now_ms.saturating_add(pause.min(task.backoff_ms_max.max(task.backoff_ms)))
}

pub(super) fn create<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::CreateTask,
) -> Result<Outcome, Stop> {
    let labels = command.labels.iter();
    let bytes = command.code.len()
        + command.input.len()
        + command.options.len()
        + labels
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
    let fits = limits::text_id(&command.id)
        && command.code.is_empty() != command.request_blob.is_empty()
        && command.code.len() <= limits::CODE_BYTES_MAX
        && bytes <= limits::TASK_REQUEST_BYTES_MAX
        && command.options.len() <= limits::TASK_OPTIONS_BYTES_MAX
        && limits::labels(&command.labels)
        && limits::optional_blob_hash(&command.request_blob)
        && limits::text(&command.cron)
        && limits::text(&command.time_zone)
        && limits::text(&command.session)
        && command.parent_heap.len() <= limits::ID_BYTES_MAX
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
            && known.parent_heap == command.parent_heap
            && known.input == command.input
            && known.request_blob == command.request_blob
            && known.options == command.options
            && known.cron == command.cron
            && known.attempts_max == command.attempts_max;
        require(same, Reason::Exists)?;
        return Ok(created(command.id, true));
    }
    if command.live_max > 0 {
        let counts = counts(rows)?;
        let live = counts.scheduled + counts.queued + counts.running;
        if live >= command.live_max {
            return refuse_as(Reason::Full, live);
        }
    }
    idempotency::remember(rows, context, &request, command.id.as_bytes())?;
    blobs::refer(rows, &command.request_blob)?;
    let state = match command.cron.is_empty() {
        true => TaskState::Queued,
        false => TaskState::Scheduled,
    };
    let record = TaskRecord {
        id: command.id,
        code: command.code,
        session: command.session,
        input: command.input,
        run_at_ms: command.run_at_ms,
        attempts_max: command.attempts_max,
        state: state.into(),
        created_ms: context.time_ms,
        changed_ms: context.time_ms,
        principal: context.principal.to_owned(),
        options: command.options,
        labels: command.labels,
        failures_max: command.failures_max,
        backoff_ms: command.backoff_ms,
        backoff_ms_max: command.backoff_ms_max,
        request_blob: command.request_blob,
        cron: command.cron,
        time_zone: command.time_zone,
        late_ms_max: command.late_ms_max,
        parent_heap: command.parent_heap,
        ..TaskRecord::default()
    };
    insert(rows, &record)?;
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
        started_ms: context.time_ms,
        ..before.clone()
    };
    update(rows, context, &before, &record)?;
    Ok(Outcome::TaskAssigned(proto::TaskAssigned {
        fence: record.fence,
    }))
}

pub(super) fn finish<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::FinishTask,
    heap_id: &[u8],
) -> Result<Outcome, Stop> {
    let fits = command.report.len() <= limits::REPORT_BYTES_MAX
        && limits::optional_blob_hash(&command.report_blob);
    require(fits, Reason::Invalid)?;
    let before = require_task(rows, &command.id)?;
    if command.fence == 0 || command.fence != before.fence {
        return refuse_as(Reason::Fenced, before.fence);
    }
    if before.state() != TaskState::Running {
        let end = ended(&before, &command, before.failures);
        let again = before.state() == end && before.report == command.report;
        require(again, Reason::WrongState)?;
        return Ok(done());
    }
    let failed = !command.succeeded && !command.lost;
    let failures = before.failures.saturating_add(u32::from(failed));
    let state = ended(&before, &command, failures);
    let run_at_ms = match state {
        TaskState::Queued if before.backoff_ms > 0 => {
            retry_at_ms(&before, failures, context.time_ms)
        }
        TaskState::Queued => command.retry_at_ms,
        _ => before.run_at_ms,
    };
    // What an earlier attempt said is said no more.
    blobs::refer(rows, &command.report_blob)?;
    blobs::unrefer(rows, context, &before.report_blob)?;
    garbage::hold(rows, heap_id)?;
    let record = TaskRecord {
        state: state.into(),
        report: command.report,
        report_blob: command.report_blob,
        heap_id: heap_id.to_vec(),
        failures,
        run_at_ms,
        changed_ms: context.time_ms,
        ..before.clone()
    };
    update(rows, context, &before, &record)?;
    Ok(done())
}

/// What a task is after an attempt.
fn ended(task: &TaskRecord, command: &proto::FinishTask, failures: u32) -> TaskState {
    if command.succeeded {
        TaskState::Succeeded
    } else if command.last || (task.failures_max > 0 && failures >= task.failures_max) {
        TaskState::Failed
    } else if task.attempts >= task.attempts_max {
        TaskState::Dead
    } else {
        TaskState::Queued
    }
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
    update(rows, context, &before, &record)?;
    Ok(done())
}

pub(super) fn delete<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::DeleteTask,
) -> Result<Outcome, Stop> {
    let before = require_task(rows, &command.id)?;
    require(!is_live(before.state()), Reason::WrongState)?;
    remove(rows, context, &before)?;
    Ok(done())
}
