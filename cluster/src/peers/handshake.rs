//! TLS around a connection, with the certificates as they are when it begins.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::stream::{FuturesUnordered, Stream};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::limits::{CONNECT_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};
use super::tls::Tls;

/// A connection of a client, inside TLS.
pub(super) type ClientIo = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;

/// Connections that may be about to be made at once; further ones wait.
const HANDSHAKES_MAX: usize = 128;

/// Connects to one node.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Tls,
    authority: String,
    name: ServerName<'static>,
}

impl Connector {
    /// To an address, whose host the certificate has to name; none when the host can't be in one.
    pub fn to(tls: &Tls, authority: &str, host: &str) -> Option<Self> {
        let name = tls.domain().unwrap_or(host).trim_matches(['[', ']']);
        Some(Self {
            name: ServerName::try_from(name.to_owned()).ok()?,
            authority: authority.to_owned(),
            tls: tls.clone(),
        })
    }

    async fn connect(self) -> io::Result<ClientIo> {
        let connecting = TcpStream::connect(&self.authority);
        let tcp = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??;
        tcp.set_nodelay(true)?;
        let connector = TlsConnector::from(self.tls.client());
        let shaken = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, connector.connect(self.name, tcp));
        Ok(TokioIo::new(shaken.await??))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = ClientIo;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<ClientIo>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// Puts TLS around connections that come in. Who does not speak it, or shows no certificate of ours, is turned away.
pub(super) fn accept<Io>(
    tls: Tls,
    incoming: impl Stream<Item = io::Result<Io>> + Send + 'static,
) -> impl Stream<Item = io::Result<tokio_rustls::server::TlsStream<Io>>> + Send
where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let begun = (Box::pin(incoming), FuturesUnordered::new(), tls, true);
    futures::stream::unfold(begun, async |(mut incoming, mut open, tls, mut more)| {
        loop {
            tokio::select! {
                Some(shaken) = open.next(), if !open.is_empty() => match shaken {
                    Ok(Ok(stream)) => return Some((Ok(stream), (incoming, open, tls, more))),
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS with who connects"),
                    Err(_) => tracing::debug!("who connects says nothing"),
                },
                accepted = incoming.next(), if more && open.len() < HANDSHAKES_MAX => match accepted {
                    Some(Ok(io)) => {
                        let acceptor = TlsAcceptor::from(tls.server());
                        open.push(tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.accept(io)));
                    }
                    Some(Err(error)) => return Some((Err(error), (incoming, open, tls, more))),
                    None => more = false,
                },
                else => return None,
            }
        }
    })
}
