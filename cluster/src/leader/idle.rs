//! Sessions that nobody has used for long.

use std::time::Duration;

use crate::proto::command::Kind;
use crate::proto::{DeleteSession, SessionRecord};
use crate::state::{PAGE_ROWS_MAX, StateReader, StoreError};

/// Looks through all sessions, page by page, for those whose last run is too long ago.
pub(crate) struct IdleSessions {
    idle: Duration,
    /// The last name of the page before.
    after: Option<String>,
}

impl IdleSessions {
    /// Those that were idle for so long.
    pub fn new(idle: Duration) -> Self {
        Self { idle, after: None }
    }

    /// What is due of the next page at a time; `None` when all were looked at.
    ///
    /// One that runs meanwhile stays: each goes only from where it stands now.
    pub async fn due(
        &mut self,
        state: &StateReader,
        now_ms: u64,
    ) -> Result<Option<Vec<Kind>>, StoreError> {
        let page = state
            .sessions("", self.after.as_deref(), PAGE_ROWS_MAX)
            .await?;
        let Some(last) = page.rows.last() else {
            return Ok(None);
        };
        self.after = Some(last.name.clone());
        let idle_ms = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
        let mut due = Vec::new();
        for session in page.rows {
            let used_ms = last_used_ms(state, &session).await?;
            if used_ms.saturating_add(idle_ms) < now_ms {
                due.push(Kind::DeleteSession(DeleteSession {
                    session_id: session.id,
                    if_heap: Some(session.heap_id),
                }));
            }
        }
        Ok(Some(due))
    }
}

async fn last_used_ms(state: &StateReader, session: &SessionRecord) -> Result<u64, StoreError> {
    let known = session.created_ms.max(session.claimed_ms);
    if session.heap_id.is_empty() {
        return Ok(known);
    }
    let commit = state.commit(&session.heap_id).await?;
    Ok(known.max(commit.map_or(0, |commit| commit.committed_ms)))
}
