//! How an empty node becomes a member: it forms a cluster, is told to by the one that does, or is let in.
//!
//! * Without `--peers` and `--join` it forms a cluster of its own at once.
//! * Of the nodes in `--peers` the first by name forms the cluster, and no other: two can't form one each.
//!   It needs a majority of them, itself among them, to answer that they are empty. It writes down its plan,
//!   tells all in it to be ready, and begins only when each has written that down. Until then it may change
//!   the plan, and a node that is ready takes another plan from the same node alone. Those that are ready
//!   begin when they see that the cluster is there.
//! * Whoever meets a member of a cluster asks to be let in, and never forms one.
//! * A name that the cluster knows with another directory is refused: that directory was lost or swapped,
//!   and with it the votes and entries that it had promised to keep.

use std::time::{Duration, Instant};

use super::discover::{Identified, identify_all};
use super::home::Home;
use super::marker::{Marker, MarkerError, Plan, PlannedMember, Standing};
use crate::ids::{ClusterId, NodeName};
use crate::node::{Failure, Options, Phase};
use crate::peers::Peers;
use crate::proto::{AdoptRequest, IdentifyRequest, JoinRequest, peer_client::PeerClient};

/// Between two rounds of asking.
const ROUND: Duration = Duration::from_millis(300);
/// A majority of the named nodes waits so long for the others before it forms a cluster without them.
const GRACE: Duration = Duration::from_secs(3);
/// Those of a plan that are not ready in this time are left out of the next one.
const READY: Duration = Duration::from_secs(10);
/// How long a call to let this node in may take: it commits entries.
const JOIN: Duration = Duration::from_secs(10);

/// What a node has become.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its id.
    pub node: u64,
    /// This node forms the cluster: its Raft begins with these members.
    pub founder: Option<Plan>,
}

/// An empty node on its way.
pub(crate) struct Arrival<'a> {
    /// Its directory.
    pub home: &'a Home,
    /// What it was started with.
    pub options: &'a Options,
    /// host:port at which others reach it; empty where it has no port.
    pub address: &'a str,
    /// The way to other nodes.
    pub peers: &'a Peers,
    /// Tells how far it is.
    pub tell: &'a (dyn Fn(Phase) + Send + Sync),
}

