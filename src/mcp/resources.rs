//! Executions as resources: `exec://{id}` is all that is known of one, as JSON, and
//! `exec://{id}/output` its console output in pages.

use std::time::Duration;

use rmcp::{
    ErrorData,
    model::{
        CacheScope, MetaObject, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
    },
};
use serde_json::{Value, json};

use crate::{
    service::{
        executions::Executions,
        run::{Error, Execution, ExecutionId, OutputQuery},
    },
    wire::ExecutionBody,
};

const PAGE_BYTES_DEFAULT: u64 = 256 << 10;
const PAGE_BYTES_MAX: u64 = 1 << 20;

/// Where `resources/read` finds an execution.
pub(super) fn execution_uri(id: &ExecutionId) -> String {
    format!("exec://{id}")
}

/// Where `resources/read` finds its console output.
pub(super) fn output_uri(id: &ExecutionId) -> String {
    format!("exec://{id}/output")
}

/// A link to the console output, for replies that hold only a part of it.
pub(super) fn output_link(execution: &Execution) -> Resource {
    Resource::new(output_uri(&execution.id), "console output")
        .with_title("Console output")
        .with_description("The whole console output that was kept; read it in pages.")
        .with_mime_type("text/plain")
        .with_size(execution.output_bytes_total)
}

/// A link to the execution with its whole result.
pub(super) fn execution_link(execution: &Execution) -> Resource {
    Resource::new(execution_uri(&execution.id), "execution")
        .with_title("Execution")
        .with_description("Everything that is known of the execution, with the whole result.")
        .with_mime_type("application/json")
}

/// The forms of the addresses.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("exec://{execution_id}", "execution")
            .with_title("Execution")
            .with_description(
                "Everything that is known of an execution: status, result, error, console output.",
            )
            .with_mime_type("application/json"),
        ResourceTemplate::new("exec://{execution_id}/output{?offset,limit}", "output")
            .with_title("Console output")
            .with_description(
                "The console output of an execution from byte `offset` (0), at most `limit` bytes \
                 (262144, at most 1048576). When there is more, `_meta` of the contents holds the \
                 address of the next page as `next`.",
            )
            .with_mime_type("text/plain"),
    ]
}

#[derive(Debug, PartialEq, Eq)]
enum Address {
    Execution(ExecutionId),
    Output {
        id: ExecutionId,
        offset: u64,
        limit: u64,
    },
}

/// Reads what an address names.
pub(super) async fn read(
    executions: &Executions,
    uri: &str,
) -> Result<ReadResourceResult, ErrorData> {
    let unread = |error: Option<Error>| {
        let data = Some(json!({ "uri": uri }));
        match error {
            Some(error) if error.code().retryable() => {
                ErrorData::internal_error(error.to_string(), data)
            }
            Some(error @ Error::Lost { .. }) => {
                ErrorData::resource_not_found(error.to_string(), data)
            }
            _ => {
                let message = format!("there is no resource {uri}, or it is no longer kept");
                ErrorData::resource_not_found(message, data)
            }
        }
    };
    let (contents, is_final) = match parse(uri).ok_or_else(|| unread(None))? {
        Address::Execution(id) => {
            let execution = executions.get(&id, Duration::ZERO).await;
            let execution = execution.map_err(|error| unread(Some(error)))?;
            let is_final = execution.status.is_final();
            let body = serde_json::to_string(&ExecutionBody::from(execution))
                .expect("an execution has a JSON form");
            let contents = ResourceContents::text(body, uri).with_mime_type("application/json");
            (contents, is_final)
        }
        Address::Output { id, offset, limit } => {
            let query = OutputQuery::Bytes { offset, limit };
            let page = executions.output(&id, query).await;
            let (page, status) = page.map_err(|error| unread(Some(error)))?;
            let is_final = status.is_final();
            let mut meta = json!({
                "start_byte": page.start_byte,
                "end_byte": page.end_byte,
                "total_bytes": page.total_bytes,
                "dropped_bytes": page.dropped_bytes,
            });
            if page.has_more || !is_final {
                let next = page.next_byte_offset;
                meta["next"] = format!("{}?offset={next}&limit={limit}", output_uri(&id)).into();
            }
            let Value::Object(meta) = meta else {
                unreachable!("the literal above is an object");
            };
            let contents = ResourceContents::text(page.data, uri).with_meta(MetaObject(meta));
            (contents, is_final)
        }
    };
    // What has ended stays as it is for as long as it is kept.
    let ttl_ms = if is_final { 60_000 } else { 0 };
    Ok(ReadResourceResult::new(vec![contents])
        .with_ttl_ms(ttl_ms)
        .with_cache_scope(CacheScope::Private))
}

fn parse(uri: &str) -> Option<Address> {
    let rest = uri.strip_prefix("exec://")?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let Some(id) = path.strip_suffix("/output") else {
        let id = path.parse().ok()?;
        return query.is_empty().then_some(Address::Execution(id));
    };
    let (mut offset, mut limit) = (0, PAGE_BYTES_DEFAULT);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=')? {
            ("offset", value) => offset = value.parse().ok()?,
            ("limit", value) => limit = value.parse::<u64>().ok()?.clamp(1, PAGE_BYTES_MAX),
            _ => return None,
        }
    }
    let id = id.parse().ok()?;
    Some(Address::Output { id, offset, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "e1-19a2b3c4d5e-00112233445566778899";

    #[test]
    fn addresses_are_read_strictly() {
        let id: ExecutionId = ID.parse().unwrap();
        assert_eq!(parse(&execution_uri(&id)), Some(Address::Execution(id)));
        let page = |offset, limit| Some(Address::Output { id, offset, limit });
        assert_eq!(parse(&output_uri(&id)), page(0, PAGE_BYTES_DEFAULT));
        let uri = format!("exec://{ID}/output?offset=7&limit=9");
        assert_eq!(parse(&uri), page(7, 9));
        let uri = format!("exec://{ID}/output?limit=99999999999");
        assert_eq!(parse(&uri), page(0, PAGE_BYTES_MAX));
        for wrong in [
            "exec://x".to_owned(),
            format!("file://{ID}"),
            format!("exec://{ID}?offset=1"),
            format!("exec://{ID}/output?offset=-1"),
            format!("exec://{ID}/output?page=1"),
            format!("exec://{ID}/stderr"),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
    }
}
