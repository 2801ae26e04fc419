//! A node's status as a message.

use std::collections::BTreeMap;
use std::time::SystemTime;

use cluster::node::{MaintenanceError, MemberStatus, Phase, Status as NodeStatus};
use cluster::proto::{
    AdminEngine, AdminMember, BlobRound, BlobStandingReply, ContentsReply, EngineState,
    NodeStatusReply, TaskCounts,
};
use cluster::state::Table;
use tonic::Status;

use crate::hex;
use crate::service::blobs::{Round, Standing};
use crate::service::engines::EngineInfo;

/// Without what the node itself adds.
pub fn node_status(status: &NodeStatus) -> NodeStatusReply {
    let (phase, reason) = phase(&status.phase);
    let (node, cluster_id) = match &status.phase {
        Phase::Member { cluster_id, node } => (*node, cluster_id.to_vec()),
        _ => (0, Vec::new()),
    };
    NodeStatusReply {
        name: status.name.to_string(),
        node,
        cluster_id,
        incarnation: status.incarnation,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        phase: phase.to_owned(),
        reason,
        role: status.role.map_or("", |role| role.as_str()).to_owned(),
        term: status.term,
        leader: status.leader.unwrap_or_default(),
        quorum_silent_ms: status
            .quorum_silent_for
            .map(|silent| u64::try_from(silent.as_millis()).unwrap_or(u64::MAX)),
        last_log_index: status.last_log_index,
        committed_index: status.committed_index,
        applied_index: status.applied_index,
        synced_index: status.synced_index,
        snapshot_index: status.snapshot_index,
        purged_index: status.purged_index,
        log_bytes: status.log_bytes,
        state_bytes: status.state_bytes,
        members: status.members.iter().map(member).collect(),
        joint: status.joint,
        executions_running: 0,
        executions_queued: 0,
        proposals_open: 0,
        disk_free_bytes: status.disk_free_bytes,
        disk: status.disk.as_str().to_owned(),
    }
}

fn phase(phase: &Phase) -> (&'static str, String) {
    match phase {
        Phase::Starting => ("starting", String::new()),
        Phase::Waiting { answered, missing } => (
            "waiting",
            format!("answered: {}; missing: {}", list(answered), list(missing)),
        ),
        Phase::Member { .. } => ("member", String::new()),
        Phase::Failed(failure) => ("failed", failure.to_string()),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn member(member: &MemberStatus) -> AdminMember {
    AdminMember {
        node: member.node,
        name: member.name.clone(),
        address: member.address.clone(),
        voter: member.voter,
        incarnation: member.incarnation,
        alive: member.alive,
        draining: member.draining,
        version: member.version.clone(),
        http_address: member.http_address.clone(),
        matched_index: member.matched_index,
    }
}

/// A snapshot that was not taken, or a log that was not purged.
pub fn maintenance(error: &MaintenanceError) -> Status {
    let text = error.to_string();
    match error {
        MaintenanceError::NotMember | MaintenanceError::Stopped => Status::unavailable(text),
        MaintenanceError::NoSnapshot | MaintenanceError::NoRoom { .. } => {
            Status::failed_precondition(text)
        }
        MaintenanceError::State(_) => Status::internal(text),
        MaintenanceError::TimedOut => Status::deadline_exceeded(text),
    }
}

/// An engine as operators see it.
pub fn engine(info: EngineInfo) -> AdminEngine {
    let state = match info.record.state() {
        EngineState::Allowed | EngineState::Unspecified => "allowed",
        EngineState::Forbidden => "forbidden",
        EngineState::Retired => "retired",
    };
    AdminEngine {
        kept: info.is_kept(),
        id: hex::encode(&info.record.id),
        state: state.to_owned(),
        v8_version: info.record.v8_version,
        v8_flags: info.record.v8_flags,
        cpu_baseline: info.record.cpu_baseline,
        sessions: info.sessions,
        nodes: info.nodes,
    }
}

/// What operators call a state of an engine.
pub fn engine_state(name: &str) -> Result<EngineState, Status> {
    match name {
        "allowed" => Ok(EngineState::Allowed),
        "forbidden" => Ok(EngineState::Forbidden),
        "retired" => Ok(EngineState::Retired),
        _ => Err(Status::invalid_argument(
            "a state is allowed, forbidden or retired",
        )),
    }
}

/// Without what the node itself adds.
pub fn contents(rows: &BTreeMap<u8, u64>, tasks: &TaskCounts) -> ContentsReply {
    let count = |table: Table| rows.get(&table.number()).copied().unwrap_or_default();
    ContentsReply {
        applied_index: 0,
        sessions: count(Table::Sessions),
        heaps: count(Table::Commits),
        loose_heaps: count(Table::LooseHeaps),
        images: count(Table::Images),
        tags: count(Table::Tags),
        tasks_scheduled: tasks.scheduled,
        tasks_queued: tasks.queued,
        tasks_running: tasks.running,
        tasks_ended: tasks.ended,
        engines: count(Table::Engines),
        blobs: count(Table::Blobs),
        loose_blobs: count(Table::LooseBlobs),
        idempotency_keys: count(Table::IdempotencyKeys),
        sessions_warm: 0,
        sessions_warm_bytes: 0,
    }
}

/// How the blobs are.
pub fn blobs(standing: Standing) -> BlobStandingReply {
    BlobStandingReply {
        blobs: standing.blobs,
        bytes: standing.bytes,
        in_bucket: standing.in_bucket,
        too_few: standing.too_few,
        here: standing.here,
        here_bytes: standing.here_bytes,
        missing_here: standing.missing_here,
        unknown_here: standing.unknown_here,
        damaged_here: standing.damaged_here,
        last_round: standing.last_round.map(round),
    }
}

fn round(round: Round) -> BlobRound {
    let since = round.ended.duration_since(SystemTime::UNIX_EPOCH);
    let ended_ms = since.unwrap_or_default().as_millis();
    let upkeep = round.upkeep;
    BlobRound {
        ended_ms: u64::try_from(ended_ms).unwrap_or(u64::MAX),
        read: upkeep.read,
        damaged: upkeep.damaged,
        fetched: upkeep.fetched,
        uploaded: upkeep.uploaded,
        removed: upkeep.removed,
        missing: upkeep.missing,
    }
}
