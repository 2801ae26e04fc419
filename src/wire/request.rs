use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::raw_json;
use crate::service::run::{ExecutionRequest, Language, LimitOverrides};
use crate::service::sessions::{MalformedHeap, Target};

/// Code to run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "code": "const { a, b } = input;\nconsole.log('adding');\n({ sum: a + b })",
    "input": {"a": 1, "b": 2},
    "timeout_ms": 5000
}))]
pub struct ExecutionRequestBody {
    /// The source text. The value of its last expression is the result; `await` is allowed at the
    /// top level.
    pub code: String,
    /// Its language; by default JavaScript, and TypeScript if it is no JavaScript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageName>,
    /// Any JSON value: the script finds it in the global `input`.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub input: Option<Arc<RawValue>>,
    /// Wall clock of the run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
    /// The same in seconds; give one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub execution_timeout_secs: Option<u64>,
    /// JavaScript heap, in MiB. `heap_memory_max_mb` is accepted too.
    #[serde(
        default,
        alias = "heap_memory_max_mb",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1)]
    pub heap_mb: Option<u64>,
    /// All ArrayBuffers together, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub array_buffer_mb: Option<u64>,
    /// Private memory of the process, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub memory_mb: Option<u64>,
    /// Stack of JavaScript calls, in KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub stack_kb: Option<u64>,
    /// Size of the result, in bytes, as JSON and as text each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub result_bytes: Option<u64>,
    /// Console output that is kept, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub output_bytes: Option<u64>,
    /// The session that it runs in, by its name: what the code leaves in its world is there for the next
    /// run, on any node. A session that does not exist is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub session: Option<String>,
    /// The heap that it begins with, by its 64 hex digits: a branch that belongs to no session. Give this
    /// or `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 64, max_length = 64)]
    pub heap: Option<String>,
    /// Makes a retry safe: the same key with the same request gives the stored reply. The header
    /// `Idempotency-Key` means the same. In a session the key belongs to it, and is kept by the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub idempotency_key: Option<String>,
}

/// The language of a source text.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LanguageName {
    /// JavaScript; what is none is tried as TypeScript.
    #[default]
    Auto,
    /// JavaScript.
    #[serde(alias = "js")]
    JavaScript,
    /// TypeScript: its types are removed before the run, not checked.
    #[serde(alias = "ts")]
    TypeScript,
}

/// What no single field shows to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Two fields that say the same.
    #[error("`{field}` and `{other}` are given both; give one of them")]
    Both {
        /// The one.
        field: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Two fields of which one is needed.
    #[error("`{field}` is missing; give it, or `{other}`")]
    Neither {
        /// The one.
        field: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A field that means something beside another one only.
    #[error("`{field}` goes with `{other}`, which is missing")]
    Needs {
        /// The one.
        field: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A time that is none.
    #[error("`{field}` is a time such as 2026-01-02T03:04:05Z (RFC 3339), from 1970 on")]
    Time {
        /// The field.
        field: &'static str,
    },
    /// A heap that is none.
    #[error("`heap`: {0}")]
    Heap(#[from] MalformedHeap),
}

impl Invalid {
    /// The field that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Both { field, .. }
            | Self::Neither { field, .. }
            | Self::Needs { field, .. }
            | Self::Time { field } => field,
            Self::Heap(_) => "heap",
        }
    }
}

/// The session or heap that a request names.
///
/// # Errors
/// Both are named, or the heap is none.
pub fn target(session: Option<String>, heap: Option<String>) -> Result<Option<Target>, Invalid> {
    match (session, heap) {
        (Some(_), Some(_)) => Err(Invalid::Both {
            field: "session",
            other: "heap",
        }),
        (Some(session), None) => Ok(Some(Target::Session(session))),
        (None, Some(heap)) => Ok(Some(Target::Heap(heap.parse()?))),
        (None, None) => Ok(None),
    }
}

impl From<LanguageName> for Language {
    fn from(name: LanguageName) -> Self {
        match name {
            LanguageName::Auto => Self::Auto,
            LanguageName::JavaScript => Self::JavaScript,
            LanguageName::TypeScript => Self::TypeScript,
        }
    }
}

impl ExecutionRequestBody {
    /// The request that this asks for.
    pub fn into_request(self, principal: String) -> Result<ExecutionRequest, Invalid> {
        let timeout_ms = match (self.timeout_ms, self.execution_timeout_secs) {
            (Some(_), Some(_)) => {
                return Err(Invalid::Both {
                    field: "timeout_ms",
                    other: "execution_timeout_secs",
                });
            }
            (timeout_ms, None) => timeout_ms,
            (None, Some(seconds)) => Some(seconds.saturating_mul(1000)),
        };
        Ok(ExecutionRequest {
            code: self.code,
            language: self.language.unwrap_or_default().into(),
            input: self.input,
            target: target(self.session, self.heap)?,
            limits: LimitOverrides {
                timeout_ms,
                heap_mb: self.heap_mb,
                array_buffer_mb: self.array_buffer_mb,
                memory_mb: self.memory_mb,
                stack_kb: self.stack_kb,
                result_bytes: self.result_bytes,
                output_bytes: self.output_bytes,
            },
            idempotency_key: self.idempotency_key,
            principal,
            task: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<ExecutionRequestBody, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn names_of_other_servers_mean_the_same() {
        let body = parse(r#"{"code":"1","heap_memory_max_mb":32,"execution_timeout_secs":7}"#)
            .expect("well formed");
        let request = body.into_request(String::new()).expect("valid");
        assert_eq!(request.limits.heap_mb, Some(32));
        assert_eq!(request.limits.timeout_ms, Some(7000));
        assert!(parse(r#"{"code":"1","heap_memory_max_mb":32,"heap_mb":32}"#).is_err());
        let both = parse(r#"{"code":"1","timeout_ms":1,"execution_timeout_secs":1}"#);
        assert!(
            both.expect("well formed")
                .into_request(String::new())
                .is_err()
        );
    }

    #[test]
    fn null_is_an_input_and_no_limit() {
        let body = parse(r#"{"code":"1","input":null,"timeout_ms":null}"#).expect("well formed");
        assert_eq!(body.input.as_ref().expect("a value").get(), "null");
        assert_eq!(body.timeout_ms, None);
        assert!(
            parse(r#"{"code":"1"}"#)
                .expect("well formed")
                .input
                .is_none()
        );
    }

    #[test]
    fn unknown_fields_are_refused_by_name() {
        let error = parse(r#"{"code":"1","tiemout_ms":1}"#).expect_err("unknown");
        assert!(error.to_string().contains("tiemout_ms"));
    }
}
