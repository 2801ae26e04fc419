//! gRPC on the cluster port: for operators, for programs, and for the other nodes of the cluster.
//!
//! A method parses, makes one call of a service, and renders, as in `api`. Raft's own services are the
//! cluster crate's.

mod admin;
mod backup;
mod blobs;
mod deadline;
mod forward;
mod tags;

use cluster::node::Cluster;
use cluster::proto::admin_server::AdminServer;
use cluster::proto::backup_server::BackupServer;
use cluster::proto::blobs_server::BlobsServer;
use cluster::proto::forward_server::ForwardServer;
use cluster::proto::tags_server::TagsServer;
use tonic::Status;
use tonic::metadata::MetadataValue;
use tonic::service::Routes;

use self::admin::AdminService;
use self::backup::BackupService;
use self::blobs::BlobsService;
use self::forward::ForwardService;
use self::tags::TagsService;
use crate::error_code::ErrorCode;
use crate::service::backup::Backups;
use crate::service::blobs::Blobs;
use crate::service::engines::Engines;
use crate::service::executions::{CODE, Executions, MESSAGE_BYTES_MAX};
use crate::service::sessions::Sessions;
use crate::service::tags::Tags;

/// All services of this program.
pub fn routes(
    cluster: &Cluster,
    executions: &Executions,
    tags: &Tags,
    blobs: &Blobs,
    engines: &Engines,
    backups: &Backups,
    sessions: &Option<Sessions>,
) -> Routes {
    Routes::new(AdminServer::new(AdminService::new(
        cluster.clone(),
        executions.runs().clone(),
        engines.clone(),
        blobs.clone(),
        sessions.clone(),
    )))
    .add_service(TagsServer::new(TagsService::new(tags.clone())))
    .add_service(
        BackupServer::new(BackupService::new(backups.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX),
    )
    .add_service(BlobsServer::new(BlobsService::new(blobs.clone())))
    .add_service(
        ForwardServer::new(ForwardService::new(executions.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX),
    )
}

/// An error as a status.
fn status(code: ErrorCode, detail: String) -> Status {
    let mut status = Status::new(code.grpc_code(), detail);
    let value = MetadataValue::from_static(code.as_str());
    status.metadata_mut().insert(CODE, value);
    status
}
