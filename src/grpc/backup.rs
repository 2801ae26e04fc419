//! Backups, for operators.

use cluster::proto::backup_server::Backup;
use cluster::proto::{SaveBackupReply, SaveBackupRequest};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::service::backup::{Backups, Error};
use crate::storage::BlobId;

/// The service of one node.
pub struct BackupService {
    backups: Backups,
}

impl BackupService {
    /// Of what this node's cluster has.
    pub fn new(backups: Backups) -> Self {
        Self { backups }
    }
}

#[tonic::async_trait]
impl Backup for BackupService {
    type SaveStream = BoxStream<'static, Result<SaveBackupReply, Status>>;

    async fn save(
        &self,
        request: Request<SaveBackupRequest>,
    ) -> Result<Response<Self::SaveStream>, Status> {
        let have = request.into_inner().have;
        let (hashes, rest) = have.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(Status::invalid_argument("a hash has 32 bytes"));
        }
        let have = hashes.iter().map(|hash| BlobId(*hash)).collect();
        let pieces = self.backups.save(have).map(|piece| match piece {
            Ok(data) => Ok(SaveBackupReply { data }),
            Err(error) => {
                tracing::warn!(%error, "a backup ends early");
                Err(failed(&error))
            }
        });
        Ok(Response::new(pieces.boxed()))
    }
}

fn failed(error: &Error) -> Status {
    match error {
        Error::NotMember | Error::Blobs(_) => Status::unavailable(error.to_string()),
        _ => Status::internal(error.to_string()),
    }
}
