//! Nodes.
//!
//! | command | state | effect |
//! |---|---|---|
//! | RegisterNode | name is free | a record with the next id; with `node`: that id, if it is a member's without a record |
//! | | name has the same directory | the address is renewed; the same id |
//! | | name or directory is another's | EXISTS, `actual` = the id |
//! | NodeUp | incarnation is older | STALE_INCARNATION, `actual` = the one in force |
//! | | the same or newer | alive; what was remembered of older lives' proposals goes |
//! | NodeDown | incarnation is the one in force | not alive |
//! | | another | STALE_INCARNATION |
//! | SetNodeDraining | | the flag |
//! | RemoveNode | member | WRONG_STATE |
//! | | else | record, name and remembered proposals go; the id is never given again |
//!
//! A node that was taken for dead says NodeUp with the same incarnation: it lives on. Its claims may be
//! others' by then, which their fences tell. NodeDown touches no session and no task, however many the
//! node had: `sessions` and `tasks` look whether the owner's life is over when somebody wants them.

use prost::Message as _;

use super::{Context, Outcome, Stop, Transaction, View, done, limits, quorum, refuse_as, require};
use super::{refuse, settlement};
use crate::ids::NodeName;
use crate::proto::{self, NodeRecord, Reason};
use crate::state::{StoreError, table};

/// So many nodes may be registered at a time.
const NODES_MAX: usize = 1024;

/// The node's record.
pub(super) fn get<V: View>(
    rows: &mut Transaction<V>,
    id: u64,
) -> Result<Option<NodeRecord>, StoreError> {
    rows.record(&table::node(id))
}

/// Whether this life of the node goes on, as far as is known.
pub(super) fn lives<V: View>(
    rows: &mut Transaction<V>,
    id: u64,
    incarnation: u64,
) -> Result<bool, StoreError> {
    let record = get(rows, id)?;
    Ok(record.is_some_and(|record| record.alive && record.incarnation == incarnation))
}

/// Refuses what is asked for another life than the one that goes on.
pub(super) fn require_life<V: View>(
    rows: &mut Transaction<V>,
    id: u64,
    incarnation: u64,
) -> Result<(), Stop> {
    if lives(rows, id, incarnation)? {
        return Ok(());
    }
    let actual = get(rows, id)?.map_or(0, |record| record.incarnation);
    refuse_as(Reason::StaleIncarnation, actual)
}

fn id_by_name<V: View>(rows: &mut Transaction<V>, name: &str) -> Result<Option<u64>, StoreError> {
    let key = table::node_name(name);
    match rows.get(&key)? {
        None => Ok(None),
        Some(value) => u64::decode(value)
            .map(Some)
            .map_err(|source| StoreError::malformed(&key, source)),
    }
}

