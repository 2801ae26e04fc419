use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Open connections of one listener; more wait in the kernel's queue until one ends.
const CONNECTIONS_MAX: usize = 8192;
/// How long a request's head may take: a client that sends it byte by byte holds a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be taken, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves each connection in a task of `connections`, until `closing`; then idle ones are closed and
/// busy ones end with the reply that they are at.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    closing: CancellationToken,
    connections: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places)
            .acquire_owned()
            .await
            .expect("it is never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let served = connection(stream, router.clone(), closing.clone());
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, closing: CancellationToken) {
    // Replies are small and complete: waiting for more to send only costs time.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "can't turn off delayed sending");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = closing.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // A client that went away, or that does not speak HTTP.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    /// A server whose only route answers when it is let.
    struct Server {
        address: std::net::SocketAddr,
        asked: Arc<Notify>,
        answer: Arc<Notify>,
        closing: CancellationToken,
        connections: TaskTracker,
    }

    async fn server() -> Server {
        let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (on_asked, on_answer) = (Arc::clone(&asked), Arc::clone(&answer));
        let route = get(async move || {
            on_asked.notify_one();
            on_answer.notified().await;
            "done"
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (closing, connections) = (CancellationToken::new(), TaskTracker::new());
        let router = Router::new().route("/", route);
        connections.spawn(serve(
            listener,
            router,
            closing.clone(),
            connections.clone(),
        ));
        connections.close();
        Server {
            address,
            asked,
            answer,
            closing,
            connections,
        }
    }

    async fn rest_of(mut stream: TcpStream) -> io::Result<String> {
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    /// A stop lets the request that is being answered have its answer, and then closes.
    #[tokio::test]
    async fn closing_waits_for_the_reply_under_way() {
        let server = server().await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        server.asked.notified().await;
        server.closing.cancel();
        server.answer.notify_one();
        let reply = rest_of(stream).await.unwrap();
        assert!(
            reply.starts_with("HTTP/1.1 200") && reply.ends_with("done"),
            "{reply}"
        );
        server.connections.wait().await;
    }

    /// An idle connection, which a client may hold for hours, does not hold up a stop.
    #[tokio::test]
    async fn closing_ends_idle_connections() {
        let server = server().await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        server.answer.notify_one();
        stream.write_all(REQUEST).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        server.closing.cancel();
        server.connections.wait().await;
        assert!(rest_of(stream).await.unwrap().ends_with("done"));
    }

    /// The execution of a client that goes away is stopped: that rests on the drop of its handler.
    #[tokio::test]
    async fn a_client_that_goes_away_drops_its_handler() {
        struct Dropped(Arc<Notify>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let (asked, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (on_asked, on_dropped) = (Arc::clone(&asked), Arc::clone(&dropped));
        let route = get(async move || {
            let _guard = Dropped(on_dropped);
            on_asked.notify_one();
            std::future::pending::<()>().await;
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closing = CancellationToken::new();
        let router = Router::new().route("/", route);
        tokio::spawn(serve(listener, router, closing, TaskTracker::new()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        asked.notified().await;
        drop(stream);
        dropped.notified().await;
    }
}
