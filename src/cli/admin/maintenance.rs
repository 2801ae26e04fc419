//! Snapshots, purges, compactions, and whether all nodes have the same state.

use cluster::proto::{
    CompactRequest, PurgeLogRequest, StateHashReply, StateHashRequest, TakeSnapshotRequest,
};
use serde::Serialize;

use super::args::Form;
use super::connection::{Connection, target};
use super::error::AdminError;
use super::print::{columns, print};
use crate::cli::Exit;
use crate::hex;

#[derive(Serialize)]
struct Index {
    index: u64,
}

#[derive(Serialize)]
struct Hashes {
    equal: bool,
    nodes: Vec<NodeHash>,
}

#[derive(Serialize)]
struct NodeHash {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Takes a snapshot of one node's state.
pub async fn snapshot(
    connection: &Connection,
    form: Form,
    member: Option<&str>,
) -> Result<Exit, AdminError> {
    let request = TakeSnapshotRequest {
        target: member.map(target),
    };
    let taken = connection
        .call(request, async |mut client, request| {
            client.take_snapshot(request).await
        })
        .await?;
    let index = taken.index;
    print(form, &Index { index }, |it| {
        format!("a snapshot up to index {} is taken", it.index)
    })?;
    Ok(Exit::Completed)
}

/// Lets go of the log behind one node's snapshot.
pub async fn purge(
    connection: &Connection,
    form: Form,
    member: Option<&str>,
) -> Result<Exit, AdminError> {
    let request = PurgeLogRequest {
        target: member.map(target),
    };
    let purged = connection
        .call(request, async |mut client, request| {
            client.purge_log(request).await
        })
        .await?;
    let index = purged.index;
    print(form, &Index { index }, |it| {
        format!("the log up to index {} is gone", it.index)
    })?;
    Ok(Exit::Completed)
}

#[derive(Serialize)]
struct Compacted {
    before_bytes: u64,
    after_bytes: u64,
}

/// Writes one node's state anew.
pub async fn compact(
    connection: &Connection,
    form: Form,
    member: Option<&str>,
) -> Result<Exit, AdminError> {
    let request = CompactRequest {
        target: member.map(target),
    };
    let compacted = connection
        .call(request, async |mut client, request| {
            client.compact(request).await
        })
        .await?;
    let compacted = Compacted {
        before_bytes: compacted.before_bytes,
        after_bytes: compacted.after_bytes,
    };
    print(form, &compacted, |it| {
        format!(
            "the state has {} bytes; it had {}",
            it.after_bytes, it.before_bytes
        )
    })?;
    Ok(Exit::Completed)
}

/// Compares the states of all nodes, at one index.
pub async fn hash(connection: &Connection, form: Form, scan: bool) -> Result<Exit, AdminError> {
    let overview = connection.overview().await?;
    // What the leader has applied comes to all that live.
    let index = if scan { 0 } else { overview.applied_index };
    let hash = async |connection: &Connection, target| {
        let request = StateHashRequest {
            target: Some(target),
            index,
            scan,
        };
        connection
            .call(request, async |mut client, request| {
                client.state_hash(request).await
            })
            .await
    };
    let mut nodes = Vec::new();
    for (name, hashed) in connection.each(&overview.members, hash).await {
        nodes.push(match hashed {
            Ok(StateHashReply { index, hash }) => NodeHash {
                name,
                index: Some(index),
                hash: Some(hex::encode(&hash)),
                error: None,
            },
            Err(error) => NodeHash {
                name,
                index: None,
                hash: None,
                error: Some(error.to_string()),
            },
        });
    }
    let hashes = Hashes {
        equal: equal(&nodes),
        nodes,
    };
    print(form, &hashes, table)?;
    Ok(if hashes.equal {
        Exit::Completed
    } else {
        Exit::Failed
    })
}

/// Two nodes at one index have the same hash, or one of them is wrong.
fn equal(nodes: &[NodeHash]) -> bool {
    let known = || nodes.iter().filter(|node| node.hash.is_some());
    known().all(|one| known().all(|other| one.index != other.index || one.hash == other.hash))
}

fn table(hashes: &Hashes) -> String {
    let row = |node: &NodeHash| {
        let index = node
            .index
            .map(|index| index.to_string())
            .unwrap_or_default();
        let hash = node.hash.clone().or(node.error.clone()).unwrap_or_default();
        vec![node.name.clone(), index, hash]
    };
    let rows: Vec<_> = hashes.nodes.iter().map(row).collect();
    let verdict = match hashes.equal {
        true => "equal where they can be compared",
        false => "DIFFERENT: remove the node that stands alone, empty its directory, let it join",
    };
    format!(
        "{}\n\n{verdict}",
        columns(&["NAME", "INDEX", "HASH"], &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_at_one_index_are_compared() {
        let node = |index, hash: &str| NodeHash {
            name: String::new(),
            index: Some(index),
            hash: Some(hash.to_owned()),
            error: None,
        };
        assert!(equal(&[node(1, "a"), node(2, "b")]));
        assert!(!equal(&[node(1, "a"), node(2, "b"), node(1, "c")]));
    }
}
