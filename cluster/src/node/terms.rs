//! What a write has to meet at the leader, before it is appended and before it is answered.

use tokio::sync::watch;

use super::disk::Disk;
use crate::command::Command;
use crate::proto::command::Kind;

/// What a write has to meet. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Terms {
    disk: Disk,
    /// The last entry of the log that is kept outside of the nodes too.
    outside: Option<watch::Receiver<u64>>,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// There is no room for it.
    NoRoom,
    /// It is answered when it is applied.
    Taken,
    /// Somebody is told of it: it is answered when it is kept outside too.
    Promised,
}

impl Terms {
    /// There is to be room; and where the log is kept outside, it is to be there before callers are told.
    pub fn new(disk: Disk, outside: Option<watch::Receiver<u64>>) -> Self {
        Self { disk, outside }
    }

    /// What becomes of a write. It is looked into only where that matters.
    pub fn of(&self, command: &Command) -> Fate {
        let is_tight = self.disk.is_tight();
        if !is_tight && self.outside.is_none() {
            return Fate::Taken;
        }
        let kind = command.decode().ok().and_then(|command| command.kind);
        if is_tight && self.disk.refuses(kind.as_ref()) {
            Fate::NoRoom
        } else if self.outside.is_some() && kind.is_some_and(|kind| is_promise(&kind)) {
            Fate::Promised
        } else {
            Fate::Taken
        }
    }

    /// Waits until the log is kept outside up to an entry: for as long as the caller does.
    pub async fn kept_outside(&self, index: u64) {
        if let Some(mut outside) = self.outside.clone()
            && outside.wait_for(|kept| *kept >= index).await.is_err()
        {
            // Whoever keeps it is gone with the node: nobody can say that it is there.
            std::future::pending().await
        }
    }
}

/// What the cluster does by itself is done again when it is lost, and must not wait for others.
fn is_promise(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::SetSetting(_)
            | Kind::PutTag(_)
            | Kind::DeleteTag(_)
            | Kind::SetEngineState(_)
            | Kind::CommitHeap(_)
            | Kind::CreateSession(_)
            | Kind::MoveSession(_)
            | Kind::RenameSession(_)
            | Kind::DeleteSession(_)
            | Kind::CreateTask(_)
            | Kind::CancelTask(_)
            | Kind::DeleteTask(_)
            | Kind::FinishTask(_)
    )
}
