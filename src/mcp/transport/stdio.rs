use rmcp::{
    ServerHandler,
    service::{ServerInitializeError, serve_server_with_ct},
    transport::io::stdio_pipes,
};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

/// Why a conversation on the standard streams ended badly.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not open the conversation as the protocol says.
    #[error("the client did not open an MCP conversation on standard input")]
    Opening(#[source] Box<ServerInitializeError>),
    /// The task that serves the conversation failed.
    #[error("the conversation on the standard streams broke")]
    Broken(#[source] JoinError),
}

/// Serves one client on standard input and output until it closes them or `shutdown` fires.
///
/// Nothing else may write to standard output meanwhile; the log goes to standard error.
pub async fn serve_on_stdio<H: ServerHandler>(
    handler: H,
    shutdown: CancellationToken,
) -> Result<(), StdioError> {
    let running = match serve_server_with_ct(handler, stdio_pipes(), shutdown).await {
        Ok(running) => running,
        // A client that goes away before it says a word is no failure of ours.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            return Ok(());
        }
        Err(error) => return Err(StdioError::Opening(Box::new(error))),
    };
    running
        .waiting()
        .await
        .map(drop)
        .map_err(StdioError::Broken)
}
