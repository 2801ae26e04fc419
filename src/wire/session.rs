use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{ErrorBody, rfc3339};
use crate::raw_json;
use crate::service::run::{Status, StoredReply};
use crate::service::sessions::{
    self, Commit, CommitPage, Comparison, HeapId, Point, SessionInfo, SessionPage, Shown,
};

/// A session: a JavaScript world that stays from run to run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "name": "agent-7",
    "session_id": "00112233445566778899aabbccddeeff",
    "heap": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commits": 12,
    "engine": "1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014",
    "owner": "n2",
    "created_at": "2026-01-02T03:04:05.678Z"
}))]
pub struct SessionBody {
    /// Its name.
    pub name: String,
    /// Its immutable id.
    pub session_id: String,
    /// Where it stands; missing before its first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// How many runs lead there.
    pub commits: u64,
    /// The version of the worker that made it: it runs in no other.
    pub engine: String,
    /// The node that runs it; missing while none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether a process waits for its next run; told by the node that runs it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<bool>,
    /// When it was made (RFC 3339, UTC).
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A page of sessions, in the order of the bytes of their names.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct SessionListBody {
    /// The sessions.
    pub sessions: Vec<SessionBody>,
    /// Given as `after`, it gets the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}

/// One run of a session's history.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct CommitBody {
    /// The heap that it made.
    pub heap: String,
    /// The heap that it began with; missing at the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How many runs lead here, this one among them.
    pub number: u64,
    /// What ran.
    pub code: String,
    /// Its language, as the request had it.
    pub language: String,
    /// How the run ended.
    pub status: Status,
    /// Its result as JSON, when it has one.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Arc<RawValue>>,
    /// What a console would print for the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub result_text: Option<Arc<str>>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// What the console printed.
    pub output: String,
    /// The size of what the run changed, in bytes as they are kept; missing where it is kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_bytes: Option<u64>,
    /// When it was kept (RFC 3339, UTC).
    #[schema(format = DateTime)]
    pub committed_at: String,
}

/// A page of a history, the newest run first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct CommitListBody {
    /// The runs.
    pub commits: Vec<CommitBody>,
    /// Given as `from`, it gets the next page; missing at the first run of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_from: Option<String>,
}

/// A session to make.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "what-if", "from": "agent-7", "commit": 11}))]
pub struct CreateSessionBody {
    /// Its name: 1 to 256 bytes without control characters.
    pub name: String,
    /// Begin where this session stands; without it and without `heap`, with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Begin with this heap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// With `from`: begin after so many of its runs; 0 is before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
}

/// Where a session is to stand. Give `heap` or `commit`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"commit": 11}))]
pub struct ResetSessionBody {
    /// This heap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// After so many runs; 0 is before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// Only when it stands here now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_heap: Option<String>,
}

/// What two states of a session have by name, where they differ.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "from": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "to": "1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014",
    "differences": [
        {"name": "total", "before": {"text": "3", "bytes": 1}, "after": {"text": "7", "bytes": 1}},
        {"name": "add", "after": {"text": "(a, b) => a + b", "bytes": 15}}
    ]
}))]
pub struct SessionDiffBody {
    /// The first heap; missing before the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The second heap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What differs, in the order of the names.
    pub differences: Vec<DifferenceBody>,
}

/// A name whose value is another one, or that only one of the two has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct DifferenceBody {
    /// The name.
    pub name: String,
    /// What it stands for in the first; missing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ShownBody>,
    /// What it stands for in the second; missing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ShownBody>,
}

/// A value as a console shows it; of a function, its source text.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ShownBody {
    /// The beginning: 200 bytes at most.
    pub text: String,
    /// The length of all of it, in bytes.
    pub bytes: u64,
}

impl SessionDiffBody {
    /// A line for each name that went, and for each that came; for one that changed, both.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for difference in &self.differences {
            for (sign, shown) in [("-", &difference.before), ("+", &difference.after)] {
                if let Some(shown) = shown {
                    lines.push(format!("{sign} {} = {}", difference.name, shown.text));
                }
            }
        }
        lines
    }
}

