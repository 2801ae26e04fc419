//! Who asks: the id of a request and the trace that it belongs to, from the caller through all nodes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header, and the metadata between nodes.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ID_BYTES_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// What a request is called in the logs of all nodes: 1 to 128 printable characters of ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new one: different in each life of each node, and not a secret.
    pub fn new() -> Self {
        static LIFE: LazyLock<u32> = LazyLock::new(|| getrandom::u32().unwrap_or_default());
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = format!("{:08x}-{:x}", *LIFE, NEXT.fetch_add(1, Ordering::Relaxed));
        Self(id.into())
    }

    /// That of the request that is being handled here.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    fn given(bytes: &[u8]) -> Option<Self> {
        let fits = !bytes.is_empty()
            && bytes.len() <= ID_BYTES_MAX
            && bytes.iter().all(u8::is_ascii_graphic);
        let text = std::str::from_utf8(bytes).ok().filter(|_| fits)?;
        Some(Self(text.into()))
    }

    /// Adds it to a reply.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let value = HeaderValue::try_from(&*self.0).expect("an id is printable");
        headers.insert(REQUEST_ID, value);
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asks.
pub struct Caller {
    /// The request's id.
    pub id: RequestId,
    trace: opentelemetry::Context,
}

impl Caller {
    /// The cluster itself, for something that has an id of its own.
    pub fn itself(id: &str) -> Self {
        Self {
            id: RequestId::given(id.as_bytes()).unwrap_or_default(),
            trace: opentelemetry::Context::new(),
        }
    }

    /// As a request tells it in `X-Request-Id` and `traceparent`; else it gets an id. Metadata between nodes are
    /// headers too.
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&REQUEST_ID);
        let id = given.and_then(|id| RequestId::given(id.as_bytes()));
        Self {
            id: id.unwrap_or_default(),
            trace: TraceContextPropagator::new().extract(&InHeaders(headers)),
        }
    }

    /// Tells whoever handles the request next.
    pub fn tell(headers: &mut HeaderMap) {
        if let Some(id) = RequestId::current() {
            id.tell(headers);
        }
        let trace = Span::current().context();
        TraceContextPropagator::new().inject_context(&trace, &mut IntoHeaders(headers));
    }

    /// Does something as a part of the caller's trace, in this span.
    pub async fn follow<T>(self, span: Span, work: impl Future<Output = T>) -> T {
        // Without a collector, or once the span has begun, there is no trace to belong to.
        let _ = span.set_parent(self.trace);
        let work = tracing::Instrument::instrument(work, span);
        CURRENT.scope(self.id, work).await
    }
}

struct InHeaders<'a>(&'a HeaderMap);

impl Extractor for InHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct IntoHeaders<'a>(&'a mut HeaderMap);

impl Injector for IntoHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        let key = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(key), Ok(value)) = (key, HeaderValue::try_from(value)) {
            self.0.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_or_made() {
        let mut headers = HeaderMap::new();
        let (one, other) = (Caller::of(&headers).id, Caller::of(&headers).id);
        assert_ne!(one, other);
        headers.insert(REQUEST_ID, HeaderValue::from_static("mine-1"));
        assert_eq!(Caller::of(&headers).id.to_string(), "mine-1");
        for bad in ["", "a b", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert_eq!(RequestId::given(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_id_goes_to_another_node() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("mine-2"));
        let caller = Caller::of(&headers);
        let mut metadata = HeaderMap::new();
        let told = caller.follow(Span::none(), async { Caller::tell(&mut metadata) });
        told.await;
        assert_eq!(Caller::of(&metadata).id.to_string(), "mine-2");
        let mut nobody = HeaderMap::new();
        Caller::tell(&mut nobody);
        assert!(nobody.is_empty());
    }
}
