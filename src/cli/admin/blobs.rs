//! The blobs, as each node has them.

use cluster::proto::{BlobRound, BlobStandingReply, BlobStandingRequest};
use serde::Serialize;

use super::args::Form;
use super::connection::Connection;
use super::error::AdminError;
use super::print::{columns, print};
use crate::cli::Exit;
use crate::wire::rfc3339;

#[derive(Serialize)]
struct Blobs {
    blobs: u64,
    bytes: u64,
    in_bucket: u64,
    too_few: u64,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    node: String,
    #[serde(flatten)]
    standing: Option<Standing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Standing {
    copies: u64,
    bytes: u64,
    missing: u64,
    unknown: u64,
    damaged: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_check: Option<Check>,
}

#[derive(Serialize)]
struct Check {
    ended_at: String,
    read: u64,
    damaged: u64,
    fetched: u64,
    uploaded: u64,
    removed: u64,
    missing: u64,
}

/// Asks each node; ends with 1 when a copy is missing that should be there, or blobs have too few.
pub async fn blobs(
    connection: &Connection,
    form: Form,
    looks_after: bool,
) -> Result<Exit, AdminError> {
    let overview = connection.overview().await?;
    let mut told = Blobs {
        blobs: 0,
        bytes: 0,
        in_bucket: 0,
        too_few: 0,
        nodes: Vec::new(),
    };
    let standing = async |connection: &Connection, target| {
        let request = BlobStandingRequest {
            target: Some(target),
            look_after: looks_after,
        };
        connection
            .call(request, async |mut client, request| {
                client.blob_standing(request).await
            })
            .await
    };
    let mut newest = 0;
    for (node, standing) in connection.each(&overview.members, standing).await {
        if let Ok(standing) = &standing
            && standing.blobs >= newest
        {
            newest = standing.blobs;
            (told.blobs, told.bytes) = (standing.blobs, standing.bytes);
            (told.in_bucket, told.too_few) = (standing.in_bucket, standing.too_few);
        }
        let (standing, error) = match standing {
            Ok(standing) => (Some(Standing::from(standing)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        told.nodes.push(Node {
            node,
            standing,
            error,
        });
    }
    let mut standings = told.nodes.iter().filter_map(|node| node.standing.as_ref());
    let whole = told.too_few == 0 && standings.all(|standing| standing.missing == 0);
    print(form, &told, text)?;
    Ok(if whole { Exit::Completed } else { Exit::Failed })
}

impl From<BlobStandingReply> for Standing {
    fn from(reply: BlobStandingReply) -> Self {
        Self {
            copies: reply.here,
            bytes: reply.here_bytes,
            missing: reply.missing_here,
            unknown: reply.unknown_here,
            damaged: reply.damaged_here,
            last_check: reply.last_round.map(Check::from),
        }
    }
}

impl From<BlobRound> for Check {
    fn from(round: BlobRound) -> Self {
        Self {
            ended_at: rfc3339(round.ended_ms),
            read: round.read,
            damaged: round.damaged,
            fetched: round.fetched,
            uploaded: round.uploaded,
            removed: round.removed,
            missing: round.missing,
        }
    }
}

fn text(told: &Blobs) -> String {
    let rows: Vec<_> = told.nodes.iter().map(row).collect();
    let head = [
        "NODE",
        "COPIES",
        "MIB",
        "MISSING",
        "UNKNOWN",
        "DAMAGED",
        "LAST CHECK",
    ];
    format!(
        "{} blobs of {} MiB; {} in the bucket; {} on too few nodes\n\n{}",
        told.blobs,
        told.bytes >> 20,
        told.in_bucket,
        told.too_few,
        columns(&head, &rows)
    )
}

fn row(node: &Node) -> Vec<String> {
    let mut row = vec![node.node.clone()];
    let Some(standing) = &node.standing else {
        row.push(node.error.clone().unwrap_or_default());
        return row;
    };
    let checked = |check: &Check| {
        format!(
            "{}: read {}, damaged {}, fetched {}, uploaded {}, removed {}, missing {}",
            check.ended_at,
            check.read,
            check.damaged,
            check.fetched,
            check.uploaded,
            check.removed,
            check.missing
        )
    };
    row.extend([
        standing.copies.to_string(),
        (standing.bytes >> 20).to_string(),
        standing.missing.to_string(),
        standing.unknown.to_string(),
        standing.damaged.to_string(),
        standing
            .last_check
            .as_ref()
            .map_or_else(|| "not since its start".to_owned(), checked),
    ]);
    row
}
