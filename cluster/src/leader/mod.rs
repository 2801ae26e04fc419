//! What only the leader does, one file for each duty.

mod garbage;
mod liveness;

pub(crate) use self::garbage::Retention;
pub(crate) use self::liveness::Liveness;
