use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures::{Stream, StreamExt};

use super::executions::execution_id;
use super::{ApiState, Problem};
use crate::service::run::Event;
use crate::wire::{ExecutionBody, GapBody, LineBody};

/// Shorter than what load balancers take for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Follow an execution.
///
/// Server-sent events: `line` for each call of the console, those that are kept first and then
/// live ones; `gap` where calls were dropped before this reader came to them; `end` with the whole
/// execution, after which the stream closes. A comment is sent each 15 seconds. `Last-Event-ID` goes
/// on after the event of that id.
#[utoipa::path(
    get,
    path = "/api/executions/{id}/events",
    operation_id = "followExecution",
    tag = "executions",
    params(
        ("id" = String, Path, description = "Its id"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The id of the last event seen"),
    ),
    responses(
        (status = 200, description =
            "The data of `line` is a LineBody, of `gap` a GapBody, of `end` an ExecutionBody",
            content_type = "text/event-stream", body = String,
            example = "event: line\nid: 1\ndata: {\"seq\":1,\"level\":\"log\",\"text\":\"hello\"}\n\n")
    )
)]
pub async fn events(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>> + use<>>, Problem> {
    let id = execution_id(&id)?;
    let seen = match headers.get("last-event-id") {
        None => 0,
        Some(value) => {
            let seq = value
                .to_str()
                .ok()
                .and_then(|text| text.trim().parse().ok());
            seq.ok_or_else(|| {
                Problem::invalid(
                    "last-event-id",
                    "the header is the id of an event of this stream",
                )
            })?
        }
    };
    let events = state.executions.events_after(&id, seen).await?;
    let stream = events.map(|event| Ok(rendered(event)));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive")))
}

fn rendered(event: Event) -> SseEvent {
    let data = match event {
        Event::Line { seq, level, text } => {
            let line = LineBody {
                seq,
                level: level.into(),
                text,
            };
            SseEvent::default()
                .event("line")
                .id(seq.to_string())
                .json_data(line)
        }
        Event::Gap {
            seq,
            dropped,
            dropped_bytes,
        } => {
            let gap = GapBody {
                seq,
                dropped,
                dropped_bytes,
            };
            SseEvent::default()
                .event("gap")
                .id(seq.to_string())
                .json_data(gap)
        }
        Event::End(execution) => SseEvent::default()
            .event("end")
            .json_data(ExecutionBody::from(*execution)),
    };
    data.expect("these bodies are always JSON")
}
