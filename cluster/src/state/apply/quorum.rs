//! The members as rows: the membership in force, and the mark of node ids.
//!
//! | entry | effect |
//! |---|---|
//! | membership | becomes the row; the mark rises above each id in it |

use bytes::Bytes;
use prost::Message as _;

use super::{StoreError, Transaction, View};
use crate::proto;
use crate::state::table;
use crate::types::StoredMembership;

/// Sets the membership.
pub(super) fn put_membership<V: View>(
    rows: &mut Transaction<V>,
    stored: &StoredMembership,
) -> Result<(), StoreError> {
    rows.put(table::membership(), &proto::StoredMembership::from(stored))?;
    let next = next_node(rows)?;
    let above = stored
        .nodes()
        .map(|(id, _)| id.saturating_add(1))
        .max()
        .unwrap_or(0);
    if above > next {
        set_next_node(rows, above)?;
    }
    Ok(())
}

/// The members in force; none before the first.
pub(super) fn membership<V: View>(
    rows: &mut Transaction<V>,
) -> Result<Option<proto::Membership>, StoreError> {
    let stored: Option<proto::StoredMembership> = rows.record(&table::membership())?;
    Ok(stored.and_then(|stored| stored.membership))
}

/// Whether the nodes are a majority of the voters: of both sets while the members change.
pub(super) fn is_majority<V: View>(
    rows: &mut Transaction<V>,
    nodes: &[u64],
) -> Result<bool, StoreError> {
    let Some(membership) = membership(rows)? else {
        return Ok(false);
    };
    let majority_of = |set: &proto::VoterSet| {
        let held = set.nodes.iter().filter(|voter| nodes.contains(voter));
        held.count() > set.nodes.len() / 2
    };
    Ok(!membership.voters.is_empty() && membership.voters.iter().all(majority_of))
}

/// The id that the next node gets: larger than all there ever were.
pub(super) fn next_node<V: View>(rows: &mut Transaction<V>) -> Result<u64, StoreError> {
    let key = table::next_node();
    match rows.get(&key)? {
        None => Ok(1),
        Some(value) => u64::decode(value).map_err(|source| StoreError::malformed(&key, source)),
    }
}

/// Moves the mark.
pub(super) fn set_next_node<V: View>(
    rows: &mut Transaction<V>,
    next: u64,
) -> Result<(), StoreError> {
    rows.put_bytes(table::next_node(), Bytes::from(next.encode_to_vec()))
}
