//! Where a node listens: one TCP port for the network and a socket file for the operator.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::Stream;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::credentials::{Credentials, OpenBind};
use super::limits::ACCEPT_RETRY_DELAY;

/// A node can't listen where it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// That would be open to everybody.
    #[error(transparent)]
    Open(#[from] OpenBind),
    /// The system's refusal.
    #[error("can't listen on {address}: {source}")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system's refusal; paths of sockets have at most 107 bytes.
    #[error("can't listen on {}: {source}", path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Listens for the network. Port 0 takes a free one.
///
/// # Errors
/// Without authentication only loopback addresses are taken; or the system refuses.
pub async fn listen(
    address: SocketAddr,
    credentials: &Credentials,
) -> Result<TcpListener, ListenError> {
    credentials.allowed_bind(address)?;
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError::Tcp { address, source })
}

/// The operator's socket, gone from the directory when this is dropped.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Makes it, in place of one that a former process left behind. Only its owner may open it.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Unix {
            path: path.to_owned(),
            source,
        };
        // Under another name until nobody else may open it.
        let closed = path.with_extension("new");
        match fs::remove_file(&closed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&closed).map_err(failed)?;
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        fs::rename(&closed, path).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Nobody listens there any more; what stays is replaced by the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// What connections come from.
pub(super) trait Accept: Send + 'static {
    type Io: Send + Unpin + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for LocalSocket {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// The connections, as many at once as there are places; further ones wait in the kernel's queue.
pub(super) fn connections<L: Accept>(
    listener: L,
    places: Arc<Semaphore>,
    cut: CancellationToken,
) -> impl Stream<Item = io::Result<Connection<L::Io>>> {
    futures::stream::unfold((listener, places, cut), async |(listener, places, cut)| {
        loop {
            let place = places.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok(io) => {
                    let connection = Connection::new(io, cut.clone(), place);
                    return Some((Ok(connection), (listener, places, cut)));
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    })
}
