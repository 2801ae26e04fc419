//! Commits and images: the heaps that sessions have had.
//!
//! | command | state | effect |
//! |---|---|---|
//! | CommitHeap | no session of the id | NOT_FOUND |
//! | | the idempotency key made a heap | that heap and its reply, or KEY_REUSED for another request |
//! | | the pointer is at this heap, from this parent and session | it was committed before: the same answer |
//! | | the fence is not the one in force | FENCED, `actual` = that |
//! | | the pointer is not at `parent` | CONFLICT |
//! | | a heap of the id that is another one | EXISTS |
//! | | the parent has no commit, or one of another engine | NOT_FOUND, INVALID |
//! | | a blob that it names is not known | NOT_DURABLE |
//! | | the task that it ends does not run with that fence | TASK_FENCED |
//! | | else | the pointer moves; the heap's record is made unless there is one |
//! | the same without a session | | as above but for pointer and fence; keys belong to the parent |
//! | PutImage | no commit of the heap | NOT_FOUND |
//! | | an image, the same or another | nothing, or EXISTS |
//! | | else | a record |

use super::{Context, Outcome, Stop, Transaction, View, blobs, done, garbage, idempotency, limits};
use super::{refuse, refuse_as, require, tasks};
use crate::proto::{self, CommitRecord, ImageRecord, Reason, SessionRecord};
use crate::state::table;

pub(super) fn commit<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::CommitHeap,
) -> Result<Outcome, Stop> {
    require(is_valid(&command), Reason::Invalid)?;
    if command.session_id.is_empty() {
        return branch(rows, context, command);
    }
    let key = table::session(&command.session_id);
    let Some(mut session) = rows.record::<SessionRecord>(&key)? else {
        return refuse(Reason::NotFound);
    };
    let request = idempotency::Request {
        scope: &command.session_id,
        key: &command.idempotency_key,
        digest: &command.request_digest,
    };
    if let Some(made) = idempotency::made(rows, context, &request)? {
        return replayed(rows, made);
    }
    let known: Option<CommitRecord> = rows.record(&table::commit(&command.heap_id))?;
    if let Some(known) = &known
        && session.heap_id == command.heap_id
        && known.parent == command.parent
        && known.session_id == command.session_id
    {
        return Ok(committed(command.heap_id, known.reply.clone(), true));
    }
    if command.fence != session.fence {
        return refuse_as(Reason::Fenced, session.fence);
    }
    require(session.heap_id == command.parent, Reason::Conflict)?;
    require(session.engine_id == command.engine_id, Reason::Invalid)?;
    idempotency::remember(rows, context, &request, &command.heap_id)?;
    session.commits = session.commits.saturating_add(1);
    session.heap_id.clone_from(&command.heap_id);
    context.principal.clone_into(&mut session.principal);
    rows.put(key, &session)?;
    let heap_id = command.heap_id.clone();
    if known.is_some() {
        // It was there: the session comes to it from elsewhere.
        garbage::hold(rows, &heap_id)?;
        garbage::release(rows, &command.parent, context.time_ms)?;
    }
    // Else the session has left the parent, and the new heap has come to it: its count is as it was.
    let finish = finish_of(&command);
    record(rows, context, command, known, 1)?;
    finish_task(rows, context, finish, &heap_id)?;
    Ok(committed(heap_id, Vec::new(), false))
}

/// A heap that no session's pointer is moved to. Any node may add one: it takes nothing away.
fn branch<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::CommitHeap,
) -> Result<Outcome, Stop> {
    let scope = if command.parent.is_empty() {
        &command.engine_id
    } else {
        &command.parent
    };
    let request = idempotency::Request {
        scope,
        key: &command.idempotency_key,
        digest: &command.request_digest,
    };
    if let Some(made) = idempotency::made(rows, context, &request)? {
        return replayed(rows, made);
    }
    let known: Option<CommitRecord> = rows.record(&table::commit(&command.heap_id))?;
    if let Some(known) = known {
        require(known.parent == command.parent, Reason::Exists)?;
        finish_task(rows, context, finish_of(&command), &command.heap_id)?;
        return Ok(committed(command.heap_id, known.reply, true));
    }
    idempotency::remember(rows, context, &request, &command.heap_id)?;
    let heap_id = command.heap_id.clone();
    garbage::hold(rows, &command.parent)?;
    let finish = finish_of(&command);
    record(rows, context, command, None, 0)?;
    finish_task(rows, context, finish, &heap_id)?;
    Ok(committed(heap_id, Vec::new(), false))
}

/// The end of the task that the run was for.
fn finish_of(command: &proto::CommitHeap) -> Option<proto::FinishTask> {
    let mut finish = command.finish_task.clone()?;
    if finish.report.is_empty() && finish.report_blob.is_empty() {
        finish.report.clone_from(&command.reply);
    }
    Some(finish)
}

