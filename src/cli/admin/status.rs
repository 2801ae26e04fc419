//! What each node knows, and what follows from that: also where nothing can be decided any more.

use std::collections::BTreeMap;

use cluster::proto::NodeStatusReply;
use futures::future::join_all;
use serde::Serialize;

use super::args::Form;
use super::connection::Connection;
use super::error::AdminError;
use super::members::{MemberRow, rows};
use super::print::{columns, print};
use crate::cli::Exit;
use crate::hex;

/// A leader that no majority has confirmed for so long can decide nothing.
const QUORUM_SILENT_MS_MAX: u64 = 2000;

/// The cluster, as far as it answers.
#[derive(Serialize)]
struct ClusterStatus {
    cluster_id: String,
    leader: Option<Leader>,
    voters: usize,
    voters_answering: usize,
    nodes: Vec<NodeRow>,
    members: Vec<MemberRow>,
    /// What is wrong, in words; empty when nothing is.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Leader {
    node: u64,
    name: String,
}

/// A node that answers.
#[derive(Serialize)]
struct NodeRow {
    node: u64,
    name: String,
    phase: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    role: String,
    term: u64,
    leader: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum_silent_ms: Option<u64>,
    last_log_index: u64,
    committed_index: u64,
    applied_index: u64,
    synced_index: u64,
    snapshot_index: u64,
    purged_index: u64,
    log_bytes: u64,
    state_bytes: u64,
    executions_running: u64,
    executions_queued: u64,
    proposals_open: u64,
    disk_free_bytes: u64,
    disk: String,
    version: String,
}

/// Asks every node that can be found.
pub async fn status(connection: &Connection, form: Form) -> Result<Exit, AdminError> {
    let overview = connection.overview().await?;
    let answers = ask_all(connection, &overview).await;
    let status = summary(&overview, &answers);
    print(form, &status, table)?;
    Ok(if status.problems.is_empty() {
        Exit::Completed
    } else {
        Exit::Failed
    })
}

/// Each endpoint for itself, and by way of them each member.
async fn ask_all(
    connection: &Connection,
    overview: &NodeStatusReply,
) -> BTreeMap<String, NodeStatusReply> {
    let direct = connection
        .channels()
        .map(async |channel| connection.status_of(channel, "").await.ok());
    let mut found = BTreeMap::from([(overview.name.clone(), overview.clone())]);
    for answer in join_all(direct).await.into_iter().flatten() {
        found.insert(answer.name.clone(), answer);
    }
    let missing = overview
        .members
        .iter()
        .filter(|member| !found.contains_key(&member.name));
    let relayed = missing.map(async |member| {
        for channel in connection.channels() {
            if let Ok(answer) = connection.status_of(channel, &member.name).await {
                return Some(answer);
            }
        }
        None
    });
    let relayed = join_all(relayed).await;
    for answer in relayed.into_iter().flatten() {
        found.insert(answer.name.clone(), answer);
    }
    found
}

fn summary(
    overview: &NodeStatusReply,
    answers: &BTreeMap<String, NodeStatusReply>,
) -> ClusterStatus {
    // The newest term knows best who leads.
    let leader = answers
        .values()
        .filter(|answer| answer.role == "leader" && is_confirmed(answer))
        .max_by_key(|answer| answer.term);
    let voters: Vec<_> = overview
        .members
        .iter()
        .filter(|member| member.voter)
        .collect();
    let answering = voters
        .iter()
        .filter(|voter| answers.contains_key(&voter.name))
        .count();
    ClusterStatus {
        cluster_id: hex::encode(&overview.cluster_id),
        leader: leader.map(|leader| Leader {
            node: leader.node,
            name: leader.name.clone(),
        }),
        voters: voters.len(),
        voters_answering: answering,
        nodes: answers.values().map(row).collect(),
        members: rows(overview),
        problems: problems(overview, answers, leader),
    }
}

/// One that is cut off goes on to call itself the leader.
fn is_confirmed(leader: &NodeStatusReply) -> bool {
    leader
        .quorum_silent_ms
        .is_none_or(|silent| silent < QUORUM_SILENT_MS_MAX)
}