impl From<Comparison> for SessionDiffBody {
    fn from(comparison: Comparison) -> Self {
        let shown = |shown: Shown| ShownBody {
            text: shown.text,
            bytes: shown.bytes,
        };
        let differences = comparison.differences.into_iter();
        Self {
            from: comparison.from.map(|heap| heap.to_string()),
            to: comparison.to.map(|heap| heap.to_string()),
            differences: differences
                .map(|it| DifferenceBody {
                    name: it.name,
                    before: it.before.map(shown),
                    after: it.after.map(shown),
                })
                .collect(),
        }
    }
}

/// Another name for a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "agent-7-old"}))]
pub struct RenameSessionBody {
    /// The new name.
    pub name: String,
    /// A session that has the name is deleted; otherwise the request is refused.
    #[serde(default)]
    pub replace: bool,
}

/// A point of a history, as callers name it.
///
/// # Errors
/// Both are named, or the heap is none.
pub(super) fn point(
    heap: Option<&str>,
    commit: Option<u64>,
) -> Result<Option<Point>, super::Invalid> {
    match (heap, commit) {
        (Some(_), Some(_)) => Err(super::Invalid::Both {
            field: "heap",
            other: "commit",
        }),
        (Some(heap), None) => Ok(Some(Point::Heap(heap.parse()?))),
        (None, Some(number)) => Ok(Some(Point::Number(number))),
        (None, None) => Ok(None),
    }
}

impl CreateSessionBody {
    /// Where it begins.
    ///
    /// # Errors
    /// Fields that don't go together, or a heap that is none.
    pub fn point(&self) -> Result<Option<Point>, super::Invalid> {
        point(self.heap.as_deref(), self.commit)
    }
}

impl ResetSessionBody {
    /// Where the session is to stand, and where it has to stand now.
    ///
    /// # Errors
    /// Both are named, or a heap is none.
    pub fn points(&self) -> Result<(Option<Point>, Option<HeapId>), super::Invalid> {
        let if_heap = self.if_heap.as_deref().map(str::parse).transpose()?;
        Ok((point(self.heap.as_deref(), self.commit)?, if_heap))
    }
}

impl From<SessionInfo> for SessionBody {
    fn from(info: SessionInfo) -> Self {
        Self {
            name: info.name,
            session_id: info.id,
            heap: info.heap.map(|heap| heap.to_string()),
            commits: info.commits,
            engine: info.engine,
            owner: info.owner,
            warm: info.warm,
            created_at: rfc3339(info.created_ms),
        }
    }
}

impl From<SessionPage> for SessionListBody {
    fn from(page: SessionPage) -> Self {
        let last = page.sessions.last().filter(|_| page.more);
        Self {
            next_after: last.map(|session| session.name.clone()),
            sessions: page.sessions.into_iter().map(SessionBody::from).collect(),
        }
    }
}

impl TryFrom<Commit> for CommitBody {
    type Error = sessions::Error;

    fn try_from(commit: Commit) -> Result<Self, sessions::Error> {
        let reply = StoredReply::decode(&commit.reply).map_err(|_| sessions::Error::Record)?;
        Ok(Self {
            heap: commit.heap.to_string(),
            parent: commit.parent.map(|heap| heap.to_string()),
            number: commit.number,
            code: commit.code,
            language: commit.language,
            status: reply.status,
            result: reply.result,
            result_text: reply.result_text,
            error: reply.error.map(ErrorBody::from),
            output: reply.output,
            delta_bytes: commit.delta_bytes,
            committed_at: rfc3339(commit.committed_ms),
        })
    }
}

impl TryFrom<CommitPage> for CommitListBody {
    type Error = sessions::Error;

    fn try_from(page: CommitPage) -> Result<Self, sessions::Error> {
        let commits = page.commits.into_iter().map(CommitBody::try_from);
        Ok(Self {
            commits: commits.collect::<Result<_, _>>()?,
            next_from: page.next.map(|heap| heap.to_string()),
        })
    }
}
