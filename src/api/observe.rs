//! What every request gets: an id, a line in the log, its place in the figures.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ID_BYTES_MAX: usize = 128;

/// Counts and times the request, and gives its reply the caller's `X-Request-Id` or one of ours.
pub async fn observe(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let id = match request.headers().get(&REQUEST_ID) {
        Some(id) if acceptable(id) => id.clone(),
        _ => new_id(),
    };
    let mut response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let status = response.status().as_u16();
    let duration = start.elapsed();
    metrics::http_request(route, status, duration);
    tracing::debug!(
        request_id = id.to_str().unwrap_or_default(),
        %method,
        route,
        status,
        duration_ms = duration.as_secs_f64() * 1e3,
        "request"
    );
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn acceptable(id: &HeaderValue) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Different in each life of each node; not a secret.
fn new_id() -> HeaderValue {
    static LIFE: LazyLock<u32> = LazyLock::new(|| getrandom::u32().unwrap_or_default());
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = format!("{:08x}-{:x}", *LIFE, NEXT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).expect("hex digits and a dash")
}
