//! One keep-alive connection of HTTP/1.1, without a pool: what is measured is the server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::LoadError;

/// Longer than the server's longest wait for a run with default limits: later is lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Target {
    authority: Arc<str>,
    path: Arc<str>,
}

impl Target {
    /// Reads `http://host:port/path`.
    pub fn parse(url: &str) -> Result<Self, LoadError> {
        let bad = || LoadError::Address { url: url.into() };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        if uri.scheme_str() != Some("http") || authority.port().is_none() {
            return Err(bad());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            authority: authority.as_str().into(),
            path: path.into(),
        })
    }

    /// Another path of the same server.
    pub fn at(&self, path: &str) -> Self {
        Self {
            authority: self.authority.clone(),
            path: path.into(),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its whole body.
    pub body: Bytes,
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub async fn open(target: &Target) -> Result<Self, LoadError> {
        let stream = TcpStream::connect(&*target.authority)
            .await
            .map_err(LoadError::Connection)?;
        stream.set_nodelay(true).map_err(LoadError::Connection)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its error comes out of the request that is under way as well.
        tokio::spawn(connection);
        Ok(Self {
            target: target.clone(),
            sender,
        })
    }

    /// Posts a body and takes the whole answer.
    pub async fn post(&mut self, content_type: &str, body: Bytes) -> Result<Answer, LoadError> {
        self.exchange(Method::POST, content_type, body).await
    }

    /// Asks for the target's path.
    pub async fn get(&mut self) -> Result<Answer, LoadError> {
        self.exchange(Method::GET, "application/json", Bytes::new())
            .await
    }

    async fn exchange(
        &mut self,
        method: Method,
        content_type: &str,
        body: Bytes,
    ) -> Result<Answer, LoadError> {
        let request = Request::builder()
            .method(method)
            .uri(&*self.target.path)
            .header(HOST, &*self.target.authority)
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(body))?;
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok(Answer { status, body })
        };
        tokio::time::timeout(ANSWER_LIMIT, exchange)
            .await
            .unwrap_or(Err(LoadError::NoAnswer {
                limit_ms: ANSWER_LIMIT.as_millis().try_into().unwrap_or(u64::MAX),
            }))
    }
}

/// Whether the bytes hold the text.
pub fn holds(bytes: &[u8], text: &str) -> bool {
    text.is_empty()
        || bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
}
