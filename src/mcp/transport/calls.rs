use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::body::Body;
use futures::StreamExt;
use rmcp::model::RequestId;
use tokio_util::sync::CancellationToken;

/// The longest session name that is taken from a client; ours have 32 characters.
const SESSION_BYTES_MAX: usize = 64;

/// The calls that clients of older versions may still take back.
///
/// Those clients don't hang up when they give up on a call: they post a `notifications/cancelled` with
/// the call's id, and ids are only unique within a client. So each `initialize` gets a random session
/// name, which the client repeats from then on. It ties the two posts together and means nothing else:
/// no request needs one, and any name is accepted.
#[derive(Clone, Default)]
pub(super) struct Calls {
    inner: Arc<Inner>,
}

type Key = (String, RequestId);

#[derive(Default)]
struct Inner {
    tokens: Mutex<HashMap<Key, (u64, CancellationToken)>>,
    sequence: AtomicU64,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (u64, CancellationToken)>> {
        // The map is whole after every statement, so a panic elsewhere leaves nothing half done.
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// A name for a new client.
    pub fn session_name() -> Option<String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        Some(format!("{:032x}", u128::from_be_bytes(random)))
    }

    /// Remembers a call until what is returned is dropped.
    pub fn begin(&self, session: &str, id: RequestId) -> Option<Call> {
        if session.len() > SESSION_BYTES_MAX {
            return None;
        }
        let sequence = self.inner.sequence.fetch_add(1, Ordering::Relaxed);
        let token = CancellationToken::new();
        let key = (session.to_owned(), id);
        self.inner
            .lock()
            .insert(key.clone(), (sequence, token.clone()));
        Some(Call {
            inner: Arc::clone(&self.inner),
            key,
            sequence,
            token,
        })
    }

    /// Ends a call that its client has taken back; one that is over stays so.
    pub fn cancel(&self, session: &str, id: RequestId) {
        if let Some((_, token)) = self.inner.lock().get(&(session.to_owned(), id)) {
            token.cancel();
        }
    }
}

/// A call in flight.
pub(super) struct Call {
    inner: Arc<Inner>,
    key: Key,
    sequence: u64,
    token: CancellationToken,
}

impl Call {
    /// Returns when the client has taken it back.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// A reply's body that ends when the call is taken back. The server drops it then, and with it
    /// whatever made it.
    pub fn guard(self, body: Body) -> Body {
        let until = self.token.clone().cancelled_owned();
        let chunks = body.into_data_stream().take_until(until);
        Body::from_stream(chunks.map(move |chunk| {
            let _remembered = &self;
            chunk
        }))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut tokens = self.inner.lock();
        // A client that gave two calls one id has overwritten the first.
        if tokens
            .get(&self.key)
            .is_some_and(|(sequence, _)| *sequence == self.sequence)
        {
            tokens.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_call_is_found_by_session_and_id_as_long_as_it_lasts() {
        let calls = Calls::default();
        let id = RequestId::Number(1);
        let call = calls.begin("a", id.clone()).unwrap();
        calls.cancel("b", id.clone());
        calls.cancel("a", RequestId::String("1".into()));
        assert!(call.cancelled().now_or_never().is_none());
        calls.cancel("a", id.clone());
        assert!(call.cancelled().now_or_never().is_some());
        drop(call);
        assert!(calls.inner.lock().is_empty());
        assert!(calls.begin(&"x".repeat(65), id).is_none());
    }

    #[test]
    fn the_second_call_of_one_id_outlives_the_first() {
        let calls = Calls::default();
        let id = RequestId::Number(1);
        let first = calls.begin("a", id.clone()).unwrap();
        let second = calls.begin("a", id.clone()).unwrap();
        drop(first);
        calls.cancel("a", id);
        assert!(second.cancelled().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_body_ends_when_its_call_is_taken_back() {
        let calls = Calls::default();
        let id = RequestId::Number(1);
        let call = calls.begin("a", id.clone()).unwrap();
        let endless = futures::stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"x"))])
            .chain(futures::stream::pending());
        let mut chunks = call.guard(Body::from_stream(endless)).into_data_stream();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "x");
        assert!(chunks.next().now_or_never().is_none());
        calls.cancel("a", id);
        assert!(chunks.next().await.is_none());
        drop(chunks);
        assert!(calls.inner.lock().is_empty());
    }
}
