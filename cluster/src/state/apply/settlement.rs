//! Proposals that are sent again take effect once (Raft dissertation, section 6.3).
//!
//! A life of a node numbers its proposals. Answers are remembered until the node says that it has settled
//! them; then they go, a floor remains, and what is below it is refused.
//!
//! | proposal | state | effect |
//! |---|---|---|
//! | no origin | | applied, nothing remembered |
//! | sequence 0, floor above sequence, or too far above the floor | | INVALID |
//! | of a life that is not known | a newer life is in force | STALE_INCARNATION |
//! | | the node has no record | RegisterNode and NodeUp are applied, which do no harm twice; others: STALE_INCARNATION |
//! | | else | applied; the life is known from now on |
//! | of a known life | below the floor | SETTLED |
//! | | remembered | the same answer again |
//! | | else | applied and remembered; the floor rises, what is below goes |
//!
//! A newer NodeUp and RemoveNode forget a life: what still comes from it finds the record of the node.

use bytes::Bytes;

use super::{Reply, StoreError, Transaction, View, nodes};
use crate::proto::command::Kind;
use crate::proto::{Origin, Reason, SettlementRecord, SettlementSessionRecord};
use crate::state::table::{self, end_of_prefix};

/// A node may have so many proposals whose answers it has not settled.
const UNSETTLED_MAX: u64 = 65_536;
/// A command forgets rows in steps of so many.
const STEP_ROWS: usize = 1024;

/// What is to be done with a proposal.
pub(super) enum Admission {
    /// Its answer is known.
    Answered(Reply),
    /// It is applied and not remembered.
    WithoutMemory,
    /// It is applied and remembered.
    Proposal(Proposal),
}

/// A proposal that takes effect now.
pub(super) struct Proposal {
    origin: Origin,
    session: SettlementSessionRecord,
}

/// Looks whether a proposal is to be applied.
pub(super) fn admit<V: View>(
    rows: &mut Transaction<V>,
    origin: &Origin,
    kind: &Kind,
) -> Result<Admission, StoreError> {
    let refuse = |reason, actual| Ok(Admission::Answered(Reply::refused(reason, actual)));
    if origin.sequence == 0 || origin.settled_below > origin.sequence {
        return refuse(Reason::Invalid, 0);
    }
    let key = table::settlement_session(origin.node, origin.incarnation);
    let known: Option<SettlementSessionRecord> = rows.record(&key)?;
    let session = match known {
        Some(session) => session,
        None => match nodes::get(rows, origin.node)? {
            Some(record) if origin.incarnation < record.incarnation => {
                return refuse(Reason::StaleIncarnation, record.incarnation);
            }
            Some(_) => SettlementSessionRecord {
                settled_below: origin.settled_below,
                highest: 0,
            },
            None if matches!(kind, Kind::RegisterNode(_) | Kind::NodeUp(_)) => {
                return Ok(Admission::WithoutMemory);
            }
            None => return refuse(Reason::StaleIncarnation, 0),
        },
    };
    if origin.sequence < session.settled_below {
        return refuse(Reason::Settled, session.settled_below);
    }
    let floor = session.settled_below.max(origin.settled_below);
    if origin.sequence - floor >= UNSETTLED_MAX {
        return refuse(Reason::Invalid, floor);
    }
    // Most proposals are the highest yet: nothing needs to be looked for.
    if origin.sequence <= session.highest {
        let key = table::settlement(origin.node, origin.incarnation, origin.sequence);
        let remembered: Option<SettlementRecord> = rows.record(&key)?;
        if let Some(reply) = remembered.and_then(|record| record.reply) {
            return Ok(Admission::Answered(reply));
        }
    }
    Ok(Admission::Proposal(Proposal {
        origin: *origin,
        session,
    }))
}

/// Keeps the answer, and lets go of what the node has settled.
pub(super) fn remember<V: View>(
    rows: &mut Transaction<V>,
    proposal: &Proposal,
    reply: &Reply,
) -> Result<(), StoreError> {
    let Proposal { origin, session } = proposal;
    // The command itself may have ended this life: then it has read the node's record, and nothing is kept.
    if rows.was_read(&table::node(origin.node)) {
        let record = nodes::get(rows, origin.node)?;
        if record.is_none_or(|record| record.incarnation > origin.incarnation) {
            return Ok(());
        }
    }
    let row = |sequence| table::settlement(origin.node, origin.incarnation, sequence);
    let floor = session.settled_below.max(origin.settled_below);
    // No answer of a number above the highest is remembered.
    for sequence in session.settled_below..floor.min(session.highest.saturating_add(1)) {
        rows.delete(&row(sequence))?;
    }
    rows.put(
        row(origin.sequence),
        &SettlementRecord {
            reply: Some(reply.clone()),
        },
    )?;
    rows.put(
        table::settlement_session(origin.node, origin.incarnation),
        &SettlementSessionRecord {
            settled_below: floor,
            highest: session.highest.max(origin.sequence),
        },
    )
}

/// Forgets the node's lives before an incarnation, or all.
pub(super) fn forget<V: View>(
    rows: &mut Transaction<V>,
    node: u64,
    before: Option<u64>,
) -> Result<(), StoreError> {
    let first = table::settlement_sessions(node);
    let end = match before {
        Some(incarnation) => table::settlement_session(node, incarnation),
        None => end_of_prefix(&first),
    };
    delete_range(rows, first, &end)?;
    let first = table::settlement(node, 0, 0);
    let end = match before {
        Some(incarnation) => table::settlement(node, incarnation, 0),
        None => end_of_prefix(&table::Table::Settlements.key(&[&node.to_be_bytes()])),
    };
    delete_range(rows, first, &end)
}

/// Ends since each life has at most `UNSETTLED_MAX` rows.
fn delete_range<V: View>(
    rows: &mut Transaction<V>,
    mut from: Bytes,
    to: &[u8],
) -> Result<(), StoreError> {
    loop {
        let keys = rows.keys_before(&from, to, STEP_ROWS)?;
        for key in &keys {
            rows.delete(key)?;
        }
        match keys.last() {
            // The next key after one is that with a zero behind it.
            Some(last) if keys.len() == STEP_ROWS => from = [&last[..], &[0]].concat().into(),
            _ => return Ok(()),
        }
    }
}
