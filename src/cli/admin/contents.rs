//! How much there is of everything.

use cluster::proto::{ContentsReply, ContentsRequest};
use serde::Serialize;

use super::args::Form;
use super::connection::{Connection, target};
use super::error::AdminError;
use super::print::{columns, print};
use crate::cli::Exit;

#[derive(Serialize)]
struct Contents {
    applied_index: u64,
    sessions: u64,
    heaps: u64,
    loose_heaps: u64,
    images: u64,
    tags: u64,
    tasks: Tasks,
    engines: u64,
    blobs: u64,
    loose_blobs: u64,
    idempotency_keys: u64,
    warm: Vec<Warm>,
}

#[derive(Serialize)]
struct Tasks {
    scheduled: u64,
    queued: u64,
    running: u64,
    ended: u64,
}

/// The sessions of one node that have a process.
#[derive(Serialize)]
struct Warm {
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

/// Asks the leader for what all nodes have, and each node for what is its own.
pub async fn contents(connection: &Connection, form: Form) -> Result<Exit, AdminError> {
    let overview = connection.overview().await?;
    let of = async |connection: &Connection, target| {
        let request = ContentsRequest {
            target: Some(target),
        };
        connection
            .call(request, async |mut client, request| {
                client.contents(request).await
            })
            .await
    };
    let all = of(connection, target(&overview.name)).await?;
    let answers = connection.each(&overview.members, of).await;
    let warm = answers.into_iter().map(|(node, own)| Warm {
        node,
        sessions: own.as_ref().ok().map(|own| own.sessions_warm),
        bytes: own.as_ref().ok().map(|own| own.sessions_warm_bytes),
    });
    let warm = warm.collect();
    print(form, &Contents::new(&all, warm), Contents::text)?;
    Ok(Exit::Completed)
}

impl Contents {
    fn new(all: &ContentsReply, warm: Vec<Warm>) -> Self {
        Self {
            applied_index: all.applied_index,
            sessions: all.sessions,
            heaps: all.heaps,
            loose_heaps: all.loose_heaps,
            images: all.images,
            tags: all.tags,
            tasks: Tasks {
                scheduled: all.tasks_scheduled,
                queued: all.tasks_queued,
                running: all.tasks_running,
                ended: all.tasks_ended,
            },
            engines: all.engines,
            blobs: all.blobs,
            loose_blobs: all.loose_blobs,
            idempotency_keys: all.idempotency_keys,
            warm,
        }
    }

    fn text(&self) -> String {
        let tasks = &self.tasks;
        let rows = [
            ("sessions", self.sessions.to_string()),
            (
                "heaps",
                format!(
                    "{}, of which nothing reaches {}",
                    self.heaps, self.loose_heaps
                ),
            ),
            ("images", self.images.to_string()),
            ("tags", self.tags.to_string()),
            (
                "tasks",
                format!(
                    "{} scheduled, {} queued, {} running, {} ended",
                    tasks.scheduled, tasks.queued, tasks.running, tasks.ended
                ),
            ),
            ("engines", self.engines.to_string()),
            (
                "blobs",
                format!(
                    "{}, of which nothing names {}",
                    self.blobs, self.loose_blobs
                ),
            ),
            ("idempotency keys", self.idempotency_keys.to_string()),
        ];
        let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
        let warm: Vec<_> = self.warm.iter().map(Warm::row).collect();
        format!(
            "{}\n\n{}",
            columns(&["OF", "THERE ARE"], &rows),
            columns(&["NODE", "WARM SESSIONS", "THEIR KIB"], &warm)
        )
    }
}

impl Warm {
    fn row(&self) -> Vec<String> {
        let known =
            |value: Option<u64>| value.map_or_else(|| "no answer".to_owned(), |it| it.to_string());
        vec![
            self.node.clone(),
            known(self.sessions),
            known(self.bytes.map(|bytes| bytes >> 10)),
        ]
    }
}
