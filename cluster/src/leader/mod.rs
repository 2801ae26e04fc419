//! What only the leader does, one file for each duty.

mod garbage;
mod idle;
mod liveness;
mod tasks;

pub(crate) use self::garbage::Retention;
pub(crate) use self::idle::IdleSessions;
pub(crate) use self::liveness::Liveness;
pub use self::liveness::Load;
pub(crate) use self::tasks::Assignments;