pub(super) fn register<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::RegisterNode,
) -> Result<Outcome, Stop> {
    let fits = command.name.parse::<NodeName>().is_ok()
        && limits::text(&command.address)
        && limits::random_id(&command.directory_id)
        && command.node != Some(0);
    require(fits, Reason::Invalid)?;
    let registered = |node| Outcome::NodeRegistered(proto::NodeRegistered { node });

    if let Some(id) = id_by_name(rows, &command.name)? {
        let Some(record) = get(rows, id)? else {
            return refuse_as(Reason::Exists, id);
        };
        let same = record.directory_id == command.directory_id
            && command.node.is_none_or(|wanted| wanted == id);
        if !same {
            return refuse_as(Reason::Exists, id);
        }
        let record = NodeRecord {
            address: command.address,
            changed_ms: context.time_ms,
            principal: context.principal.to_owned(),
            ..record
        };
        rows.put(table::node(id), &record)?;
        return Ok(registered(id));
    }

    let known = rows.keys_before(
        &table::Table::Nodes.key(&[]),
        &table::Table::Nodes.end(),
        NODES_MAX,
    )?;
    require(known.len() < NODES_MAX, Reason::WrongState)?;
    for key in known {
        let record: Option<NodeRecord> = rows.record(&key)?;
        if let Some(other) = record.filter(|other| other.directory_id == command.directory_id) {
            return refuse_as(Reason::Exists, other.id);
        }
    }

    let id = match command.node {
        Some(id) => {
            if rows.contains(&table::node(id))? {
                return refuse_as(Reason::Exists, id);
            }
            let membership = quorum::membership(rows)?;
            let planned = membership.is_some_and(|members| members.members.contains_key(&id));
            require(planned, Reason::WrongState)?;
            id
        }
        None => {
            let id = quorum::next_node(rows)?;
            let Some(next) = id.checked_add(1) else {
                return refuse(Reason::WrongState);
            };
            quorum::set_next_node(rows, next)?;
            id
        }
    };
    let record = NodeRecord {
        id,
        name: command.name,
        address: command.address,
        directory_id: command.directory_id,
        changed_ms: context.time_ms,
        principal: context.principal.to_owned(),
        ..NodeRecord::default()
    };
    rows.put_bytes(table::node_name(&record.name), id.encode_to_vec().into())?;
    rows.put(table::node(id), &record)?;
    Ok(registered(id))
}

pub(super) fn up<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::NodeUp,
) -> Result<Outcome, Stop> {
    let fits = command.incarnation > 0
        && limits::text(&command.address)
        && limits::text(&command.version)
        && limits::text(&command.cpu_baseline)
        && limits::text(&command.http_address)
        && command.engine_id.len() <= limits::ID_BYTES_MAX;
    require(fits, Reason::Invalid)?;
    let Some(record) = get(rows, command.node)? else {
        return refuse(Reason::NotFound);
    };
    if command.incarnation < record.incarnation {
        return refuse_as(Reason::StaleIncarnation, record.incarnation);
    }
    settlement::forget(rows, command.node, Some(command.incarnation))?;
    let record = NodeRecord {
        incarnation: command.incarnation,
        alive: true,
        address: command.address,
        version: command.version,
        cpu_baseline: command.cpu_baseline,
        engine_id: command.engine_id,
        http_address: command.http_address,
        level: command.level,
        changed_ms: context.time_ms,
        principal: context.principal.to_owned(),
        ..record
    };
    rows.put(table::node(record.id), &record)?;
    Ok(done())
}

pub(super) fn down<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::NodeDown,
) -> Result<Outcome, Stop> {
    let Some(mut record) = get(rows, command.node)? else {
        return refuse(Reason::NotFound);
    };
    if command.incarnation != record.incarnation {
        return refuse_as(Reason::StaleIncarnation, record.incarnation);
    }
    if record.alive {
        record.alive = false;
        record.changed_ms = context.time_ms;
        context.principal.clone_into(&mut record.principal);
        rows.put(table::node(record.id), &record)?;
    }
    Ok(done())
}

pub(super) fn set_draining<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: &proto::SetNodeDraining,
) -> Result<Outcome, Stop> {
    let Some(mut record) = get(rows, command.node)? else {
        return refuse(Reason::NotFound);
    };
    if record.draining != command.draining {
        record.draining = command.draining;
        record.changed_ms = context.time_ms;
        context.principal.clone_into(&mut record.principal);
        rows.put(table::node(record.id), &record)?;
    }
    Ok(done())
}

pub(super) fn remove<V: View>(
    rows: &mut Transaction<V>,
    command: &proto::RemoveNode,
) -> Result<Outcome, Stop> {
    let Some(record) = get(rows, command.node)? else {
        return refuse(Reason::NotFound);
    };
    let membership = quorum::membership(rows)?;
    let member = membership.is_some_and(|members| members.members.contains_key(&record.id));
    require(!member, Reason::WrongState)?;
    settlement::forget(rows, record.id, None)?;
    rows.delete(&table::node_name(&record.name))?;
    rows.delete(&table::node(record.id))?;
    Ok(done())
}
