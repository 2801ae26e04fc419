use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{ErrorBody, ExecutionRequestBody, Invalid, LanguageName, rfc3339};
use crate::raw_json;
use crate::service::run::{Status, StoredReply};
use crate::service::tasks::{NewTask, Task, TaskPage, TaskStatus, When};

/// The pause before a task is tried again, in milliseconds, unless it says another.
const BACKOFF_MS: u64 = 1000;
/// The longest such pause.
const BACKOFF_MS_MAX: u64 = 60_000;

/// A task: code to run, whatever becomes of nodes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "code": "input.n * 2",
    "input": {"n": 21},
    "delay_ms": 60000,
    "retries": 3,
    "labels": {"team": "billing"}
}))]
pub struct NewTaskBody {
    /// The source text, as in `POST /api/exec`.
    pub code: String,
    /// Its language; by default JavaScript, and TypeScript if it is no JavaScript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageName>,
    /// Any JSON value: the script finds it in the global `input`.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub input: Option<Arc<RawValue>>,
    /// The session that it runs in: what the run changes there and the task's result are kept together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub session: Option<String>,
    /// The heap that it begins with, by its 64 hex digits. Give this or `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 64, max_length = 64)]
    pub heap: Option<String>,
    /// Not before this time (RFC 3339). Give this, `delay_ms`, `cron` or none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub run_at: Option<String>,
    /// Not before so many milliseconds have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Again and again: five fields as in cron (minute, hour, day of the month, month, day of the week), or
    /// six with seconds in front. Each time makes a task of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone of `cron`, by its IANA name; UTC when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Of the times of `cron` that were missed, the last makes a task, unless it was missed by more than so
    /// many milliseconds. Not given: however late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub late_ms_max: Option<u64>,
    /// How often it is tried again when the code ends with an error: 0 when not given, 100 at most. An
    /// attempt that is lost with its node is none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub retries: Option<u32>,
    /// The pause before that, in milliseconds, doubled each time: 1000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<u64>,
    /// The longest such pause, in milliseconds: 60000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_ms_max: Option<u64>,
    /// Up to 16 names with values, to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Makes a retry of the request safe: the same key with the same request gives the same task, for a day.
    /// The header `Idempotency-Key` means the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub idempotency_key: Option<String>,
    /// Wall clock of one attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
    /// JavaScript heap, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// Size of the result, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub result_bytes: Option<u64>,
    /// Console output that is kept, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub output_bytes: Option<u64>,
}

impl NewTaskBody {
    /// The task that this asks for.
    ///
    /// # Errors
    /// Fields that don't go together, or a time that is none.
    pub fn into_task(self, principal: String) -> Result<NewTask, Invalid> {
        let when = self.when()?;
        let request = ExecutionRequestBody {
            code: self.code,
            language: self.language,
            input: self.input,
            timeout_ms: self.timeout_ms,
            execution_timeout_secs: None,
            heap_mb: self.heap_mb,
            array_buffer_mb: self.array_buffer_mb,
            memory_mb: self.memory_mb,
            stack_kb: self.stack_kb,
            result_bytes: self.result_bytes,
            output_bytes: self.output_bytes,
            session: self.session,
            heap: self.heap,
            idempotency_key: self.idempotency_key,
        };
        Ok(NewTask {
            request: request.into_request(principal)?,
            when,
            retries: self.retries.unwrap_or(0),
            backoff_ms: self.backoff_ms.unwrap_or(BACKOFF_MS),
            backoff_ms_max: self.backoff_ms_max.unwrap_or(BACKOFF_MS_MAX),
            labels: self.labels,
        })
    }

