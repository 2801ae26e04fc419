use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::model::ClientJsonRpcMessage;
use tokio::sync::mpsc;

/// Messages of a client that the handler has not taken yet.
const UP_MESSAGES_MAX: usize = 32;

type Senders = HashMap<String, mpsc::Sender<ClientJsonRpcMessage>>;

/// The open streams of the legacy transport, by their secret ids.
#[derive(Clone)]
pub(super) struct Sessions {
    senders: Arc<Mutex<Senders>>,
    sessions_max: usize,
}

/// A session that is open as long as this lives.
pub(super) struct OpenSession {
    id: String,
    sessions: Sessions,
}

impl Sessions {
    pub fn new(sessions_max: usize) -> Self {
        Self {
            senders: Arc::default(),
            sessions_max,
        }
    }

    /// A new session and what its client sends, unless too many are open.
    pub fn open(&self) -> Option<(OpenSession, mpsc::Receiver<ClientJsonRpcMessage>)> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).ok()?;
        let id = format!("{:032x}", u128::from_be_bytes(secret));
        let (sender, receiver) = mpsc::channel(UP_MESSAGES_MAX);
        let mut senders = self.lock();
        if senders.len() >= self.sessions_max {
            return None;
        }
        senders.insert(id.clone(), sender);
        drop(senders);
        let sessions = self.clone();
        Some((OpenSession { id, sessions }, receiver))
    }

    /// Where to put the messages for an open session.
    pub fn get(&self, id: &str) -> Option<mpsc::Sender<ClientJsonRpcMessage>> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Senders> {
        // The map is whole after every statement, so a panic elsewhere leaves nothing half done.
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenSession {
    /// The secret that the client repeats with each message.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_stream_and_frees_its_place() {
        let sessions = Sessions::new(1);
        let (open, up) = sessions.open().unwrap();
        assert!(sessions.open().is_none());
        let id = open.id().to_owned();
        assert_eq!(id.len(), 32);
        let sender = sessions.get(&id).unwrap();
        assert_eq!(sender.max_capacity(), UP_MESSAGES_MAX);
        assert!(!sender.is_closed());
        drop((open, up));
        assert!(sender.is_closed());
        assert!(sessions.get(&id).is_none());
        assert!(sessions.open().is_some());
    }

    #[test]
    fn ids_differ() {
        let sessions = Sessions::new(2);
        let (first, second) = (sessions.open().unwrap(), sessions.open().unwrap());
        assert_ne!(first.0.id(), second.0.id());
    }
}
