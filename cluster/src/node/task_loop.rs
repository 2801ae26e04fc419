//! As the leader: hands tasks to nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use tokio::time::MissedTickBehavior;

use super::core::Core;
use super::propose::now_ms;
use crate::leader::Assignments;
use crate::proto::command::Kind;
use crate::proto::reply::Outcome;

/// How long one proposal may take before the loop looks around again.
const PATIENCE: Duration = Duration::from_secs(10);
/// So often it looks at the least: nodes come with room, and other nodes lead.
const PERIOD: Duration = Duration::from_millis(250);
/// So many commands are under way at once.
const PROPOSALS_MAX: usize = 64;

/// Hands out what is due whenever a task changes, and when its time comes.
pub(super) async fn task_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member hands out tasks");
    let mut changed = core.state.watch_tasks();
    let mut beat = tokio::time::interval(PERIOD);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = PERIOD;
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            // A time that is due before the next beat.
            () = tokio::time::sleep(next) => {}
            changed = changed.changed() => if changed.is_err() { return },
        }
        next = PERIOD;
        if !member.leader.is_here() {
            continue;
        }
        let due = match Assignments::due(&core.state, &core.liveness, now_ms()).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "tasks can't be looked for");
                continue;
            }
        };
        if let Some(next_ms) = due.next_ms {
            let until = Duration::from_millis(next_ms.saturating_sub(now_ms()).max(1));
            next = until.min(PERIOD);
        }
        let proposals = due.commands.into_iter().map(|kind| propose(&core, kind));
        let mut proposals = stream::iter(proposals).buffer_unordered(PROPOSALS_MAX);
        while proposals.next().await.is_some() {}
    }
}

async fn propose(core: &Core, kind: Kind) {
    let proposed = core.propose(kind, "", Instant::now() + PATIENCE).await;
    match proposed.map(|committed| committed.reply.outcome) {
        // It was cancelled, or has ended meanwhile.
        Ok(Some(Outcome::Refused(refused))) => {
            tracing::debug!(reason = refused.reason, "a task is as it was");
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "a task is not handed out yet"),
    }
}
