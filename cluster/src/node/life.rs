//! What a member does all its life: it makes itself known, reports, and watches over the others and itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver as _;
use tokio::time::MissedTickBehavior;

use super::core::{Core, MemberParts};
use super::phase::Failure;
use super::propose::now_ms;
use crate::leader::{IdleSessions, Retention};
use crate::peers::Purpose;
use crate::proto::command::Kind;
use crate::proto::report_reply::Standing;
use crate::proto::{
    NodeDown, NodeUp, PromoteRequest, Reason, RegisterNode, ReportRequest, peer_client::PeerClient,
    reply::Outcome,
};
use crate::state::LEVEL;
use crate::types::Member;

/// How long one proposal of a loop may take before the loop looks around again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reports and looks for the dead come so often in one lease.
const BEATS_PER_LEASE: u32 = 5;
/// Garbage is looked for so often, at the most and at the least.
const GARBAGE_PERIOD_MIN: Duration = Duration::from_millis(200);
const GARBAGE_PERIOD_MAX: Duration = Duration::from_secs(60);
/// Idle sessions are looked for so often at the least.
const IDLE_PERIOD_MAX: Duration = Duration::from_secs(3600);
/// So many commands collect garbage before the loop rests.
const GARBAGE_ROUNDS_MAX: u32 = 100;
/// Before a call that failed is tried again.
const RETRY: Duration = Duration::from_millis(300);

/// Makes this life known: the node's record, its address and its version. Tries until it is.
pub(super) async fn come_up(core: Arc<Core>) {
    let member = core.member.get().expect("a member comes up");
    let marker = core.home.marker();
    let register = RegisterNode {
        name: marker.name.to_string(),
        address: core.address.clone(),
        directory_id: marker.directory_id.to_vec(),
        node: Some(member.node),
    };
    let facts = &core.options.facts;
    let up = NodeUp {
        node: member.node,
        incarnation: core.incarnation,
        address: core.address.clone(),
        version: facts.version.clone(),
        cpu_baseline: facts.cpu_baseline.clone(),
        engine_id: facts.engine_id.clone(),
        http_address: facts.http_address.clone(),
        level: LEVEL,
    };
    for kind in [Kind::RegisterNode(register), Kind::NodeUp(up)] {
        loop {
            let written = core
                .propose(kind.clone(), "", Instant::now() + PATIENCE)
                .await;
            match written.map(|committed| committed.reply.outcome) {
                Ok(Some(Outcome::Refused(refused))) => {
                    let gone = [Reason::NotFound, Reason::WrongState].map(i32::from);
                    if gone.contains(&refused.reason) {
                        return core.fail(Failure::Removed { node: member.node });
                    }
                    if refused.reason == i32::from(Reason::Exists) {
                        let (name, node) = (marker.name.clone(), refused.actual);
                        return core.fail(Failure::Known { name, node });
                    }
                    tracing::warn!(
                        reason = refused.reason,
                        "the node's life is not recorded yet"
                    );
                    tokio::time::sleep(RETRY).await;
                }
                Ok(_) => break,
                Err(error) => {
                    tracing::info!(%error, "waiting for a leader");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Tells the leader that this node lives, and does what the leader says of it.
pub(super) async fn report_loop(core: Arc<Core>) {
    come_up(Arc::clone(&core)).await;
    let member = core.member.get().expect("a member reports");
    let mut beat = tokio::time::interval(core.liveness.lease() / BEATS_PER_LEASE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let standing = report(&core, member).await;
        if standing == Some(Standing::Alive) {
            core.confirmed.send_replace(Some(Instant::now()));
        }
        match standing {
            Some(Standing::Down) => come_up(Arc::clone(&core)).await,
            Some(Standing::Removed) => return core.fail(Failure::Removed { node: member.node }),
            Some(Standing::Alive | Standing::Unspecified) | None => {}
        }
    }
}

async fn report(core: &Core, member: &MemberParts) -> Option<Standing> {
    let leader = member.leader.known()?.node;
    let load = *core.load.borrow();
    if leader == member.node {
        let now = Instant::now();
        core.liveness
            .report(member.node, core.incarnation, load, now);
        // The leader declares everybody dead but itself; another one may have done so before.
        let record = core.state.known_node(member.node)?;
        // Without a majority another node may lead by now.
        let silent = core.status().quorum_silent_for;
        if silent.is_some_and(|silent| silent > core.liveness.lease() / 2) {
            return None;
        }
        return Some(if record.alive {
            Standing::Alive
        } else {
            Standing::Down
        });
    }
    let channel = core.peers.channel(leader, Purpose::Forward).ok()?;
    let request = ReportRequest {
        node: member.node,
        incarnation: core.incarnation,
        applied_index: core.state.applied().map_or(0, |log_id| log_id.index),
        task_slots: load.task_slots,
        load: load.runs,
        disk: load.disk as u32,
    };
    let mut client = PeerClient::new(channel);
    let call = client.report(request);
    match tokio::time::timeout(core.liveness.lease() / BEATS_PER_LEASE, call).await {
        Ok(Ok(reply)) => Some(reply.into_inner().standing()),
        Ok(Err(status)) => {
            tracing::debug!(leader, %status, "the leader takes no report");
            None
        }
        Err(_) => None,
    }
}

/// As the leader: declares lives over that were silent for a lease.
pub(super) async fn liveness_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member watches");
    let mut beat = tokio::time::interval(core.liveness.lease() / BEATS_PER_LEASE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let Some(leader) = member
            .leader
            .known()
            .filter(|leader| leader.node == member.node)
        else {
            continue;
        };
        let records = core.state.known_nodes();
        let expired = core
            .liveness
            .expired(leader.term, &records, member.node, Instant::now());
        for (node, incarnation) in expired {
            tracing::warn!(
                node,
                incarnation,
                "a node was silent for its lease: its life is over"
            );
            let down = Kind::NodeDown(NodeDown { node, incarnation });
            if let Err(error) = core.propose(down, "", Instant::now() + PATIENCE).await {
                tracing::warn!(node, %error, "a node's death is not recorded yet");
            }
        }
    }
}

/// As the leader: has removed what nothing needs any more.
pub(super) async fn garbage_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member collects");
    let retention = Retention {
        heap_ttl: core.options.heap_ttl,
        task_ttl: core.options.task_ttl,
        tasks_kept_max: core.options.tasks_kept_max,
    };
    let period = (retention.heap_ttl / 4).clamp(GARBAGE_PERIOD_MIN, GARBAGE_PERIOD_MAX);
    let mut beat = tokio::time::interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let mut rounds = 0;
        while rounds < GARBAGE_ROUNDS_MAX
            && member
                .leader
                .known()
                .is_some_and(|leader| leader.node == member.node)
        {
            let due = match retention.due(&core.state, now_ms()).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "garbage can't be looked for");
                    break;
                }
            };
            if due.is_empty() {
                break;
            }
            for kind in due {
                if let Err(error) = core.propose(kind, "", Instant::now() + PATIENCE).await {
                    tracing::warn!(%error, "garbage is not collected yet");
                }
            }
            rounds += 1;
        }
    }
}