fn problems(
    overview: &NodeStatusReply,
    answers: &BTreeMap<String, NodeStatusReply>,
    leader: Option<&NodeStatusReply>,
) -> Vec<String> {
    let mut problems = Vec::new();
    for answer in answers.values().filter(|answer| answer.phase != "member") {
        problems.push(format!(
            "{} is {}: {}",
            answer.name, answer.phase, answer.reason
        ));
    }
    for answer in answers.values() {
        let told = match answer.disk.as_str() {
            "low" => "writes are refused while it leads",
            "full" => "it takes nothing in until there is room",
            _ => continue,
        };
        problems.push(format!(
            "the disk of {} is {}, {} MiB are free: {told}; make room, or lower --disk-free-min-mb",
            answer.name,
            answer.disk,
            answer.disk_free_bytes >> 20
        ));
    }
    let voters: Vec<_> = overview
        .members
        .iter()
        .filter(|member| member.voter)
        .collect();
    let silent: Vec<_> = voters
        .iter()
        .filter(|voter| !answers.contains_key(&voter.name))
        .map(|voter| format!("{} ({})", voter.name, voter.address))
        .collect();
    let answering = voters.len() - silent.len();
    let majority = voters.len() / 2 + 1;
    if !voters.is_empty() && answering < majority {
        problems.push(format!(
            "no quorum: {answering} of {} voters answer and {majority} are needed, so nothing can be \
             decided; start {} of {}",
            voters.len(),
            majority - answering,
            silent.join(", ")
        ));
    } else if !silent.is_empty() {
        problems.push(format!("no answer from {}", silent.join(", ")));
    }
    if leader.is_none() && answering >= majority {
        problems.push("no node leads; an election takes about a second".to_owned());
    }
    if overview.joint {
        problems.push("a change of the voters is under way".to_owned());
    }
    problems
}

fn row(answer: &NodeStatusReply) -> NodeRow {
    NodeRow {
        node: answer.node,
        name: answer.name.clone(),
        phase: answer.phase.clone(),
        reason: answer.reason.clone(),
        role: answer.role.clone(),
        term: answer.term,
        leader: answer.leader,
        quorum_silent_ms: answer.quorum_silent_ms,
        last_log_index: answer.last_log_index,
        committed_index: answer.committed_index,
        applied_index: answer.applied_index,
        synced_index: answer.synced_index,
        snapshot_index: answer.snapshot_index,
        purged_index: answer.purged_index,
        log_bytes: answer.log_bytes,
        state_bytes: answer.state_bytes,
        executions_running: answer.executions_running,
        executions_queued: answer.executions_queued,
        proposals_open: answer.proposals_open,
        disk_free_bytes: answer.disk_free_bytes,
        disk: answer.disk.clone(),
        version: answer.version.clone(),
    }
}

fn table(status: &ClusterStatus) -> String {
    let head = [
        "ID",
        "NAME",
        "ROLE",
        "TERM",
        "LOG",
        "COMMITTED",
        "APPLIED",
        "SNAPSHOT",
        "LOG MIB",
        "STATE MIB",
        "FREE MIB",
        "RUNNING",
        "QUEUED",
    ];
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let rows: Vec<_> = status
        .nodes
        .iter()
        .map(|node| {
            let role = if node.role.is_empty() {
                &node.phase
            } else {
                &node.role
            };
            vec![
                node.node.to_string(),
                node.name.clone(),
                role.clone(),
                node.term.to_string(),
                node.last_log_index.to_string(),
                node.committed_index.to_string(),
                node.applied_index.to_string(),
                node.snapshot_index.to_string(),
                mib(node.log_bytes),
                mib(node.state_bytes),
                mib(node.disk_free_bytes),
                node.executions_running.to_string(),
                node.executions_queued.to_string(),
            ]
        })
        .collect();
    let leader = status.leader.as_ref().map_or("none", |leader| &leader.name);
    let cluster_id = match status.cluster_id.as_str() {
        "" => "none yet",
        id => id,
    };
    let mut text = format!(
        "cluster {cluster_id}, leader {leader}, {} of {} voters answer\n\n{}",
        status.voters_answering,
        status.voters,
        columns(&head, &rows)
    );
    for problem in &status.problems {
        text.push_str(&format!("\n\n! {problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use cluster::proto::AdminMember;

    use super::*;

    fn node(name: &str, role: &str) -> NodeStatusReply {
        let member = |node: u64| AdminMember {
            node,
            name: format!("n{node}"),
            address: format!("h:{node}"),
            voter: true,
            ..AdminMember::default()
        };
        NodeStatusReply {
            name: name.to_owned(),
            phase: "member".to_owned(),
            role: role.to_owned(),
            members: (1..=3).map(member).collect(),
            ..NodeStatusReply::default()
        }
    }

    fn told(nodes: &[(&str, &str)]) -> Vec<String> {
        let answers = nodes
            .iter()
            .map(|(name, role)| ((*name).to_owned(), node(name, role)));
        let answers: BTreeMap<_, _> = answers.collect();
        let overview = answers.values().next().unwrap();
        summary(overview, &answers).problems
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        assert!(told(&[("n1", "leader"), ("n2", "follower"), ("n3", "follower")]).is_empty());
        let one_down = told(&[("n1", "leader"), ("n2", "follower")]);
        assert_eq!(one_down, ["no answer from n3 (h:3)"]);
        let alone = told(&[("n1", "follower")]);
        assert!(
            alone[0].contains("1 of 3 voters answer and 2 are needed"),
            "{alone:?}"
        );
        assert!(
            alone[0].contains("start 1 of n2 (h:2), n3 (h:3)"),
            "{alone:?}"
        );
        let no_leader = told(&[("n1", "follower"), ("n2", "candidate"), ("n3", "follower")]);
        assert!(no_leader[0].contains("no node leads"), "{no_leader:?}");
    }
}
