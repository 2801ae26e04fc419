#![expect(
    deprecated,
    reason = "logging is deprecated in the protocol and still what clients show"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CustomRequest,
        CustomResult, DiscoverResult, ErrorCode, GetPromptRequestMethod, GetPromptRequestParams,
        GetPromptResponse, GetTaskMethod, GetTaskParams, GetTaskResult, Implementation, JsonObject,
        ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, LoggingLevel, PaginatedRequestParams,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
        ServerConfig, SetLevelRequestMethod, SetLevelRequestParams, TASKS_EXTENSION_ID, Tool,
        UpdateTaskParams,
    },
    service::RequestContext,
};

use super::{
    McpState,
    console::Listener,
    guide, resources, tasks,
    tools::{self, Tools},
};
use crate::service::tasks::{NewTask, Tasks};
use crate::telemetry::Caller;

/// How long a client may keep the lists: they only change with another release or configuration.
const LISTS_TTL_MS: u64 = 3_600_000;

/// Names the session of a client whose tool calls can't.
const SESSION_HEADER: &str = "x-mcp-session-id";

/// Answers the requests of one client. Over HTTP each request gets its own.
pub struct McpHandler {
    shared: Arc<Shared>,
    /// What a client of an older version set for its session. Where no session outlives a request,
    /// this default is what it gets.
    level: Mutex<LoggingLevel>,
}

/// What all handlers of a node have in common.
pub(super) struct Shared {
    state: McpState,
    tools: Tools,
    instructions: String,
}

impl Shared {
    /// Prepares the texts and schemas once.
    pub fn new(state: McpState) -> Arc<Self> {
        Arc::new(Self {
            tools: Tools::new(
                state.executions.clone(),
                state.tags.clone(),
                state.sessions.clone(),
                state.tasks.clone(),
                state.config.run.clone(),
            ),
            instructions: guide::instructions(
                &state.config.run,
                state.sessions.is_some(),
                state.tasks.is_some(),
            ),
            state,
        })
    }
}

impl McpHandler {
    /// A handler on this state.
    pub fn new(state: McpState) -> Self {
        Self::sharing(Shared::new(state))
    }

    pub(super) fn sharing(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            level: Mutex::new(LoggingLevel::Info),
        }
    }
}

impl McpHandler {
    fn tasks(&self) -> Result<&Tasks, ErrorData> {
        let tasks = self.shared.state.tasks.as_ref();
        tasks.ok_or_else(ErrorData::method_not_found::<GetTaskMethod>)
    }

    /// Has a task made, and answers a tool's call with its end, or with the task when it takes longer than
    /// this.
    ///
    /// # Errors
    /// This handler has no tasks.
    pub async fn begin_task(
        &self,
        task: NewTask,
        wait: Duration,
    ) -> Result<CallToolResponse, ErrorData> {
        let begun = tasks::begin(self.tasks()?, task, wait).await;
        Ok(begun.unwrap_or_else(|error| tools::no_task(error).into()))
    }
}

impl Clone for McpHandler {
    /// A handler for another client.
    fn clone(&self) -> Self {
        Self::sharing(Arc::clone(&self.shared))
    }
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Whether this request's client understands an answer that is a task.
fn knows_tasks(context: &RequestContext<RoleServer>) -> bool {
    context
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.supports_tasks())
}

/// The JavaScript session that a client names for all of its calls, in a header of each request.
fn session_of(context: &RequestContext<RoleServer>) -> Option<String> {
    let parts = context.extensions.get::<axum::http::request::Parts>()?;
    let name = parts.headers.get(SESSION_HEADER)?.to_str().ok()?;
    Some(name.to_owned())
}

/// Who makes a call: over HTTP as the request says, else somebody new.
fn caller_of(context: &RequestContext<RoleServer>) -> Caller {
    let parts = context.extensions.get::<axum::http::request::Parts>();
    parts.map_or_else(
        || Caller::of(&axum::http::HeaderMap::new()),
        |parts| Caller::of(&parts.headers),
    )
}

impl McpHandler {
    async fn call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let level = *self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = Listener::of(&context, level);
        let session = session_of(&context);
        if request.name == "run_js"
            && let Some(tasks) = &self.shared.state.tasks
            && knows_tasks(&context)
        {
            let (task, wait) = match Tools::as_task(request.arguments, session.as_deref()) {
                Ok(wanted) => wanted,
                Err(reply) => return Ok((*reply).into()),
            };
            // In a box: it is large, and this future is part of each call.
            let begun = Box::pin(tasks::begin(tasks, task, wait.unwrap_or(tasks::PATIENCE)));
            return Ok(begun
                .await
                .unwrap_or_else(|error| tools::no_task(error).into()));
        }
        let call = self.shared.tools.call(
            &request.name,
            request.arguments,
            session.as_deref(),
            listener,
        );
        tokio::select! {
            result = call => Ok(result?.into()),
            // The client has hung up or taken the request back; dropping the call stops its run.
            () = context.ct.cancelled() => {
                Err(ErrorData::internal_error("the client gave the call up", None))
            }
        }
    }
}

impl ServerHandler for McpHandler {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_resources()
            .enable_tools()
            .build();
        if self.shared.state.tasks.is_some() {
            let known = capabilities.extensions.get_or_insert_default();
            known.insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        }
        let server = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .with_title("mcp-v8")
            .with_description(env!("CARGO_PKG_DESCRIPTION"));
        ServerConfig::new(capabilities)
            .with_server_info(server)
            .with_instructions(self.shared.instructions.clone())
    }

    async fn discover(
        &self,
        _context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, self.get_info())
            .with_ttl_ms(LISTS_TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_modern(&context) {
            // Requests name their level themselves there, and the method is gone.
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = request.level;
        Ok(())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(
            ListToolsResult::with_all_items(self.shared.tools.list().to_vec())
                .with_ttl_ms(LISTS_TTL_MS)
                .with_cache_scope(CacheScope::Public),
        )
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.shared.tools.get(name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = caller_of(&context);
        let span = tracing::debug_span!(
            "tool",
            tool = %request.name,
            request_id = %caller.id,
            otel.name = format!("tools/call {}", request.name),
        );
        // In a box: what a call needs is large, and this future is part of each call.
        caller
            .follow(span, Box::pin(self.call(request, context)))
            .await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        tasks::get(self.tasks()?, &request.task_id).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::update(self.tasks()?, &request.task_id).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(self.tasks()?, &request.task_id).await
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn get_prompt(
        &self,
        _request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Err(ErrorData::method_not_found::<GetPromptRequestMethod>())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        // Executions come and go; execution_list names them, and the templates tell their addresses.
        Ok(ListResourcesResult::default()
            .with_ttl_ms(LISTS_TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(
            ListResourceTemplatesResult::with_all_items(resources::templates())
                .with_ttl_ms(LISTS_TTL_MS)
                .with_cache_scope(CacheScope::Public),
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.shared.state.executions, &request.uri)
            .await
            .map(Into::into)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // The SDK hands over here what it could not read, a method that exists among them; "no such
        // method" would send the client looking in the wrong place.
        Err(match request.method.as_str() {
            "tools/call" | "resources/read" => {
                let message = format!("the params of {} are not valid", request.method);
                ErrorData::invalid_params(message, None)
            }
            _ => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None),
        })
    }
}