/// As the leader: has sessions deleted that nobody has used for long.
pub(super) async fn idle_loop(core: Arc<Core>, idle: Duration) {
    let member = core.member.get().expect("a member looks after sessions");
    let mut beat = tokio::time::interval((idle / 4).clamp(GARBAGE_PERIOD_MIN, IDLE_PERIOD_MAX));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let mut sessions = IdleSessions::new(idle);
        while member.leader.is_here() {
            let due = match sessions.due(&core.state, now_ms()).await {
                Ok(Some(due)) => due,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "idle sessions can't be looked for");
                    break;
                }
            };
            for kind in due {
                match core.propose(kind, "", Instant::now() + PATIENCE).await {
                    Ok(_) => tracing::info!("a session that nobody used is deleted"),
                    Err(error) => tracing::warn!(%error, "an idle session is not deleted yet"),
                }
            }
        }
    }
}

/// Keeps the addresses of the other nodes as the state and the log have them.
pub(super) async fn address_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member knows addresses");
    let mut records = core.state.watch_nodes();
    let mut metrics = member.raft.server_metrics();
    loop {
        let membership = metrics.borrow_watched().membership_config.clone();
        for (&node, known) in membership.membership().nodes() {
            core.peers.note_member(node, known);
        }
        let nodes = core.state.known_nodes().into_iter().map(|record| {
            let member = Member {
                name: record.name,
                address: record.address,
            };
            (record.id, member)
        });
        core.peers.set_addresses(nodes.collect::<Vec<_>>());
        tokio::select! {
            changed = records.changed() => if changed.is_err() { return },
            changed = metrics.changed() => if changed.is_err() { return },
        }
    }
}

/// Ends the node when Raft can't go on.
pub(super) async fn fatal_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member has a Raft");
    let mut metrics = member.raft.metrics();
    loop {
        let running = metrics.borrow_watched().running_state.clone();
        if let Err(error) = running {
            if !core.stop.is_cancelled() {
                core.fail(Failure::Fatal {
                    reason: error.to_string(),
                });
            }
            return;
        }
        if metrics.changed().await.is_err() {
            if !core.stop.is_cancelled() {
                core.fail(Failure::Fatal {
                    reason: "raft ended".to_owned(),
                });
            }
            return;
        }
    }
}

/// As a learner that wants a vote: asks for it until it has one.
pub(super) async fn promotion_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member asks for a vote");
    let mut metrics = member.raft.server_metrics();
    while core.home.marker().wants_vote {
        let membership = metrics.borrow_watched().membership_config.clone();
        let voters: Vec<u64> = membership.voter_ids().collect();
        if voters.contains(&member.node) {
            // From now on it is the operators' affair: a vote that they take is not asked for again.
            if let Err(error) = core.home.set_wants_vote(false).await {
                core.fail(crate::membership::unwritable(error));
            }
            return;
        }
        if let Some(leader) = member.leader.known()
            && let Ok(channel) = core.peers.channel(leader.node, Purpose::Forward)
        {
            let request = PromoteRequest {
                node: member.node,
                forwarded: true,
            };
            if let Err(status) = PeerClient::new(channel).promote(request).await {
                tracing::debug!(%status, "no vote yet");
            }
        }
        // Its own vote is seen by an entry of the log.
        let _ = tokio::time::timeout(RETRY, metrics.changed()).await;
    }
}
