//! Runs the services of a node on its listeners until it stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::credentials::Credentials;
use super::gate::Gate;
use super::handshake::accept;
use super::limits::{
    CONNECTION_WINDOW_BYTES, CONNECTIONS_MAX, FRAME_BYTES_MAX, SERVER_PING_PERIOD,
    SERVER_PING_TIMEOUT, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use super::listen::{Accept, LocalSocket, connections};
use super::tls::Tls;

/// Where requests come in.
#[derive(Default)]
pub struct Listeners {
    /// The cluster port; a node alone may have none.
    pub cluster: Option<TcpListener>,
    /// The operator's socket.
    pub local: Option<LocalSocket>,
}

/// The services can't run.
#[derive(Debug, thiserror::Error)]
#[error("serving failed")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Serves the same routes on all listeners, behind the gate.
///
/// When `stop` comes, no new connection is taken and requests under way may end; what is still open
/// after `grace` is cut. Streams of Raft never end by themselves, so there is always something to cut.
///
/// # Errors
/// A listener fails for good.
pub async fn serve(
    listeners: Listeners,
    routes: Routes,
    gate: Gate,
    credentials: &Credentials,
    stop: CancellationToken,
    grace: Duration,
) -> Result<(), ServeError> {
    let cut = CancellationToken::new();
    let local_gate = gate.without_token();
    let cluster = run(
        listeners.cluster,
        credentials.tls().cloned(),
        routes.clone(),
        gate,
        &stop,
        &cut,
    );
    let local = run(listeners.local, None, routes, local_gate, &stop, &cut);
    let both = async { tokio::try_join!(cluster, local).map(|_| ()) };
    let mut both = std::pin::pin!(both);
    tokio::select! {
        ended = &mut both => return ended,
        () = stop.cancelled() => {}
    }
    // The servers themselves have seen `stop` and wait for their connections.
    if let Ok(ended) = tokio::time::timeout(grace, &mut both).await {
        return ended;
    }
    cut.cancel();
    both.await
}

fn server() -> Server {
    Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(SERVER_PING_PERIOD))
        .http2_keepalive_timeout(Some(SERVER_PING_TIMEOUT))
}

async fn run<L>(
    listener: Option<L>,
    tls: Option<Tls>,
    routes: Routes,
    gate: Gate,
    stop: &CancellationToken,
    cut: &CancellationToken,
) -> Result<(), ServeError>
where
    L: Accept,
    L::Io: AsyncRead + AsyncWrite + Connected,
{
    let Some(listener) = listener else {
        return Ok(());
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let incoming = connections(listener, places, cut.clone());
    let server = server().layer(gate);
    match tls {
        None => {
            let served = server.serve_with_incoming_shutdown(routes, incoming, stop.cancelled());
            Box::pin(served).await?;
        }
        Some(tls) => {
            let incoming = accept(tls, incoming);
            let served = server.serve_with_incoming_shutdown(routes, incoming, stop.cancelled());
            Box::pin(served).await?;
        }
    }
    Ok(())
}
