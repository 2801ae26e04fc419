//! Backups: the whole cluster in one file.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::proto::backup_client::BackupClient;
use cluster::proto::{SaveBackupReply, SaveBackupRequest};
use futures::Stream;
use serde::Serialize;
use tokio::task::spawn_blocking;
use tonic::Status;

use super::args::Form;
use super::connection::Connection;
use super::error::{AdminError, Verdict, verdict};
use super::print::print;
use crate::cli::Exit;
use crate::service::backup::{self, Repository, Summary, Target};

/// A node that gives nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Backup<'a> {
    file: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    cluster_id: String,
    index: u64,
    state_hash: String,
    created_ms: u64,
    version: String,
    blobs: u64,
    blob_bytes: u64,
}

impl<'a> Backup<'a> {
    fn new(file: &'a Path, summary: Summary) -> Self {
        Self {
            file,
            bytes: file.metadata().ok().map(|it| it.len()),
            cluster_id: summary.cluster_id,
            index: summary.index,
            state_hash: summary.state_hash,
            created_ms: summary.created_ms,
            version: summary.version,
            blobs: summary.blobs,
            blob_bytes: summary.blob_bytes,
        }
    }

    fn text(&self) -> String {
        format!(
            "{}: cluster {} up to index {}, state {}, {} blobs with {} bytes",
            self.file.display(),
            self.cluster_id,
            self.index,
            self.state_hash,
            self.blobs,
            self.blob_bytes,
        )
    }
}

#[derive(Serialize)]
struct Restored<'a> {
    directory: &'a Path,
    cluster_id: String,
    node: u64,
    index: u64,
    state_hash: String,
}

/// Why nothing was taken: by the node, or here.
enum NotTaken {
    Node(Status),
    Here(backup::Error),
}

impl From<backup::Error> for NotTaken {
    fn from(error: backup::Error) -> Self {
        Self::Here(error)
    }
}

/// Takes one beside those that are in a directory, without the blobs that they have, and reads all of it again.
pub async fn save_into(
    connection: &Connection,
    form: Form,
    directory: &Path,
    keep: Option<usize>,
) -> Result<Exit, AdminError> {
    let wanted = directory.to_owned();
    let opened = spawn_blocking(move || Repository::open(&wanted)).await;
    let repository = opened.expect("opening a directory does not panic");
    let repository = Arc::new(repository.map_err(|error| refused(&error))?);
    let have = repository.have().await.map_err(|error| refused(&error))?;
    let have: Vec<u8> = have.iter().flat_map(|blob| blob.0).collect();
    let mut last = String::new();
    for channel in connection.channels() {
        let request = SaveBackupRequest { have: have.clone() };
        let mut client = BackupClient::new(channel);
        let path = match client.save(request).await {
            Ok(pieces) => repository.take(pieces_of(pieces.into_inner())).await,
            Err(status) => Err(NotTaken::Node(status)),
        };
        match path {
            Ok(path) => {
                let (repository, read) = (Arc::clone(&repository), path.clone());
                let kept = spawn_blocking(move || {
                    let summary = repository.verify(&read)?;
                    if let Some(count) = keep {
                        repository.prune(count)?;
                    }
                    Ok(summary)
                });
                let summary = kept.await.expect("verifying does not panic");
                let summary = summary.map_err(|error| refused(&error))?;
                print(form, &Backup::new(&path, summary), Backup::text)?;
                return Ok(Exit::Completed);
            }
            Err(NotTaken::Here(error)) => return Err(refused(&error)),
            Err(NotTaken::Node(status)) => match verdict(&status) {
                Verdict::Final(error) => return Err(error),
                Verdict::Again => status.message().clone_into(&mut last),
            },
        }
    }
    Err(connection.no_answer(last))
}

fn pieces_of(
    pieces: tonic::Streaming<SaveBackupReply>,
) -> impl Stream<Item = Result<Bytes, NotTaken>> {
    futures::stream::unfold(Some(pieces), async |pieces| {
        let mut pieces = pieces?;
        match tokio::time::timeout(SILENCE_MAX, pieces.message()).await {
            Ok(Ok(Some(piece))) => Some((Ok(piece.data), Some(pieces))),
            Ok(Ok(None)) => None,
            Ok(Err(status)) => Some((Err(NotTaken::Node(status)), None)),
            Err(_) => Some((Err(NotTaken::Node(silent())), None)),
        }
    })
}

fn silent() -> Status {
    Status::deadline_exceeded("the node gives nothing any more")
}

/// Takes one from the first endpoint that gives it, and reads it again.
pub async fn save(connection: &Connection, form: Form, file: &Path) -> Result<Exit, AdminError> {
    let unwritable = |source| AdminError::File {
        path: file.to_owned(),
        source,
    };
    let mut last = String::new();
    for channel in connection.channels() {
        let made = File::options().write(true).create_new(true).open(file);
        let mut made = made.map_err(unwritable)?;
        let mut client = BackupClient::new(channel);
        let taken = async {
            let mut pieces = client
                .save(SaveBackupRequest::default())
                .await?
                .into_inner();
            loop {
                let next = tokio::time::timeout(SILENCE_MAX, pieces.message()).await;
                match next.map_err(|_| silent())?? {
                    Some(piece) => made.write_all(&piece.data)?,
                    None => return Ok::<_, Status>(()),
                }
            }
        };
        let taken = taken.await;
        if let Err(status) = taken {
            // Half a backup is none.
            let _ = std::fs::remove_file(file);
            match verdict(&status) {
                Verdict::Final(error) => return Err(error),
                Verdict::Again => status.message().clone_into(&mut last),
            }
            continue;
        }
        made.sync_all().map_err(unwritable)?;
        return verify(form, file).await;
    }
    Err(connection.no_answer(last))
}

/// Reads all of one.
pub async fn verify(form: Form, file: &Path) -> Result<Exit, AdminError> {
    let path = file.to_owned();
    let verified = spawn_blocking(move || backup::verify(&path)).await;
    let summary = verified.expect("verifying does not panic");
    let summary = summary.map_err(|error| refused(&error))?;
    print(form, &Backup::new(file, summary), Backup::text)?;
    Ok(Exit::Completed)
}

/// Makes a directory that of a new cluster's first node.
pub async fn restore(
    form: Form,
    file: &Path,
    directory: &Path,
    node_id: Option<&str>,
) -> Result<Exit, AdminError> {
    let name = node_id.map(str::parse).transpose();
    let name = name.map_err(|error: cluster::ids::MalformedName| AdminError::Refused {
        message: error.to_string(),
    })?;
    let target = Target {
        directory: directory.to_owned(),
        name,
        address: String::new(),
    };
    let restored = backup::restore(file, target).await;
    let (summary, restored) = restored.map_err(|error| refused(&error))?;
    let restored = Restored {
        directory,
        cluster_id: restored.cluster_id.to_string(),
        node: restored.node,
        index: restored.index,
        state_hash: summary.state_hash,
    };
    print(form, &restored, |it| {
        format!(
            "{} is that of node {} of cluster {}: start a node with it, and let others join",
            it.directory.display(),
            it.node,
            it.cluster_id
        )
    })?;
    Ok(Exit::Completed)
}

fn refused(error: &backup::Error) -> AdminError {
    AdminError::Refused {
        message: error.to_string(),
    }
}