    fn when(&self) -> Result<When, Invalid> {
        let given = [
            ("run_at", self.run_at.is_some()),
            ("delay_ms", self.delay_ms.is_some()),
            ("cron", self.cron.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given);
        if let (Some((field, _)), Some((other, _))) = (given.next(), given.next()) {
            return Err(Invalid::Both { field, other });
        }
        if self.cron.is_none() {
            let stray = [
                ("time_zone", self.time_zone.is_some()),
                ("late_ms_max", self.late_ms_max.is_some()),
            ];
            if let Some((field, _)) = stray.into_iter().find(|(_, given)| *given) {
                return Err(Invalid::Needs {
                    field,
                    other: "cron",
                });
            }
        }
        Ok(match (&self.run_at, self.delay_ms, &self.cron) {
            (Some(text), _, _) => {
                let time = cluster::schedule::time_ms(text);
                When::At(time.ok_or(Invalid::Time { field: "run_at" })?)
            }
            (_, Some(ms), _) => When::After(ms),
            (_, _, Some(cron)) => When::Cron {
                cron: cron.clone(),
                time_zone: self.time_zone.clone().unwrap_or_default(),
                late_ms_max: self.late_ms_max.unwrap_or(0),
            },
            _ => When::Now,
        })
    }
}

/// A task, and when it has ended, what came of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "task_id": "00112233445566778899aabbccddeeff",
    "status": "succeeded",
    "code": "input.n * 2",
    "run_at": "2026-01-02T03:04:05.678Z",
    "attempts": 1,
    "failures": 0,
    "retries": 3,
    "labels": {"team": "billing"},
    "node": "n2",
    "created_at": "2026-01-02T03:04:05.678Z",
    "started_at": "2026-01-02T03:04:05.690Z",
    "finished_at": "2026-01-02T03:04:05.702Z",
    "report": {"status": "completed", "result": 42, "result_text": "42", "output": "", "output_bytes": 0}
}))]
pub struct TaskBody {
    /// Its id.
    pub task_id: String,
    /// Where it stands; all but `scheduled`, `queued` and `running` are final.
    pub status: TaskStatus,
    /// Its code; missing in a list where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The session that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Not before this time; of one with `cron`, its next time.
    #[schema(format = DateTime)]
    pub run_at: String,
    /// The expression of its times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The task with `cron` that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How often a node began with it.
    pub attempts: u32,
    /// How often that ended with an error.
    pub failures: u32,
    /// How often it may be tried again after one.
    pub retries: u32,
    /// What it was given, to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The node that has it, or had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When it was made (RFC 3339, UTC).
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// The heap that its run made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// How the last attempt ended; missing in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportBody>,
}

/// How a task's attempt ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ReportBody {
    /// How the run ended, as of an execution.
    pub status: Status,
    /// The value of the last expression as JSON, when it has one.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Arc<RawValue>>,
    /// What a console would print for the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub result_text: Option<Arc<str>>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// What the console printed.
    pub output: String,
    /// The size of all that it printed, in bytes.
    pub output_bytes: u64,
}

/// A page of tasks, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct TaskListBody {
    /// The tasks, without their reports.
    pub tasks: Vec<TaskBody>,
    /// Given as `cursor`, it gets the next page; missing on the last one. A page may have fewer tasks than
    /// asked for, and none, and still not be the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl From<Task> for TaskBody {
    fn from(task: Task) -> Self {
        Self {
            task_id: task.id.to_string(),
            status: task.status,
            code: task.code,
            session: task.session,
            run_at: rfc3339(task.run_at_ms),
            cron: task.cron,
            time_zone: task.time_zone,
            parent: task.parent.map(|parent| parent.to_string()),
            attempts: task.attempts,
            failures: task.failures,
            retries: task.retries,
            labels: task.labels,
            node: task.node,
            created_at: rfc3339(task.created_ms),
            started_at: task.started_ms.map(rfc3339),
            finished_at: task.finished_ms.map(rfc3339),
            heap: task.heap,
            report: task.report.map(ReportBody::from),
        }
    }
}

impl From<StoredReply> for ReportBody {
    fn from(reply: StoredReply) -> Self {
        Self {
            status: reply.status,
            result: reply.result,
            result_text: reply.result_text,
            error: reply.error.map(ErrorBody::from),
            output: reply.output,
            output_bytes: reply.output_bytes,
        }
    }
}

impl From<TaskPage> for TaskListBody {
    fn from(page: TaskPage) -> Self {
        Self {
            tasks: page.tasks.into_iter().map(TaskBody::from).collect(),
            next_cursor: page.next.map(|next| next.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(json: &str) -> Result<When, Invalid> {
        let text = format!("{{\"code\":\"1\"{json}}}");
        let body: NewTaskBody = serde_json::from_str(&text).expect("well formed");
        body.into_task(String::new()).map(|task| task.when)
    }

    #[test]
    fn a_task_has_one_time_or_many_and_not_both() {
        assert_eq!(when(""), Ok(When::Now));
        assert_eq!(when(",\"delay_ms\":5"), Ok(When::After(5)));
        let at = when(",\"run_at\":\"1970-01-01T01:00:01+01:00\"");
        assert_eq!(at, Ok(When::At(1000)));
        assert!(when(",\"run_at\":\"tomorrow\"").is_err());
        assert!(when(",\"delay_ms\":5,\"cron\":\"* * * * *\"").is_err());
        assert!(when(",\"time_zone\":\"UTC\"").is_err());
        let cron = when(",\"cron\":\"* * * * *\",\"late_ms_max\":7").expect("well formed");
        assert!(matches!(cron, When::Cron { late_ms_max: 7, .. }));
    }
}
