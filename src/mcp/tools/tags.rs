//! Tags: the small memory that all agents of a cluster share.

use std::time::{Duration, Instant};

use rmcp::model::{CallToolResult, Tool, ToolAnnotations};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::{
    ToolError,
    arguments::{ArgumentError, Arguments},
    definitions::{input, only_reads, tool, whole},
    reply,
};
use crate::{
    service::tags::{Freshness, Tags},
    wire::{TagBody, TagListBody, TagVersionBody},
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
    let if_version = |text: &str| json!({ "type": "integer", "minimum": 0, "description": text });
    vec![
        tool(
            "tag_put",
            "Write a tag",
            "Writes a small JSON value under a name, for later and for other agents: tags are shared \
             by everybody who uses this server, survive restarts where the server keeps a directory, \
             and are the same on all of its nodes. Gives the new version."
                .to_owned(),
            input(
                json!({
                    "name": name(),
                    "value": { "description": "Any JSON value, at most 65,536 bytes of it." },
                    "if_version": if_version(
                        "Write only if the tag has this version; 0: only if there is no such tag. So \
                         of several that have read the same, one succeeds."
                    ),
                }),
                &["name", "value"],
            ),
        )
        .with_output_schema::<TagVersionBody>()
        .with_annotations(writes()),
        tool(
            "tag_get",
            "Read a tag",
            "Reads a value that tag_put wrote, with its version.".to_owned(),
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
    let value = value.ok_or(ArgumentError::Missing { name: "value" })?;
    let if_version = arguments.number("if_version")?;
    arguments.finish()?;
    let value = to_raw_value(&value).expect("a JSON value has a JSON form");
    let deadline = Instant::now() + PATIENCE;
    let written = tags.put(name.clone(), &value, if_version, "", deadline);
    let version = written.await?;
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
    let text = format!("{}\n[version {}]", tag.value.get(), tag.version);
    Ok(reply::of_body(text, &TagBody::from(tag)))
}

/// A page of them.
pub(super) async fn list(
    tags: &Tags,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let prefix = arguments.text("prefix")?.unwrap_or_default();
    let after = arguments.text("after")?;
    let limit = arguments.number_up_to("limit", LIST_MAX)?;
    arguments.finish()?;
    let limit = usize::try_from(limit.unwrap_or(LIST_DEFAULT)).unwrap_or(usize::MAX);
    let page = tags
        .list(&prefix, after.as_deref(), limit, newest())
        .await?;
    let body = TagListBody::from(page);
    let mut lines: Vec<_> = body
        .tags
        .iter()
        .map(|tag| {
            format!(
                "{} = {} [version {}]",
                tag.name,
                tag.value.get(),
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

fn newest() -> Freshness {
    Freshness::Newest(Instant::now() + PATIENCE)
}
