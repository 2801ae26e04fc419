//! What every request gets: an id, a line in the log, its place in the figures, and in a trace.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Span, field};

use crate::metrics;
use crate::telemetry::Caller;

/// Counts and times the request, and gives its reply the caller's `X-Request-Id` or one of ours.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let method = request.method().clone();
    let caller = Caller::of(request.headers());
    let id = caller.id.clone();
    let span = tracing::debug_span!(
        "request",
        request_id = %id,
        %method,
        route,
        status = field::Empty,
        otel.kind = "server",
        otel.name = format!("{method} {route}"),
    );
    let answered = async {
        // MCP handles a call elsewhere than where it comes in.
        Caller::tell(request.headers_mut());
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let duration = start.elapsed();
        metrics::http_request(route, status, duration);
        Span::current().record("status", status);
        tracing::debug!(
            status,
            duration_ms = duration.as_secs_f64() * 1e3,
            "request"
        );
        response
    };
    let mut response = caller.follow(span, answered).await;
    id.tell(response.headers_mut());
    response
}
