//! The way to the cluster, by whichever endpoint answers.

use std::time::{Duration, Instant};

use cluster::peers::{Credentials, PeerChannel};
use cluster::proto::admin_client::AdminClient;
use cluster::proto::{AdminMember, NodeStatusReply, NodeStatusRequest, Target};
use tonic::{Request, Response, Status};

use super::args::AdminArgs;
use super::error::{AdminError, Verdict, verdict};
use crate::config::CredentialSource;

/// Where a node listens when nothing else is known.
const ENDPOINT: &str = "127.0.0.1:7000";
/// How long an endpoint may take to tell what it knows.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Before a call that may go through now is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to the cluster.
pub struct Connection {
    endpoints: Vec<(String, PeerChannel)>,
    started: Instant,
    timeout: Duration,
}

impl Connection {
    /// To the endpoints of a command line.
    pub fn new(args: &AdminArgs) -> Result<Self, AdminError> {
        let credentials: Credentials = CredentialSource::from(&args.credentials).load()?;
        let mut endpoints = Vec::new();
        for endpoint in args
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.is_empty())
        {
            let channel = PeerChannel::connect(endpoint, &credentials)?;
            endpoints.push((endpoint.clone(), channel));
        }
        if endpoints.is_empty() {
            endpoints.push(match &args.directory_path {
                Some(directory) => {
                    let socket = directory.join("admin.sock");
                    let channel = PeerChannel::connect_unix(&socket)?;
                    (socket.display().to_string(), channel)
                }
                None => {
                    let channel = PeerChannel::connect(ENDPOINT, &credentials)?;
                    (ENDPOINT.to_owned(), channel)
                }
            });
        }
        Ok(Self {
            endpoints,
            started: Instant::now(),
            timeout: Duration::from_secs(args.timeout_secs),
        })
    }

    /// The channels, in the order in which they were named.
    pub fn channels(&self) -> impl Iterator<Item = PeerChannel> {
        self.endpoints.iter().map(|(_, channel)| channel.clone())
    }

    fn deadline(&self) -> Instant {
        self.started + self.timeout
    }

    /// Makes a call by the first endpoint that takes it, and again while it may still go through.
    pub async fn call<Q, R>(
        &self,
        request: Q,
        call: impl AsyncFn(AdminClient<PeerChannel>, Request<Q>) -> Result<Response<R>, Status>,
    ) -> Result<R, AdminError>
    where
        Q: Clone,
    {
        loop {
            let mut last = None;
            for (_, channel) in &self.endpoints {
                let mut request = Request::new(request.clone());
                let left = self.deadline().saturating_duration_since(Instant::now());
                request.set_timeout(left.max(PAUSE));
                let called = call(AdminClient::new(channel.clone()), request);
                match tokio::time::timeout(left.max(PAUSE), called).await {
                    Ok(Ok(reply)) => return Ok(reply.into_inner()),
                    Ok(Err(status)) => match verdict(&status) {
                        Verdict::Final(error) => return Err(error),
                        Verdict::Again => last = Some(status.message().to_owned()),
                    },
                    Err(_) => last = Some("no answer in time".to_owned()),
                }
            }
            if Instant::now() >= self.deadline() {
                return Err(self.no_answer(last.unwrap_or_default()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What a node knows, if it answers soon; of the endpoint itself when none is named.
    pub async fn status_of(
        &self,
        channel: PeerChannel,
        node: &str,
    ) -> Result<NodeStatusReply, Status> {
        let request = NodeStatusRequest {
            target: Some(target(node)),
        };
        let mut client = AdminClient::new(channel);
        match tokio::time::timeout(ANSWER_MAX, client.node_status(request)).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        }
    }

    /// The members, as the node knows them that knows most: the leader, where there is one.
    pub async fn overview(&self) -> Result<NodeStatusReply, AdminError> {
        let asked = self.any_status().await?;
        let leader = asked.leader;
        if leader == 0 || leader == asked.node {
            return Ok(asked);
        }
        for channel in self.channels() {
            if let Ok(of_leader) = self.status_of(channel, &leader.to_string()).await {
                return Ok(of_leader);
            }
        }
        Ok(asked)
    }

    /// What the first endpoint knows that answers at all. That takes no election, so nobody waits long.
    async fn any_status(&self) -> Result<NodeStatusReply, AdminError> {
        let mut last = String::new();
        for channel in self.channels() {
            match self.status_of(channel, "").await {
                Ok(status) => return Ok(status),
                Err(status) => match verdict(&status) {
                    Verdict::Final(error) => return Err(error),
                    Verdict::Again => status.message().clone_into(&mut last),
                },
            }
        }
        Err(self.no_answer(last))
    }

    pub(super) fn no_answer(&self, last: String) -> AdminError {
        AdminError::NoAnswer {
            tried: self
                .endpoints
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            last,
        }
    }

    /// Asks each of these members that lives; of the others it is told that they are down.
    pub async fn each<T>(
        &self,
        members: &[AdminMember],
        ask: impl AsyncFn(&Self, Target) -> Result<T, AdminError>,
    ) -> Vec<(String, Result<T, AdminError>)> {
        let mut answers = Vec::with_capacity(members.len());
        for member in members {
            let answer = match member.alive {
                true => ask(self, target(&member.name)).await,
                false => Err(AdminError::Refused {
                    message: "it is down".to_owned(),
                }),
            };
            answers.push((member.name.clone(), answer));
        }
        answers
    }

    /// Looks again and again until what it waits for is there.
    pub async fn wait<T>(
        &self,
        waiting: &str,
        look: impl AsyncFn(&NodeStatusReply) -> Option<T>,
    ) -> Result<T, AdminError> {
        loop {
            if let Some(found) = look(&self.overview().await?).await {
                return Ok(found);
            }
            if Instant::now() >= self.deadline() {
                return Err(AdminError::TimedOut {
                    waited: self.timeout,
                    waiting: waiting.to_owned(),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A call for one node, or for whoever is asked.
pub fn target(node: &str) -> Target {
    Target {
        node: node.to_owned(),
        relayed: false,
    }
}

/// A member by its name or its id.
pub fn member<'a>(status: &'a NodeStatusReply, name: &str) -> Option<&'a AdminMember> {
    let members = &status.members;
    members
        .iter()
        .find(|member| member.name == name)
        .or_else(|| {
            members
                .iter()
                .find(|member| member.node.to_string() == name)
        })
}
