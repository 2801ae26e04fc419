use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Invalid, rfc3339};
use crate::raw_json;
use crate::service::tags::{NewTag, Tag, TagPage};

/// A tag.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "name": "plan/step",
    "value": {"step": 3},
    "version": 42,
    "changed_at": "2026-01-02T03:04:05.678Z"
}))]
pub struct TagBody {
    /// Its name.
    pub name: String,
    /// Its value, any JSON.
    #[schemars(with = "serde_json::Value")]
    #[schema(value_type = serde_json::Value)]
    pub value: Box<RawValue>,
    /// The heap that it points at, which is kept as long as it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// Another one after each write, larger each time, also when the tag was removed in between.
    pub version: u64,
    /// When it was written (RFC 3339, UTC), by the clock of the node that took the request.
    #[schema(format = DateTime)]
    pub changed_at: String,
}

/// What to write.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": {"step": 3}, "if_version": 41}))]
pub struct PutTagBody {
    /// Any JSON, at most 65,536 bytes of it; may be left out, for null, when there is a heap.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub value: Option<Arc<RawValue>>,
    /// The heap that the tag is to point at, by its 64 hex digits: it is kept as long as the tag does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// Write only if the tag has this version; 0: only if there is no such tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
}

/// A write that took effect.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({"name": "plan/step", "version": 42}))]
pub struct TagVersionBody {
    /// The tag.
    pub name: String,
    /// Its version now; for a removal the one that it had.
    pub version: u64,
}

/// A page of tags, in the order of the bytes of their names.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct TagListBody {
    /// The tags.
    pub tags: Vec<TagBody>,
    /// Given as `after`, it gets the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}

impl PutTagBody {
    /// The tag that this asks for.
    ///
    /// # Errors
    /// There is neither a value nor a heap, or the heap is none.
    pub fn into_tag(self, name: String) -> Result<NewTag, Invalid> {
        if self.value.is_none() && self.heap.is_none() {
            return Err(Invalid::Neither {
                field: "value",
                other: "heap",
            });
        }
        let heap = self.heap.as_deref().map(str::parse).transpose()?;
        Ok(NewTag {
            name,
            value: self.value,
            heap,
            if_version: self.if_version,
        })
    }
}

impl From<Tag> for TagBody {
    fn from(tag: Tag) -> Self {
        Self {
            name: tag.name,
            value: tag.value,
            heap: tag.heap.map(|heap| heap.to_string()),
            version: tag.version,
            changed_at: rfc3339(tag.changed_ms),
        }
    }
}

impl From<TagPage> for TagListBody {
    fn from(page: TagPage) -> Self {
        let last = page.tags.last().filter(|_| page.more);
        Self {
            next_after: last.map(|tag| tag.name.clone()),
            tags: page.tags.into_iter().map(TagBody::from).collect(),
        }
    }
}
