//! What only the leader does, one file for each duty.

mod liveness;

pub(crate) use self::liveness::Liveness;
