//! To whom an operator's call goes on.

use cluster::node::Cluster;
use cluster::peers::{PeerChannel, Purpose};
use cluster::proto::Target;
use cluster::proto::admin_client::AdminClient;
use tonic::Status;

/// Whom a kind of call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The node that the call names, else the one that was asked.
    Named,
    /// The leader.
    Leader,
}

/// Finds the node that a call is for.
pub struct Relay {
    cluster: Cluster,
}

impl Relay {
    /// From a node.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// The way to the node that a call is for; `None` when it is this one.
    pub fn to(
        &self,
        place: Place,
        target: &Target,
    ) -> Result<Option<AdminClient<PeerChannel>>, Status> {
        let node = match place {
            Place::Named if target.node.is_empty() => return Ok(None),
            Place::Named => self.find(&target.node)?,
            Place::Leader => self
                .cluster
                .status()
                .leader
                .ok_or_else(|| Status::unavailable("no leader is known here"))?,
        };
        if Some(node) == self.cluster.node() {
            return Ok(None);
        }
        if target.relayed {
            return Err(Status::unavailable(
                "the lead moved while the call was on its way: ask again",
            ));
        }
        let channel = self.cluster.peers().channel(node, Purpose::Forward);
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Some(AdminClient::new(channel)))
    }

    /// A member by its name or its id.
    pub fn find(&self, member: &str) -> Result<u64, Status> {
        let status = self.cluster.status();
        let by_name = status.members.iter().find(|known| known.name == member);
        let by_id = || {
            let id: u64 = member.parse().ok()?;
            status.members.iter().find(|known| known.node == id)
        };
        // A node that is no member any more still has a record until it is removed.
        let by_record = || {
            let records = self.cluster.state().known_nodes();
            let record = records
                .into_iter()
                .find(|record| record.name == member || record.id.to_string() == member)?;
            Some(record.id)
        };
        by_name
            .or_else(by_id)
            .map(|known| known.node)
            .or_else(by_record)
            .ok_or_else(|| Status::not_found(format!("no member is called {member}")))
    }
}
