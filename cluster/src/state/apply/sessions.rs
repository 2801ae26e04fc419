//! Sessions: which node runs them, and where they stand.
//!
//! | command | state | effect |
//! |---|---|---|
//! | ClaimSession | the life of the claimer is over | STALE_INCARNATION |
//! | | no session of the name; engine not allowed | NOT_FOUND or WRONG_STATE |
//! | | no session of the name | a session at the engine's base image; the fence is the log index |
//! | | the claimer's already | the same fence |
//! | | another's, who lives and claimed it less than 2 s ago | CLAIMED_RECENTLY, `actual` = that node |
//! | | another's | the claimer's; the fence is the log index |
//! | | its engine is retired | WRONG_STATE |
//! | CreateSession | a session of the name, or of the id | EXISTS |
//! | | the heap has no commit, or one of another engine | NOT_FOUND, INVALID |
//! | | else | a session at that heap, without an owner |
//! | MoveSession | the pointer is not at `if_heap` | CONFLICT |
//! | | the heap has no commit, or one of another engine | NOT_FOUND, INVALID |
//! | | else | the pointer moves, and the log index is the fence: what its owner still runs is not kept |
//! | RenameSession | another session of the name | EXISTS, or with `replace` that one goes |
//! | | else | the name |
//! | DeleteSession | with `if_heap`, and it stands elsewhere | CONFLICT |
//! | | else | session and name go; its commits stay for whoever collects garbage |

use super::{Context, Outcome, Stop, Transaction, View, done, engines, garbage, limits, nodes};
use super::{refuse, refuse_as, require};
use crate::proto::{self, CommitRecord, EngineState, Reason, SessionRecord};
use crate::state::table;

/// Within this time after a claim only the end of the owner's life lets another node claim, in ms.
const CLAIM_PERIOD_MS: u64 = 2000;

pub(super) fn claim<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::ClaimSession,
) -> Result<Outcome, Stop> {
    require(limits::name(&command.name), Reason::Invalid)?;
    nodes::require_life(rows, command.node, command.incarnation)?;
    let name_key = table::session_name(&command.name);
    let known = match rows.get(&name_key)? {
        None => None,
        Some(id) => rows.record::<SessionRecord>(&table::session(&id))?,
    };
    let mut record = match known {
        Some(record) => record,
        None => {
            let fits = limits::random_id(&command.session_id) && limits::id(&command.engine_id);
            require(fits, Reason::Invalid)?;
            let Some(engine) = engines::get(rows, &command.engine_id)? else {
                return refuse(Reason::NotFound);
            };
            require(engine.state() == EngineState::Allowed, Reason::WrongState)?;
            let taken = rows.contains(&table::session(&command.session_id))?;
            require(!taken, Reason::Exists)?;
            rows.put_bytes(name_key, command.session_id.clone().into())?;
            SessionRecord {
                id: command.session_id,
                name: command.name,
                engine_id: command.engine_id,
                created_ms: context.time_ms,
                ..SessionRecord::default()
            }
        }
    };
    let engine = engines::get(rows, &record.engine_id)?;
    let retired = engine.is_some_and(|engine| engine.state() == EngineState::Retired);
    require(!retired, Reason::WrongState)?;

    let own = record.owner_node == command.node && record.owner_incarnation == command.incarnation;
    if !own {
        // In both directions: a clock that was ahead must not keep a session for hours.
        let recent = context.time_ms.abs_diff(record.claimed_ms) < CLAIM_PERIOD_MS;
        if recent
            && record.fence > 0
            && nodes::lives(rows, record.owner_node, record.owner_incarnation)?
        {
            return refuse_as(Reason::ClaimedRecently, record.owner_node);
        }
        record.owner_node = command.node;
        record.owner_incarnation = command.incarnation;
        record.fence = context.index;
        record.claimed_ms = context.time_ms;
        context.principal.clone_into(&mut record.principal);
        rows.put(table::session(&record.id), &record)?;
    }
    Ok(claimed(record))
}