/// Ends that task: its effect and its result are kept together, or neither is.
fn finish_task<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    finish: Option<proto::FinishTask>,
    heap_id: &[u8],
) -> Result<(), Stop> {
    let Some(finish) = finish else {
        return Ok(());
    };
    match tasks::finish(rows, context, finish, heap_id) {
        Ok(_) => Ok(()),
        Err(Stop::Refused(refused)) => match refused.reason() {
            Reason::Fenced | Reason::NotFound | Reason::WrongState => {
                refuse_as(Reason::TaskFenced, refused.actual)
            }
            _ => Err(Stop::Refused(refused)),
        },
        Err(stop) => Err(stop),
    }
}

/// Makes the record of a commit, unless it is there and the same.
fn record<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::CommitHeap,
    known: Option<CommitRecord>,
    references: u64,
) -> Result<(), Stop> {
    if let Some(known) = known {
        let same = known.parent == command.parent
            && known.engine_id == command.engine_id
            && known.delta == command.delta
            && known.delta_blob == command.delta_blob;
        return require(same, Reason::Exists);
    }
    let number = match command.parent.is_empty() {
        true => 0,
        false => match rows.record::<CommitRecord>(&table::commit(&command.parent))? {
            Some(parent) => {
                require(parent.engine_id == command.engine_id, Reason::Invalid)?;
                parent.number
            }
            None => return refuse(Reason::NotFound),
        },
    };
    blobs::refer(rows, &command.delta_blob)?;
    blobs::refer(rows, &command.record_blob)?;
    let key = table::commit(&command.heap_id);
    let mut record = CommitRecord {
        heap_id: command.heap_id,
        parent: command.parent,
        engine_id: command.engine_id,
        delta: command.delta,
        delta_blob: command.delta_blob,
        reply: command.reply,
        code: command.code,
        language: command.language,
        committed_ms: context.time_ms,
        principal: context.principal.to_owned(),
        session_id: command.session_id,
        record_blob: command.record_blob,
        number: number.saturating_add(1),
        references,
        loose_ms: 0,
    };
    if references == 0 {
        garbage::loosen(rows, &mut record, context.time_ms)?;
    }
    Ok(rows.put(key, &record)?)
}

fn replayed<V: View>(rows: &mut Transaction<V>, made: Vec<u8>) -> Result<Outcome, Stop> {
    let known: Option<CommitRecord> = rows.record(&table::commit(&made))?;
    let reply = known.map(|known| known.reply).unwrap_or_default();
    Ok(committed(made, reply, true))
}

fn committed(heap_id: Vec<u8>, reply: Vec<u8>, replayed: bool) -> Outcome {
    Outcome::HeapCommitted(proto::HeapCommitted {
        heap_id,
        reply,
        replayed,
    })
}

fn is_valid(command: &proto::CommitHeap) -> bool {
    (limits::random_id(&command.session_id) || command.session_id.is_empty())
        && limits::id(&command.heap_id)
        && command.parent.len() <= limits::ID_BYTES_MAX
        && command.parent != command.heap_id
        && limits::id(&command.engine_id)
        && command.delta.is_empty() != command.delta_blob.is_empty()
        && command.delta.len() <= limits::DELTA_BYTES_MAX
        && limits::optional_blob_hash(&command.delta_blob)
        && limits::optional_blob_hash(&command.record_blob)
        && command.reply.len() <= limits::REPLY_BYTES_MAX
        && command.code.len() <= limits::CODE_BYTES_MAX
        && limits::text(&command.language)
        && limits::text(&command.idempotency_key)
        && limits::digest(&command.request_digest)
}

pub(super) fn put_image<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::PutImage,
) -> Result<Outcome, Stop> {
    let fits = limits::id(&command.heap_id)
        && limits::blob_hash(&command.blob)
        && limits::id(&command.engine_id);
    require(fits, Reason::Invalid)?;
    let commit: Option<CommitRecord> = rows.record(&table::commit(&command.heap_id))?;
    let Some(commit) = commit else {
        return refuse(Reason::NotFound);
    };
    require(commit.engine_id == command.engine_id, Reason::Invalid)?;
    let key = table::image(&command.heap_id);
    if let Some(known) = rows.record::<ImageRecord>(&key)? {
        let same = known.blob == command.blob && known.size == command.size;
        require(same, Reason::Exists)?;
        return Ok(done());
    }
    blobs::refer(rows, &command.blob)?;
    let record = ImageRecord {
        heap_id: command.heap_id,
        blob: command.blob,
        size: command.size,
        engine_id: command.engine_id,
        created_ms: context.time_ms,
        principal: context.principal.to_owned(),
    };
    rows.put(key, &record)?;
    Ok(done())
}
