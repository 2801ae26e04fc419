//! The rows of a task: its record, where it stands among the others, and how many there are.

use bytes::Bytes;

use super::StoreError;
use super::{Context, Stop, Transaction, View, blobs, garbage};
use crate::proto::{TaskCounts, TaskRecord, TaskState};
use crate::state::table;

/// Whether it is still to run, runs, or makes others.
pub(super) fn is_live(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Scheduled | TaskState::Queued | TaskState::Running
    )
}

/// How many there are.
pub(super) fn counts<V: View>(rows: &mut Transaction<V>) -> Result<TaskCounts, StoreError> {
    Ok(rows.record(&table::task_counts())?.unwrap_or_default())
}

fn count(counts: &mut TaskCounts, state: TaskState) -> &mut u64 {
    match state {
        TaskState::Scheduled => &mut counts.scheduled,
        TaskState::Queued => &mut counts.queued,
        TaskState::Running => &mut counts.running,
        _ => &mut counts.ended,
    }
}

fn place(task: &TaskRecord) -> Bytes {
    match is_live(task.state()) {
        true => table::live_task(task.state as u8, task.run_at_ms, &task.id),
        false => table::ended_task(task.changed_ms, &task.id),
    }
}

/// Writes a new task.
pub(super) fn insert<V: View>(rows: &mut Transaction<V>, record: &TaskRecord) -> Result<(), Stop> {
    garbage::hold(rows, &record.parent_heap)?;
    let mut counts = counts(rows)?;
    *count(&mut counts, record.state()) += 1;
    rows.put(table::task_counts(), &counts)?;
    rows.put_bytes(
        table::newest_task(record.created_ms, &record.id),
        Bytes::new(),
    )?;
    rows.put_bytes(place(record), Bytes::new())?;
    Ok(rows.put(table::task(&record.id), record)?)
}

/// Writes what a task is now.
pub(super) fn update<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    before: &TaskRecord,
    record: &TaskRecord,
) -> Result<(), StoreError> {
    if before.state != record.state {
        let mut counts = counts(rows)?;
        let less = count(&mut counts, before.state());
        *less = less.saturating_sub(1);
        *count(&mut counts, record.state()) += 1;
        rows.put(table::task_counts(), &counts)?;
    }
    if is_live(before.state()) && !is_live(record.state()) {
        garbage::release(rows, &record.parent_heap, context.time_ms)?;
    }
    rows.delete(&place(before))?;
    rows.put_bytes(place(record), Bytes::new())?;
    rows.put(table::task(&record.id), record)
}

/// Removes a task that has ended, and names its blobs and its heap once less.
pub(super) fn remove<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    record: &TaskRecord,
) -> Result<(), Stop> {
    let mut counts = counts(rows)?;
    let less = count(&mut counts, record.state());
    *less = less.saturating_sub(1);
    rows.put(table::task_counts(), &counts)?;
    rows.delete(&table::newest_task(record.created_ms, &record.id))?;
    rows.delete(&place(record))?;
    rows.delete(&table::task(&record.id))?;
    blobs::unrefer(rows, context, &record.request_blob)?;
    blobs::unrefer(rows, context, &record.report_blob)?;
    Ok(garbage::release(rows, &record.heap_id, context.time_ms)?)
}