pub(super) fn create<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::CreateSession,
) -> Result<Outcome, Stop> {
    let fits = limits::name(&command.name)
        && limits::random_id(&command.session_id)
        && limits::id(&command.engine_id)
        && command.heap_id.len() <= limits::ID_BYTES_MAX;
    require(fits, Reason::Invalid)?;
    let Some(engine) = engines::get(rows, &command.engine_id)? else {
        return refuse(Reason::NotFound);
    };
    // A branch of what runs in an old engine is no new work for it.
    let allowed = match command.heap_id.is_empty() {
        true => engine.state() == EngineState::Allowed,
        false => engine.state() != EngineState::Retired,
    };
    require(allowed, Reason::WrongState)?;
    let (name_key, key) = (
        table::session_name(&command.name),
        table::session(&command.session_id),
    );
    let taken = rows.contains(&name_key)? || rows.contains(&key)?;
    require(!taken, Reason::Exists)?;
    require_heap(rows, &command.heap_id, &command.engine_id)?;
    garbage::hold(rows, &command.heap_id)?;
    rows.put_bytes(name_key, command.session_id.clone().into())?;
    let record = SessionRecord {
        id: command.session_id,
        name: command.name,
        heap_id: command.heap_id,
        engine_id: command.engine_id,
        fence: context.index,
        created_ms: context.time_ms,
        principal: context.principal.to_owned(),
        ..SessionRecord::default()
    };
    rows.put(key, &record)?;
    Ok(claimed(record))
}

pub(super) fn move_to<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::MoveSession,
) -> Result<Outcome, Stop> {
    let fits =
        limits::random_id(&command.session_id) && command.heap_id.len() <= limits::ID_BYTES_MAX;
    require(fits, Reason::Invalid)?;
    let key = table::session(&command.session_id);
    let Some(mut record) = rows.record::<SessionRecord>(&key)? else {
        return refuse(Reason::NotFound);
    };
    if let Some(expected) = &command.if_heap {
        require(record.heap_id == *expected, Reason::Conflict)?;
    }
    require_heap(rows, &command.heap_id, &record.engine_id)?;
    garbage::hold(rows, &command.heap_id)?;
    garbage::release(rows, &record.heap_id, context.time_ms)?;
    record.heap_id = command.heap_id;
    record.fence = context.index;
    context.principal.clone_into(&mut record.principal);
    rows.put(key, &record)?;
    Ok(claimed(record))
}

pub(super) fn rename<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::RenameSession,
) -> Result<Outcome, Stop> {
    let fits = limits::random_id(&command.session_id) && limits::name(&command.name);
    require(fits, Reason::Invalid)?;
    let key = table::session(&command.session_id);
    let Some(mut record) = rows.record::<SessionRecord>(&key)? else {
        return refuse(Reason::NotFound);
    };
    if record.name == command.name {
        return Ok(claimed(record));
    }
    let name_key = table::session_name(&command.name);
    if let Some(other) = rows.get(&name_key)? {
        require(command.replace, Reason::Exists)?;
        let other_key = table::session(&other);
        if let Some(other) = rows.record::<SessionRecord>(&other_key)? {
            garbage::release(rows, &other.heap_id, context.time_ms)?;
        }
        rows.delete(&other_key)?;
    }
    rows.delete(&table::session_name(&record.name))?;
    rows.put_bytes(name_key, command.session_id.into())?;
    record.name = command.name;
    context.principal.clone_into(&mut record.principal);
    rows.put(key, &record)?;
    Ok(claimed(record))
}

/// A heap that there is, of the engine; none is the engine's base image.
fn require_heap<V: View>(
    rows: &mut Transaction<V>,
    heap: &[u8],
    engine: &[u8],
) -> Result<(), Stop> {
    if heap.is_empty() {
        return Ok(());
    }
    match rows.record::<CommitRecord>(&table::commit(heap))? {
        Some(commit) => require(commit.engine_id == engine, Reason::Invalid),
        None => refuse(Reason::NotFound),
    }
}

fn claimed(record: SessionRecord) -> Outcome {
    Outcome::SessionClaimed(proto::SessionClaimed {
        fence: record.fence,
        session_id: record.id,
        heap_id: record.heap_id,
        engine_id: record.engine_id,
    })
}

pub(super) fn delete<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::DeleteSession,
) -> Result<Outcome, Stop> {
    require(limits::random_id(&command.session_id), Reason::Invalid)?;
    let key = table::session(&command.session_id);
    let Some(record) = rows.record::<SessionRecord>(&key)? else {
        return refuse(Reason::NotFound);
    };
    let stands = command
        .if_heap
        .as_ref()
        .is_none_or(|heap| *heap == record.heap_id);
    require(stands, Reason::Conflict)?;
    garbage::release(rows, &record.heap_id, context.time_ms)?;
    rows.delete(&table::session_name(&record.name))?;
    rows.delete(&key)?;
    Ok(done())
}
