//! HTTP. A handler parses, makes one call of a service, and renders.
//!
//! `routes` lists what there is; router and OpenAPI document are both made from that list. `body`
//! reads what `POST /api/exec` is sent, `problem` renders what went wrong, `guard` says who may call.
//! The JSON itself is in `crate::wire`, shared with MCP.

mod about;
mod body;
mod events;
mod exec;
mod executions;
mod guard;
mod health;
mod observe;
mod openapi;
mod prefer;
mod problem;
mod readiness;
mod routes;
mod sessions;
mod tags;
mod tasks;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
pub use guard::Guard;
pub use problem::Problem;
pub use readiness::{NodeState, Readiness};
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::{Config, HttpConfig};
use crate::error_code::ErrorCode;
use crate::service::executions::Executions;
use crate::service::sessions::Sessions;
use crate::service::tags::Tags;
use crate::service::tasks::Tasks;
use crate::workers::Workers;

/// What the handlers need.
#[derive(Clone)]
pub struct ApiState {
    /// The executions.
    pub executions: Executions,
    /// The sessions; none on a node that runs without them.
    pub sessions: Option<Sessions>,
    /// The tags.
    pub tags: Tags,
    /// The tasks.
    pub tasks: Tasks,
    /// The processes behind them, for reports only.
    pub workers: Workers,
    /// The configuration.
    pub config: Arc<Config>,
    /// Whether this node wants requests.
    pub ready: Readiness,
}

/// The routes of the API. [`protect`] goes around them and whatever is merged with them.
pub fn router(state: ApiState) -> Router {
    let mut router = Router::new();
    for route in routes::ROUTES {
        router = router.route(route.path, (route.handler)());
    }
    router
        .layer(DefaultBodyLimit::max(state.config.http.body_bytes_max))
        .method_not_allowed_fallback(no_method)
        .with_state(state)
}

/// Puts around all routes what every request gets: an id and figures, the checks of host and origin,
/// an answer when a handler panics, and one when there is no route.
pub fn protect(routes: Router, config: &HttpConfig) -> Router {
    routes
        .fallback(no_route)
        .layer(from_fn_with_state(Guard::new(config), guard::check))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(observe::observe))
}

async fn no_route(request: Request) -> Problem {
    let detail = format!("there is nothing at {}", request.uri().path());
    Problem::new(ErrorCode::NotFound, detail).hint("GET / lists what is here")
}

async fn no_method(request: Request) -> Problem {
    let detail = format!("{} has no {}", request.uri().path(), request.method());
    Problem::new(ErrorCode::MethodNotAllowed, detail).hint("the header Allow lists the methods")
}

fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    // The panic hook has logged what and where.
    Problem::new(ErrorCode::Internal, "the server failed; its log says more").into_response()
}
