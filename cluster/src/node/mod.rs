//! The handle on a node of the cluster: start, write, read, watch, members, stop.

mod error;
mod options;
mod phase;
mod session;
mod status;

pub use self::error::{ProposeError, ReadError, StartError};
pub use self::options::{Facts, Options, Peer};
pub use self::phase::{Failure, Phase};
pub use self::status::{MemberStatus, Role, Status};
