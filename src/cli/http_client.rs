//! The few requests that commands make to a server: plain HTTP/1, one connection each.

use std::io;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::InvalidUri;
use axum::http::{Method, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A session's file may be of any size, but it is in memory here.
const REPLY_BYTES_MAX: usize = 2 << 30;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL can't be parsed.
    #[error("{url} is no URL: {source}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        source: InvalidUri,
    },
    /// The URL is not one that can be called.
    #[error("{url} can't be called: only http://HOST[:PORT] can")]
    Scheme {
        /// The URL.
        url: String,
    },
    /// Nobody listens there.
    #[error("can't connect to {authority}: {source}")]
    Connect {
        /// The host and port.
        authority: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The request could not be sent, or the reply not be read.
    #[error("the server at {authority} gave no whole reply: {source}")]
    Exchange {
        /// The host and port.
        authority: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A whole reply.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Sends JSON to `path` of the server at `base` when there is some, else asks for `path`.
pub async fn call(base: &str, path: &str, json: Option<Bytes>) -> Result<Reply, Error> {
    match json {
        Some(json) => send(base, Method::POST, path, Some(("application/json", json))).await,
        None => send(base, Method::GET, path, None).await,
    }
}

/// Sends a request, with a body of a type or none.
pub async fn send(
    base: &str,
    method: Method,
    path: &str,
    body: Option<(&str, Bytes)>,
) -> Result<Reply, Error> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let uri: Uri = url.parse().map_err(|source| Error::Url {
        url: url.clone(),
        source,
    })?;
    let (Some("http"), Some(authority), Some(host)) =
        (uri.scheme_str(), uri.authority(), uri.host())
    else {
        return Err(Error::Scheme { url });
    };
    let authority = authority.to_string();
    let exchange = |source| Error::Exchange {
        authority: authority.clone(),
        source,
    };
    let address = (host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80));
    let tcp = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .unwrap_or_else(|late| Err(late.into()))
        .map_err(|source| Error::Connect {
            authority: authority.clone(),
            source,
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp))
        .await
        .map_err(|error| exchange(error.into()))?;
    // The connection ends with its sender, or with an error that the sender gets too.
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    let (kind, body) = body.unzip();
    if let Some(kind) = kind {
        request = request.header(CONTENT_TYPE, kind);
    }
    let request = request
        .header(HOST, &authority)
        .body(Full::new(body.unwrap_or_default()))
        .map_err(|error| exchange(error.into()))?;
    let reply = sender
        .send_request(request)
        .await
        .map_err(|error| exchange(error.into()))?;
    let status = reply.status();
    let body = Limited::new(reply.into_body(), REPLY_BYTES_MAX)
        .collect()
        .await;
    Ok(Reply {
        status,
        body: body.map_err(exchange)?.to_bytes(),
    })
}
