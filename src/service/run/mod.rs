//! Executions on this node: a bounded queue in front of the workers, a bounded registry behind them.
//!
//! [`Runs`] is the handle. What is kept of an execution is in `record`, its console output in
//! `output`; `admission` decides who runs, `registry` what is remembered and for how long.

mod admission;
mod attached;
mod drive;
mod error;
mod events;
mod id;
mod key;
mod limits;
mod outcome;
mod output;
mod record;
mod registry;
mod reply;
mod runs;
mod stateful;
mod types;

pub use attached::CancelOnDrop;
pub use error::Error;
pub use id::{ExecutionId, MalformedId};
pub use outcome::is_final;
pub use output::{OutputPage, OutputQuery, prefix as level_prefix};
pub use reply::StoredReply;
pub use runs::Runs;
pub use types::*;
