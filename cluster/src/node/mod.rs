//! The handle on a node of the cluster: start, write, read, watch, members, stop.

mod attempt;
mod cluster;
mod core;
mod disk;
mod error;
mod lane;
mod leader;
mod life;
mod lookout;
mod maintenance;
mod options;
mod phase;
mod propose;
mod read;
mod session;
mod snapshots;
mod status;
mod task_loop;
mod terms;
mod work;

pub(crate) use self::attempt::Attempt;
pub use self::cluster::Cluster;
pub(crate) use self::core::{Core, MemberParts};
pub(crate) use self::disk::Disk;
pub use self::disk::DiskLevel;
pub use self::error::{ProposeError, ReadError, StartError};
pub use self::maintenance::MaintenanceError;
pub use self::options::{Facts, Options, Peer};
pub use self::phase::{Failure, Phase};
pub use self::propose::Committed;
pub(crate) use self::propose::{COMMAND_BYTES_MAX, now_ms};
pub use self::status::{MemberStatus, Role, Status};
pub(crate) use self::terms::Terms;
