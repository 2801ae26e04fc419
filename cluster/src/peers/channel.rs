//! A connection to one peer, which puts on each request who asks and who is meant.

use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderValue, Request};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::credentials::Credentials;
use super::gate::{CLUSTER, FROM, TO, TOKEN};
use super::handshake::Connector;
use super::identity::Identity;
use super::limits::{
    CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, STREAM_WINDOW_BYTES,
    TLS_HANDSHAKE_TIMEOUT,
};

/// What a connection is for. Each purpose has its own, so that none waits behind the bytes of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Appends to the log.
    Replication,
    /// Small and urgent: heartbeats, votes, leader transfer.
    Heartbeat,
    /// Whole states, and blobs.
    Snapshot,
    /// Requests of users and everything else.
    Forward,
}

impl Purpose {
    /// A silent peer is asked so often whether it lives, and given up after the second time.
    ///
    /// A connection that died without a word (a partition, a frozen host) must not outlive it by much:
    /// TCP itself would go on for minutes. On a slow link the answer stands behind what is being sent.
    fn ping(self) -> (Duration, Duration) {
        let (period_s, timeout_s) = match self {
            Self::Heartbeat => (1, 2),
            Self::Replication | Self::Forward => (1, 5),
            Self::Snapshot => (10, 30),
        };
        (
            Duration::from_secs(period_s),
            Duration::from_secs(timeout_s),
        )
    }
}

/// No connection can be made to what is no address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not `host:port`.
    #[error("{address:?} is no address of a node: it takes host:port")]
    Malformed {
        /// What was given.
        address: String,
    },
    /// The host can't be checked against a certificate.
    #[error("{address:?} can't be reached with TLS: no certificate names such a host")]
    Tls {
        /// What was given.
        address: String,
    },
}

/// Where tonic's clients send their requests. Cheap to clone; connects when it is first used, and again
/// after the connection ended.
#[derive(Clone)]
pub struct PeerChannel {
    channel: Channel,
    token: Option<HeaderValue>,
    identity: Option<Identity>,
    to: Option<HeaderValue>,
}

impl PeerChannel {
    /// To whatever listens there, as an operator or a program does.
    ///
    /// # Errors
    /// It is no address.
    pub fn connect(address: &str, credentials: &Credentials) -> Result<Self, AddressError> {
        let channel = open(address, credentials, Purpose::Forward)?;
        Ok(Self::new(channel, credentials))
    }

    /// To the node of this machine that has this socket; needs no credentials.
    ///
    /// # Errors
    /// It is no path.
    pub fn connect_unix(socket: &Path) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed {
            address: socket.display().to_string(),
        };
        let path = socket.to_str().ok_or_else(malformed)?;
        let endpoint = Endpoint::from_shared(format!("unix:{path}")).map_err(|_| malformed())?;
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).connect_lazy();
        Ok(Self::new(channel, &Credentials::default()))
    }

    pub(super) fn new(channel: Channel, credentials: &Credentials) -> Self {
        Self {
            channel,
            token: credentials.secret().map(|secret| secret.token()),
            identity: None,
            to: None,
        }
    }

    /// Tells who asks, once that is somebody.
    pub(super) fn from(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Tells who is meant.
    pub(super) fn to(mut self, node: u64) -> Self {
        self.to = Some(HeaderValue::from(node));
        self
    }
}

/// A lazy connection.
pub(super) fn open(
    address: &str,
    credentials: &Credentials,
    purpose: Purpose,
) -> Result<Channel, AddressError> {
    let malformed = || AddressError::Malformed {
        address: address.to_owned(),
    };
    let authority: Authority = address.parse().map_err(|_| malformed())?;
    // The rest of a URI's authority (a user before '@') has no meaning here.
    if authority.port_u16().is_none() || authority.host().is_empty() || address.contains('@') {
        return Err(malformed());
    }
    let (ping_period, ping_timeout) = purpose.ping();
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|_| malformed())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(ping_period)
        .keep_alive_timeout(ping_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX);
    let Some(tls) = credentials.tls() else {
        return Ok(endpoint.connect_lazy());
    };
    let connector = Connector::to(tls, authority.as_str(), authority.host());
    let connector = connector.ok_or_else(|| AddressError::Tls {
        address: address.to_owned(),
    })?;
    // Each handshake takes the certificates as they are then, so the connector does it, not tonic.
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT + TLS_HANDSHAKE_TIMEOUT)
        .connect_with_connector_lazy(connector))
}

impl Service<Request<Body>> for PeerChannel {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        if let Some(token) = &self.token {
            headers.insert(TOKEN, token.clone());
        }
        if let Some(standing) = self.identity.as_ref().and_then(Identity::standing) {
            headers.insert(CLUSTER, standing.cluster_header.clone());
            headers.insert(FROM, standing.node_header.clone());
        }
        if let Some(to) = &self.to {
            headers.insert(TO, to.clone());
        }
        self.channel.call(request)
    }
}
