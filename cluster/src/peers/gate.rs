//! What stands before all services of the cluster port: who asks, and is it meant for this node?

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::future::Either;
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::identity::Identity;
use super::refusal::Refusal;
use super::secret::ClusterSecret;
use crate::ids::ClusterId;
use crate::proto::{peer_server, raft_server};

/// The cluster that the sender belongs to and means.
pub(super) const CLUSTER: &str = "mcp-v8-cluster";
/// The sender's Raft id.
pub(super) const FROM: &str = "mcp-v8-from";
/// The Raft id of the node that is meant.
pub(super) const TO: &str = "mcp-v8-to";
/// Derived from the cluster secret.
pub(super) const TOKEN: &str = "mcp-v8-token";

/// Methods that serve nodes which are no members yet.
const OPEN_METHODS: [&str; 3] = ["Identify", "Adopt", "Join"];

/// Checks token, cluster and target of each request by its headers, before its body is read.
#[derive(Clone)]
pub struct Gate {
    secret: Option<ClusterSecret>,
    identity: Identity,
}

/// Which node asks, for the handlers: an extension of each request that came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its Raft id; none for operators, programs and nodes that are no members yet.
    pub node: Option<u64>,
}

/// What a method asks of the headers besides the token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nothing: it is how nodes get to know each other.
    Open,
    /// All of them: it is between members.
    Members,
    /// What is there must be right.
    Any,
}

impl Gate {
    /// For the network.
    pub fn new(secret: Option<ClusterSecret>, identity: Identity) -> Self {
        Self { secret, identity }
    }

    /// For the Unix socket: who may open it is the operator, and needs no token.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self::new(None, self.identity.clone())
    }

    fn check(&self, path: &str, headers: &HeaderMap) -> Result<Caller, Refusal> {
        if let Some(secret) = &self.secret {
            let token = headers.get(TOKEN).ok_or(Refusal::NoToken)?;
            if !secret.accepts(token) {
                return Err(Refusal::WrongToken);
            }
        }
        let rule = rule(path);
        if rule == Rule::Open {
            return Ok(Caller { node: None });
        }
        let cluster: Option<ClusterId> = read(headers, CLUSTER)?;
        let from: Option<u64> = read(headers, FROM)?;
        let to: Option<u64> = read(headers, TO)?;
        if rule == Rule::Members {
            for (header, missing) in [
                (CLUSTER, cluster.is_none()),
                (FROM, from.is_none()),
                (TO, to.is_none()),
            ] {
                if missing {
                    return Err(Refusal::NoHeader { header });
                }
            }
        }
        let here = self.identity.get();
        if here.is_none() && (cluster.is_some() || to.is_some()) {
            return Err(Refusal::NoMember);
        }
        if let (Some((here, _)), Some(meant)) = (here, cluster)
            && here != meant
        {
            return Err(Refusal::WrongCluster { here, meant });
        }
        if let (Some((_, here)), Some(meant)) = (here, to)
            && here != meant
        {
            return Err(Refusal::WrongNode { here, meant });
        }
        Ok(Caller { node: from })
    }
}

fn rule(path: &str) -> Rule {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (service, method) = (parts.next(), parts.next());
    match (service, method) {
        (Some(raft_server::SERVICE_NAME), _) => Rule::Members,
        (Some(peer_server::SERVICE_NAME), Some(method)) if OPEN_METHODS.contains(&method) => {
            Rule::Open
        }
        (Some(peer_server::SERVICE_NAME), _) => Rule::Members,
        _ => Rule::Any,
    }
}

fn read<T: std::str::FromStr>(
    headers: &HeaderMap,
    header: &'static str,
) -> Result<Option<T>, Refusal> {
    let Some(value) = headers.get(header) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or(Refusal::NoHeader { header })
}

impl<S> Layer<S> for Gate {
    type Service = GatedService<S>;

    fn layer(&self, inner: S) -> GatedService<S> {
        GatedService {
            gate: self.clone(),
            inner,
        }
    }
}

/// A service behind the [`Gate`].
#[derive(Clone)]
pub struct GatedService<S> {
    gate: Gate,
    inner: S,
}

impl<S> Service<Request<Body>> for GatedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.gate.check(request.uri().path(), request.headers()) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Right(self.inner.call(request))
            }
            Err(refusal) => {
                tracing::debug!(%refusal, path = request.uri().path(), "request refused");
                Either::Left(ready(Ok(Status::from(&refusal).into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SECRET: &str = "a secret for the tests";

    fn gate(member: Option<(ClusterId, u64)>) -> Gate {
        let identity = Identity::new("here".parse().unwrap());
        if let Some((cluster_id, node)) = member {
            identity.set(cluster_id, node);
        }
        Gate::new(SECRET.parse().ok(), identity)
    }

    fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
        let secret: ClusterSecret = SECRET.parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(TOKEN, secret.token());
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::try_from(value).unwrap());
        }
        headers
    }

    #[test]
    fn members_name_cluster_sender_and_target() {
        let cluster = ClusterId::random();
        let foreign = ClusterId::random();
        let gate = gate(Some((cluster, 2)));
        let path = "/mcp_v8.v1.Raft/Vote";
        let all = |cluster: ClusterId, to: &str| {
            headers(&[
                (CLUSTER, cluster.to_string()),
                (FROM, "1".into()),
                (TO, to.into()),
            ])
        };
        assert_eq!(
            gate.check(path, &all(cluster, "2")),
            Ok(Caller { node: Some(1) })
        );
        assert_eq!(
            gate.check(path, &all(foreign, "2")),
            Err(Refusal::WrongCluster {
                here: cluster,
                meant: foreign
            })
        );
        assert_eq!(
            gate.check(path, &all(cluster, "3")),
            Err(Refusal::WrongNode { here: 2, meant: 3 })
        );
        assert_eq!(
            gate.check(path, &all(cluster, "two")),
            Err(Refusal::NoHeader { header: TO })
        );
        for path in [
            path,
            "/mcp_v8.v1.Peer/Propose",
            "/mcp_v8.v1.Peer/",
            "/mcp_v8.v1.Peer",
        ] {
            assert_eq!(
                gate.check(path, &headers(&[])),
                Err(Refusal::NoHeader { header: CLUSTER }),
                "{path}"
            );
        }
    }

    #[test]
    fn nodes_without_a_cluster_are_heard_where_they_must_be() {
        let stranger = headers(&[(CLUSTER, ClusterId::random().to_string())]);
        let gate = gate(None);
        for method in OPEN_METHODS {
            let path = format!("/mcp_v8.v1.Peer/{method}");
            assert_eq!(gate.check(&path, &stranger), Ok(Caller { node: None }));
            assert_eq!(
                gate.check(&path, &HeaderMap::new()),
                Err(Refusal::NoToken),
                "{path}"
            );
        }
        assert_eq!(
            gate.check("/mcp_v8.v1.Tags/Put", &stranger),
            Err(Refusal::NoMember)
        );
    }

    #[test]
    fn programs_need_the_token_alone_and_the_operator_nothing() {
        let gate = gate(Some((ClusterId::random(), 1)));
        let path = "/mcp_v8.v1.Tags/Put";
        assert_eq!(gate.check(path, &headers(&[])), Ok(Caller { node: None }));
        let mut wrong = HeaderMap::new();
        wrong.insert(TOKEN, HeaderValue::from_static("guess"));
        assert_eq!(gate.check(path, &wrong), Err(Refusal::WrongToken));
        assert_eq!(
            gate.without_token().check(path, &HeaderMap::new()),
            Ok(Caller { node: None })
        );
    }
}
