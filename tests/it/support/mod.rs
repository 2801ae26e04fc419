//! What scenarios share: a running node, and waiting for a condition.

mod node;
pub mod s3_server;

use std::time::Duration;

pub use node::{Ended, Node, program, run};

/// The longest that any scenario waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until the condition holds; fails after [`PATIENCE`].
pub async fn wait_until(what: &str, holds: impl AsyncFnMut() -> bool) {
    crate::server::wait_until(what, PATIENCE, holds).await;
}