impl Arrival<'_> {
    /// Goes on from what the directory says until the node is a member.
    pub async fn complete(&self) -> Result<Arrived, Failure> {
        let mut majority_since = None;
        loop {
            let marker = self.home.marker();
            match marker.standing.clone() {
                Standing::Member { cluster_id, node } => {
                    return Ok(Arrived {
                        cluster_id,
                        node,
                        founder: None,
                    });
                }
                Standing::Forming(plan) => {
                    if let Some(arrived) = self.carry_out(&marker, plan).await? {
                        return Ok(arrived);
                    }
                }
                Standing::Adopted { cluster_id, .. } => {
                    self.wait_for_start(&marker, cluster_id).await?;
                }
                Standing::Restoring => return Err(Failure::HalfRestored),
                Standing::Empty if self.is_alone() => {
                    let me = self.planned(&marker, 1);
                    self.plan(vec![me], Vec::new()).await?;
                }
                Standing::Empty if self.options.standby => {
                    (self.tell)(Phase::Waiting {
                        answered: vec![],
                        missing: vec![],
                    });
                    self.home
                        .wait(|marker| marker.standing != Standing::Empty)
                        .await;
                }
                Standing::Empty => self.look_around(&marker, &mut majority_since).await?,
            }
        }
    }

    fn is_alone(&self) -> bool {
        self.options.peers.is_empty() && self.options.join.is_empty() && !self.options.standby
    }

    /// One round: is there a cluster to join, or are there enough empty nodes to form one?
    async fn look_around(
        &self,
        marker: &Marker,
        majority_since: &mut Option<Instant>,
    ) -> Result<(), Failure> {
        let mut addresses = Vec::new();
        for address in self.others().chain(self.options.join.iter().cloned()) {
            if address != self.address && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let answers = identify_all(self.peers, &addresses, &self.request(marker)).await;
        let (found, missing) = split(&addresses, answers);
        (self.tell)(Phase::Waiting {
            answered: found.iter().map(|peer| peer.name.clone()).collect(),
            missing,
        });
        for peer in &found {
            refuse_if_known(marker, peer)?;
        }
        if let Some(peer) = found.iter().find(|peer| peer.member) {
            if self.join(marker, peer).await? {
                return Ok(());
            }
        } else if self.founds() {
            if let Some(peer) = found.iter().find(|peer| peer.cluster_id.is_some()) {
                // Only this node could have told it.
                return Err(Failure::Forgotten {
                    peer: peer.name.clone(),
                    cluster_id: peer.cluster_id.expect("just seen"),
                });
            }
            let members = self.candidates(marker, &found);
            let enough = members.len() > self.options.peers.len() / 2;
            let all = members.len() == self.options.peers.len();
            let since = enough.then(|| *majority_since.get_or_insert_with(Instant::now));
            *majority_since = since;
            if all || since.is_some_and(|since| since.elapsed() >= GRACE) {
                return self.plan(members, Vec::new()).await;
            }
        }
        // A node that is told what it will be need not wait for the next round.
        let told = self.home.wait(|marker| marker.standing != Standing::Empty);
        let _ = tokio::time::timeout(ROUND, told).await;
        Ok(())
    }

    /// This node is the one that forms the cluster.
    fn founds(&self) -> bool {
        let first = self.options.peers.iter().map(|peer| &peer.name).min();
        first.is_some_and(|first| *first == self.home.marker().name)
    }

    fn others(&self) -> impl Iterator<Item = String> + '_ {
        let own = self.home.marker().name;
        let others = self
            .options
            .peers
            .iter()
            .filter(move |peer| peer.name != own);
        others.map(|peer| peer.address.clone())
    }

    fn request(&self, marker: &Marker) -> IdentifyRequest {
        IdentifyRequest {
            name: marker.name.to_string(),
            directory_id: marker.directory_id.to_vec(),
        }
    }

    fn planned(&self, marker: &Marker, node: u64) -> PlannedMember {
        PlannedMember {
            node,
            name: marker.name.clone(),
            address: self.address.to_owned(),
            directory_id: marker.directory_id,
        }
    }

    /// The named nodes that are empty, this one among them, numbered by their place in the list of names.
    fn candidates(&self, marker: &Marker, found: &[Identified]) -> Vec<PlannedMember> {
        let mut named: Vec<_> = self.options.peers.iter().collect();
        named.sort_by(|a, b| a.name.cmp(&b.name));
        let numbered = (1..).zip(named);
        numbered
            .filter_map(|(node, peer)| {
                if peer.name == marker.name {
                    return Some(self.planned(marker, node));
                }
                let answer = found
                    .iter()
                    .find(|found| found.name == peer.name.as_str())?;
                Some(PlannedMember {
                    node,
                    name: peer.name.clone(),
                    address: peer.address.clone(),
                    directory_id: answer.directory_id?,
                })
            })
            .collect()
    }

    async fn plan(
        &self,
        members: Vec<PlannedMember>,
        supersedes: Vec<ClusterId>,
    ) -> Result<(), Failure> {
        let plan = Plan {
            cluster_id: ClusterId::random(),
            supersedes,
            members,
        };
        tracing::info!(cluster_id = %plan.cluster_id, members = plan.members.len(), "forming a cluster");
        let step = self
            .home
            .step(move |_| Ok::<_, ()>(Some(Standing::Forming(plan))));
        step.await.map_err(unwritable).map(drop)
    }

    /// Makes all others ready. `None` when some are not, and there is another plan.
    async fn carry_out(&self, marker: &Marker, plan: Plan) -> Result<Option<Arrived>, Failure> {
        let mut waiting: Vec<_> = plan
            .members
            .iter()
            .filter(|member| member.name != marker.name)
            .cloned()
            .collect();
        let begun = Instant::now();
        while !waiting.is_empty() {
            let mut left = Vec::new();
            for member in waiting {
                if !adopt(self.peers, &member, &plan, &marker.name).await {
                    left.push(member);
                }
            }
            waiting = left;
            if waiting.is_empty() {
                break;
            }
            let missing: Vec<_> = waiting
                .iter()
                .map(|member| member.name.to_string())
                .collect();
            (self.tell)(Phase::Waiting {
                answered: vec![],
                missing,
            });
            if begun.elapsed() >= READY {
                return self.plan_without(&plan, &waiting).await.map(|()| None);
            }
            tokio::time::sleep(ROUND).await;
        }
        let me = plan
            .members
            .iter()
            .find(|member| member.name == marker.name);
        let node = me.expect("a plan has its founder in it").node;
        Ok(Some(Arrived {
            cluster_id: plan.cluster_id,
            node,
            founder: Some(plan),
        }))
    }

    async fn plan_without(&self, plan: &Plan, gone: &[PlannedMember]) -> Result<(), Failure> {
        let rest: Vec<_> = plan
            .members
            .iter()
            .filter(|member| !gone.contains(member))
            .cloned()
            .collect();
        if rest.len() <= self.options.peers.len() / 2 {
            return Ok(());
        }
        let mut supersedes = plan.supersedes.clone();
        supersedes.push(plan.cluster_id);
        self.plan(rest, supersedes).await
    }

    /// Waits until the cluster is there, or the node that forms it has changed its mind.
    async fn wait_for_start(&self, marker: &Marker, adopted: ClusterId) -> Result<(), Failure> {
        let addresses: Vec<_> = self
            .others()
            .chain(self.options.join.iter().cloned())
            .collect();
        let answers = identify_all(self.peers, &addresses, &self.request(marker)).await;
        let (found, missing) = split(&addresses, answers);
        let begun = found
            .iter()
            .any(|peer| peer.member && peer.cluster_id == Some(adopted));
        if begun {
            let step = self.home.step(move |marker| match marker.standing {
                Standing::Adopted {
                    cluster_id, node, ..
                } if cluster_id == adopted => Ok(Some(Standing::Member { cluster_id, node })),
                _ => Err(()),
            });
            return step.await.map_err(unwritable).map(drop);
        }
        (self.tell)(Phase::Waiting {
            answered: found.iter().map(|peer| peer.name.clone()).collect(),
            missing,
        });
        let told = marker.standing.clone();
        let changed = self.home.wait(|marker| marker.standing != told);
        let _ = tokio::time::timeout(ROUND, changed).await;
        Ok(())
    }

    async fn join(&self, marker: &Marker, through: &Identified) -> Result<bool, Failure> {
        let request = JoinRequest {
            name: marker.name.to_string(),
            address: self.address.to_owned(),
            directory_id: marker.directory_id.to_vec(),
            cluster_id: Vec::new(),
            forwarded: false,
        };
        let Ok(channel) = self.peers.connect(&through.address) else {
            return Ok(false);
        };
        let mut client = PeerClient::new(channel);
        let reply = match tokio::time::timeout(JOIN, client.join(request)).await {
            Ok(Ok(reply)) => reply.into_inner(),
            Ok(Err(status)) => {
                tracing::warn!(through = through.name, %status, "not let into the cluster yet");
                return Ok(false);
            }
            Err(_) => return Ok(false),
        };
        let Ok(cluster_id) = ClusterId::try_from(&reply.cluster_id[..]) else {
            return Ok(false);
        };
        let node = reply.node;
        let wants_vote = !self.options.stay_learner;
        self.home
            .set_wants_vote(wants_vote)
            .await
            .map_err(unwritable)?;
        let step = self.home.step(move |marker| match marker.standing {
            Standing::Empty => Ok(Some(Standing::Member { cluster_id, node })),
            _ => Err(()),
        });
        step.await.map_err(unwritable).map(|step| step.is_ok())
    }
}

