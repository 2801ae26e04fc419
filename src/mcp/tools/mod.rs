//! The tools: what each takes, what it does with one call of the service, and what it answers.

mod arguments;
mod cut;
mod definitions;
mod executions;
mod reply;
mod run;
mod sessions;
mod tags;
pub(super) mod task_reply;
mod tasks;

use arguments::{ArgumentError, Arguments};
use rmcp::{
    ErrorData,
    model::{CallToolResult, JsonObject, Tool},
};

use std::time::Duration;

use super::console::Listener;
use crate::{
    config::RunConfig,
    error_code::ErrorCode,
    service::{
        executions::Executions,
        run::{self as service, ExecutionId, MalformedCursor, MalformedId},
        sessions::{MalformedPoint, Sessions},
        tags::{Error as TagError, Tags},
        tasks::{Error as TaskError, MalformedTaskCursor, MalformedTaskId, NewTask, Tasks},
    },
    wire::Invalid,
};

/// The tools of one node.
pub(super) struct Tools {
    list: Vec<Tool>,
    executions: Executions,
    /// None where the program is no node.
    tags: Option<Tags>,
    /// None where the node runs without sessions.
    sessions: Option<Sessions>,
    /// None where the program is no node.
    tasks: Option<Tasks>,
    config: RunConfig,
}

impl Tools {
    /// The tools that work on these executions and tags.
    pub fn new(
        executions: Executions,
        tags: Option<Tags>,
        sessions: Option<Sessions>,
        tasks: Option<Tasks>,
        config: RunConfig,
    ) -> Self {
        let (has_sessions, has_tasks) = (sessions.is_some(), tasks.is_some());
        Self {
            list: definitions::all(&config, tags.is_some(), has_sessions, has_tasks),
            executions,
            tags,
            sessions,
            tasks,
            config,
        }
    }

    /// What they are, in an order that never changes.
    pub fn list(&self) -> &[Tool] {
        &self.list
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Tool> {
        self.list.iter().find(|tool| tool.name == name)
    }

    /// Calls one; runs that name no session are in `session`. Dropping the future stops what run_js has begun.
    pub async fn call(
        &self,
        name: &str,
        arguments: Option<JsonObject>,
        session: Option<&str>,
        listener: Listener,
    ) -> Result<CallToolResult, ErrorData> {
        let arguments = match name {
            "run_js" | "execution_start" => sessions::in_session(arguments, session),
            _ => arguments,
        };
        let arguments = Arguments::new(arguments);
        let executions = &self.executions;
        let runs = executions.runs();
        let result = match (name, &self.tags) {
            ("run_js", _) => run::run_js(executions, &self.config, arguments, listener).await,
            ("execution_start", _) => run::start(executions, arguments).await,
            ("execution_get", _) => executions::get(executions, arguments, listener).await,
            ("execution_output", _) => executions::output(executions, arguments).await,
            ("execution_list", _) => executions::list(runs, arguments),
            ("execution_cancel", _) => executions::cancel(executions, arguments).await,
            // In boxes: what waits for the cluster is large, and this future is part of each call.
            ("tag_put", Some(tags)) => Box::pin(tags::put(tags, arguments)).await,
            ("tag_get", Some(tags)) => Box::pin(tags::get(tags, arguments)).await,
            ("tag_list", Some(tags)) => Box::pin(tags::list(tags, arguments)).await,
            ("tag_delete", Some(tags)) => Box::pin(tags::delete(tags, arguments)).await,
            (name, _) if sessions::is_one(name) && self.get(name).is_some() => {
                let sessions = self.sessions.as_ref().expect("they are listed");
                Box::pin(sessions::call(
                    sessions,
                    runs.largest_limits(),
                    name,
                    arguments,
                ))
                .await
            }
            (name, _) if tasks::is_one(name) && self.get(name).is_some() => {
                let tasks = self.tasks.as_ref().expect("they are listed");
                Box::pin(tasks::call(tasks, name, arguments)).await
            }
            _ => {
                let message = format!("there is no tool {name}; tools/list names them all");
                return Err(ErrorData::invalid_params(message, None));
            }
        };
        Ok(result.unwrap_or_else(|error| reply::of_error(&error)))
    }
}

impl Tools {
    /// What a call of run_js asks for, as a task; and how long its caller waits for the end.
    ///
    /// # Errors
    /// The reply of a call that did nothing.
    pub fn as_task(
        arguments: Option<JsonObject>,
        session: Option<&str>,
    ) -> Result<(NewTask, Option<Duration>), Box<CallToolResult>> {
        let arguments = Arguments::new(sessions::in_session(arguments, session));
        let wanted = run::wanted(arguments);
        let (request, wait) = wanted.map_err(|error| Box::new(reply::of_error(&error)))?;
        Ok((NewTask::once(request), wait))
    }
}

/// The reply of a call that made no task.
pub(super) fn no_task(error: TaskError) -> CallToolResult {
    reply::of_error(&error.into())
}

/// Why a call did nothing. The model is told, so that it can do better.
#[derive(Debug, thiserror::Error)]
enum ToolError {
    /// Its arguments.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// An id that is none.
    #[error("`{text}` is no execution_id: {source}")]
    Id {
        /// What came.
        text: String,
        /// What an id looks like.
        source: MalformedId,
    },
    /// A cursor that is none.
    #[error("the argument `cursor` is wrong: {0}")]
    Cursor(#[from] MalformedCursor),
    /// A task's id that is none.
    #[error("`{text}` is no task_id: {source}")]
    TaskId {
        /// What came.
        text: String,
        /// What an id looks like.
        source: MalformedTaskId,
    },
    /// A cursor of tasks that is none.
    #[error("the argument `cursor` is wrong: {0}")]
    TaskCursor(MalformedTaskCursor),
    /// A point of a history that is none.
    #[error(transparent)]
    Point(MalformedPoint),
    /// Two arguments that don't go together, or a heap that is none.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The service refused.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The tags' service refused.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// The tasks' service refused.
    #[error(transparent)]
    Tasks(#[from] TaskError),
}

impl ToolError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Argument(_)
            | Self::Id { .. }
            | Self::Cursor(_)
            | Self::TaskId { .. }
            | Self::TaskCursor(_)
            | Self::Point(_)
            | Self::Invalid(_) => ErrorCode::InvalidRequest,
            Self::Tasks(error) => error.code(),
            Self::Service(error) => error.code(),
            Self::Tags(error) => error.code(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {self}", self.code());
        let (hint, retry_after_ms) = match self {
            Self::Service(error) => (error.hint(), error.retry_after_ms()),
            Self::Tags(error) => (error.hint(), error.retry_after_ms()),
            Self::Tasks(error) => (error.hint(), error.retry_after_ms()),
            Self::Argument(_)
            | Self::Id { .. }
            | Self::Cursor(_)
            | Self::TaskId { .. }
            | Self::TaskCursor(_)
            | Self::Point(_)
            | Self::Invalid(_) => return text,
        };
        text.push_str(&format!("\nHint: {hint}"));
        if let Some(retry_after_ms) = retry_after_ms {
            text.push_str(&format!("\nTry again in {retry_after_ms} ms."));
        }
        text
    }
}

/// The argument that names an execution.
fn execution_id(arguments: &mut Arguments) -> Result<ExecutionId, ToolError> {
    let text = arguments.required_text("execution_id")?;
    text.parse()
        .map_err(|source| ToolError::Id { text, source })
}
