//! Tags: the small memory that all agents of a cluster share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::model::{CallToolResult, Tool, ToolAnnotations};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::{
    ToolError,
    arguments::Arguments,
    definitions::{input, only_reads, tool, whole},
    reply,
};
use crate::{
    service::tags::{Filter, Freshness, Tags},
    wire::{Invalid, PutTagBody, TagBody, TagListBody, TagVersionBody},
};

/// A call waits so long for the cluster.
const PATIENCE: Duration = Duration::from_secs(10);
const LIST_DEFAULT: u64 = 20;
const LIST_MAX: u64 = 1000;

/// The tools, in an order that never changes.
pub(super) fn definitions() -> Vec<Tool> {
    let name = || {
        json!({
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "description": "The tag's name; a prefix such as `plan/` keeps names apart.",
        })
    };
    let heap = |text: &str| json!({ "type": "string", "minLength": 64, "maxLength": 64, "description": text });
    let if_version = |text: &str| json!({ "type": "integer", "minimum": 0, "description": text });
    vec![
        tool(
            "tag_put",
            "Write a tag",
            "Writes a small JSON value under a name, or a name for a heap, for later and for other agents: tags are shared \
             by everybody who uses this server, survive restarts where the server keeps a directory, \
             and are the same on all of its nodes. Gives the new version."
                .to_owned(),
            input(
                json!({
                    "name": name(),
                    "value": {
                        "description": "Any JSON value, at most 65,536 bytes of it; may be left out beside `heap`."
                    },
                    "heap": heap(
                        "A heap that the tag is to point at, from `heap` of run_js or session_log: it is \
                         kept as long as the tag is, also when its session is deleted."
                    ),
                    "if_version": if_version(
                        "Write only if the tag has this version; 0: only if there is no such tag. So \
                         of several that have read the same, one succeeds."
                    ),
                }),
                &["name"],
            ),
        )
        .with_output_schema::<TagVersionBody>()
        .with_annotations(writes()),
        tool(
            "tag_get",
            "Read a tag",
            "Reads a value that tag_put wrote, with its version, and the heap that it points at.".to_owned(),
            input(json!({ "name": name() }), &["name"]),
        )
        .with_output_schema::<TagBody>()
        .with_annotations(only_reads()),
        tool(
            "tag_list",
            "List tags",
            "Lists tags with their values, in the order of their names.".to_owned(),
            input(
                json!({
                    "prefix": {
                        "type": "string",
                        "description": "Only those whose names begin so.",
                    },
                    "heap": heap("Only those that point at this heap; not beside `prefix`."),
                    "after": {
                        "type": "string",
                        "description": "The `next_after` of the page before, to go on.",
                    },
                    "limit": whole(1, LIST_MAX, LIST_DEFAULT, "The most tags."),
                }),
                &[],
            ),
        )
        .with_output_schema::<TagListBody>()
        .with_annotations(only_reads()),
        tool(
            "tag_delete",
            "Remove a tag",
            "Removes a tag. Gives the version that it had.".to_owned(),
            input(
                json!({
                    "name": name(),
                    "if_version": if_version("Remove it only if it has this version."),
                }),
                &["name"],
            ),
        )
        .with_output_schema::<TagVersionBody>()
        .with_annotations(writes()),
    ]
}

fn writes() -> ToolAnnotations {
    ToolAnnotations::new()
        .read_only(false)
        .destructive(true)
        .idempotent(true)
        .open_world(false)
}

/// Writes one.
pub(super) async fn put(
    tags: &Tags,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let name = arguments.required_text("name")?;
    let value = arguments.any("value");
    let value = value.map(|value| to_raw_value(&value).expect("a JSON value has a JSON form"));
    let body = PutTagBody {
        value: value.map(Arc::from),
        heap: arguments.text("heap")?,
        if_version: arguments.number("if_version")?,
    };
    arguments.finish()?;
    let new = body.into_tag(name.clone())?;
    let deadline = Instant::now() + PATIENCE;
    let version = tags.put(new, "", deadline).await?;
    let text = format!("{name} is written, version {version}");
    Ok(reply::of_body(text, &TagVersionBody { name, version }))
}

/// Reads one.
pub(super) async fn get(
    tags: &Tags,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let name = arguments.required_text("name")?;
    arguments.finish()?;
    let tag = tags.get(&name, newest()).await?;
    let tag = TagBody::from(tag);
    let text = format!(
        "{}\n[{}version {}]",
        tag.value.get(),
        at_heap(&tag),
        tag.version
    );
    Ok(reply::of_body(text, &tag))
}

/// A page of them.
pub(super) async fn list(
    tags: &Tags,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let prefix = arguments.text("prefix")?.unwrap_or_default();
    let heap = arguments.text("heap")?;
    let after = arguments.text("after")?;
    let limit = arguments.number_up_to("limit", LIST_MAX)?;
    arguments.finish()?;
    let limit = usize::try_from(limit.unwrap_or(LIST_DEFAULT)).unwrap_or(usize::MAX);
    if heap.is_some() && !prefix.is_empty() {
        return Err(Invalid::Both {
            field: "heap",
            other: "prefix",
        }
        .into());
    }
    let heap = heap.as_deref().map(str::parse).transpose();
    let filter = Filter {
        prefix: &prefix,
        heap: heap.map_err(Invalid::from)?,
        after: after.as_deref(),
    };
    let page = tags.list(filter, limit, newest()).await?;
    let body = TagListBody::from(page);
    let mut lines: Vec<_> = body
        .tags
        .iter()
        .map(|tag| {
            format!(
                "{} = {} [{}version {}]",
                tag.name,
                tag.value.get(),
                at_heap(tag),
                tag.version
            )
        })
        .collect();
    if lines.is_empty() {
        lines.push("no tags".to_owned());
    }
    if let Some(next) = &body.next_after {
        lines.push(format!("[more: after {next}]"));
    }
    Ok(reply::of_body(lines.join("\n"), &body))
}

/// Removes one.
pub(super) async fn delete(
    tags: &Tags,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let name = arguments.required_text("name")?;
    let if_version = arguments.number("if_version")?;
    arguments.finish()?;
    let deadline = Instant::now() + PATIENCE;
    let removed = tags.delete(name.clone(), if_version, "", deadline);
    let version = removed.await?;
    let text = format!("{name} is gone; it had version {version}");
    Ok(reply::of_body(text, &TagVersionBody { name, version }))
}

fn at_heap(tag: &TagBody) -> String {
    let heap = tag.heap.as_deref();
    heap.map_or_else(String::new, |heap| format!("heap {heap}, "))
}

fn newest() -> Freshness {
    Freshness::Newest(Instant::now() + PATIENCE)
}