/// Tells one member of a plan to be ready.
async fn adopt(peers: &Peers, member: &PlannedMember, plan: &Plan, from: &NodeName) -> bool {
    let request = AdoptRequest {
        cluster_id: plan.cluster_id.to_vec(),
        supersedes: plan.supersedes.iter().map(|id| id.to_vec()).collect(),
        node: member.node,
        name: member.name.to_string(),
        from: from.to_string(),
        start: false,
        stay_learner: false,
    };
    let Ok(channel) = peers.connect(&member.address) else {
        return false;
    };
    let mut client = PeerClient::new(channel);
    match tokio::time::timeout(JOIN / 10, client.adopt(request)).await {
        Ok(Ok(_)) => true,
        Ok(Err(status)) => {
            tracing::warn!(peer = %member.name, %status, "a node is not ready for the new cluster");
            false
        }
        Err(_) => false,
    }
}

fn split(addresses: &[String], answers: Vec<Option<Identified>>) -> (Vec<Identified>, Vec<String>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for (address, answer) in addresses.iter().zip(answers) {
        match answer {
            Some(answer) => found.push(answer),
            None => missing.push(address.clone()),
        }
    }
    (found, missing)
}

fn refuse_if_known(marker: &Marker, peer: &Identified) -> Result<(), Failure> {
    match peer.asker {
        Some((node, directory)) if directory != Some(marker.directory_id) => Err(Failure::Known {
            name: marker.name.clone(),
            node,
        }),
        _ => Ok(()),
    }
}

pub(crate) fn unwritable(error: MarkerError) -> Failure {
    Failure::Directory {
        reason: error.to_string(),
    }
}
