//! What a client hears while its call runs: console lines as log messages, and progress.
#![expect(
    deprecated,
    reason = "logging is deprecated in the protocol and still what clients show"
)]

use std::time::Duration;

use rmcp::{
    Peer, RoleServer,
    model::{
        LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken,
        ProtocolVersion,
    },
    service::RequestContext,
};
use serde_json::json;
use tokio::time::Instant;

use crate::service::run::ConsoleLevel;

/// Log messages of one call; whoever prints more is read in the output.
const LOG_MESSAGES_MAX: usize = 1000;
/// The part of a console line that a log message carries.
const LOG_BYTES_MAX: usize = 4 << 10;
/// The part of a console line that a progress message carries.
const PROGRESS_BYTES_MAX: usize = 200;
/// The shortest time between two progress messages.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Clients give up on calls that say nothing for long.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// The client of one call, as far as it wants to hear of it.
pub(super) struct Listener {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    level: Option<LoggingLevel>,
    began: Instant,
    last_progress: Instant,
    messages: usize,
}

impl Listener {
    /// What the client of this request asked for.
    ///
    /// The newest protocol version asks with each request. In older ones a level holds for the
    /// session, `session_level`; and where there is no session to remember one, the server decides.
    pub fn of(context: &RequestContext<RoleServer>, session_level: LoggingLevel) -> Self {
        let modern = context
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let now = Instant::now();
        Self {
            peer: context.peer.clone(),
            token: context.meta.get_progress_token(),
            level: if modern {
                context.meta.log_level()
            } else {
                Some(session_level)
            },
            began: now,
            last_progress: now,
            messages: 0,
        }
    }

    /// Whether anything that is printed would be told.
    pub fn wants_lines(&self) -> bool {
        self.token.is_some() || self.level.is_some()
    }

    /// Tells of a console line.
    pub async fn line(&mut self, level: ConsoleLevel, text: &str) {
        self.log(logging_level(level), text).await;
        if self.last_progress.elapsed() >= PROGRESS_EVERY {
            let line = text.lines().next_back().unwrap_or_default();
            self.progress(cut(line, PROGRESS_BYTES_MAX)).await;
        }
    }

    /// Tells of lines that were dropped because they came faster than they were read.
    pub async fn gap(&mut self, dropped: u64) {
        let text = format!("{dropped} console lines were left out here");
        self.log(LoggingLevel::Warning, &text).await;
    }

    /// Waits until the client has heard nothing for too long; for ever when it has no ear for it.
    pub async fn silence(&self) {
        match self.token {
            Some(_) => tokio::time::sleep_until(self.last_progress + HEARTBEAT_EVERY).await,
            None => std::future::pending().await,
        }
    }

    /// Says that the call is alive.
    pub async fn heartbeat(&mut self) {
        let text = format!("still at work after {} s", self.began.elapsed().as_secs());
        self.progress(&text).await;
    }

    async fn log(&mut self, level: LoggingLevel, text: &str) {
        let Some(least) = self.level else { return };
        if severity(level) < severity(least) || self.messages > LOG_MESSAGES_MAX {
            return;
        }
        self.messages += 1;
        let data = if self.messages > LOG_MESSAGES_MAX {
            json!("further console lines are only in the output")
        } else {
            json!(cut(text, LOG_BYTES_MAX))
        };
        let message = LoggingMessageNotificationParam::new(level, data).with_logger("console");
        // A client that has gone is noticed by the cancellation of the call.
        let _ = self.peer.notify_logging_message(message).await;
    }

    async fn progress(&mut self, text: &str) {
        let Some(token) = self.token.clone() else {
            return;
        };
        self.last_progress = Instant::now();
        // How far a script is nobody knows; the seconds only ever grow, as the protocol wants.
        let seconds = self.began.elapsed().as_secs_f64();
        let progress = ProgressNotificationParam::new(token, seconds).with_message(text);
        let _ = self.peer.notify_progress(progress).await;
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn logging_level(level: ConsoleLevel) -> LoggingLevel {
    match level {
        ConsoleLevel::Debug => LoggingLevel::Debug,
        ConsoleLevel::Log | ConsoleLevel::Info => LoggingLevel::Info,
        ConsoleLevel::Warn => LoggingLevel::Warning,
        ConsoleLevel::Error => LoggingLevel::Error,
    }
}

/// The order of the levels, which the SDK's type lacks.
fn severity(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
