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
//! | DeleteSession | | session and name go; its commits stay for whoever collects garbage |

use super::{Context, Outcome, Stop, Transaction, View, done, engines, limits, nodes};
use super::{refuse, refuse_as, require};
use crate::proto::{self, EngineState, Reason, SessionRecord};
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
    Ok(Outcome::SessionClaimed(proto::SessionClaimed {
        fence: record.fence,
        session_id: record.id,
        heap_id: record.heap_id,
        engine_id: record.engine_id,
    }))
}

pub(super) fn delete<V: View>(
    rows: &mut Transaction<V>,
    command: &proto::DeleteSession,
) -> Result<Outcome, Stop> {
    require(limits::random_id(&command.session_id), Reason::Invalid)?;
    let key = table::session(&command.session_id);
    let Some(record) = rows.record::<SessionRecord>(&key)? else {
        return refuse(Reason::NotFound);
    };
    rows.delete(&table::session_name(&record.name))?;
    rows.delete(&key)?;
    Ok(done())
}
