//! gRPC on the cluster port: for operators, for programs, and for the other nodes of the cluster.
//!
//! A method parses, makes one call of a service, and renders, as in `api`. Raft's own services are the
//! cluster crate's.

mod admin;
mod deadline;
mod forward;
mod tags;

use cluster::node::Cluster;
use cluster::proto::admin_server::AdminServer;
use cluster::proto::forward_server::ForwardServer;
use cluster::proto::tags_server::TagsServer;
use tonic::Status;
use tonic::metadata::MetadataValue;
use tonic::service::Routes;

use self::admin::AdminService;
use self::forward::ForwardService;
use self::tags::TagsService;
use crate::error_code::ErrorCode;
use crate::service::run::Runs;
use crate::service::tags::Tags;

/// The public code of an error stands in the metadata of its status under this name.
pub const CODE: &str = "mcp-v8-code";

/// All services of this program.
pub fn routes(cluster: &Cluster, runs: &Runs, tags: &Tags) -> Routes {
    Routes::new(AdminServer::new(AdminService::new(
        cluster.clone(),
        runs.clone(),
    )))
    .add_service(TagsServer::new(TagsService::new(tags.clone())))
    .add_service(ForwardServer::new(ForwardService::new(runs.clone())))
}

/// An error as a status.
fn status(code: ErrorCode, detail: String) -> Status {
    let mut status = Status::new(code.grpc_code(), detail);
    let value = MetadataValue::from_static(code.as_str());
    status.metadata_mut().insert(CODE, value);
    status
}
