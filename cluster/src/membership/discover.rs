//! Asking other nodes who they are.

use std::time::Duration;

use futures::future::join_all;

use crate::ids::{ClusterId, DirectoryId};
use crate::peers::Peers;
use crate::proto::{IdentifyReply, IdentifyRequest, peer_client::PeerClient};

/// How long one node may take to say who it is.
const ANSWER: Duration = Duration::from_secs(1);

/// What a node said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    /// Where it was asked.
    pub address: String,
    /// Its name.
    pub name: String,
    /// Its directory; `None` when it said none that can be read.
    pub directory_id: Option<DirectoryId>,
    /// The cluster that it belongs to, or was told that it will.
    pub cluster_id: Option<ClusterId>,
    /// It has started as a member.
    pub member: bool,
    /// It leads its cluster.
    pub leads: bool,
    /// What its cluster calls the node that asked, and with which directory.
    pub asker: Option<(u64, Option<DirectoryId>)>,
}

impl Identified {
    fn new(address: String, reply: IdentifyReply) -> Self {
        let directory = |bytes: &[u8]| DirectoryId::try_from(bytes).ok();
        Self {
            address,
            name: reply.name,
            directory_id: directory(&reply.directory_id),
            cluster_id: directory(&reply.cluster_id),
            member: reply.member,
            leads: reply.node != 0 && reply.leader == reply.node,
            asker: (reply.your_node != 0)
                .then(|| (reply.your_node, directory(&reply.your_directory_id))),
        }
    }
}

/// Asks one node.
pub(crate) async fn identify(
    peers: &Peers,
    address: &str,
    request: IdentifyRequest,
) -> Option<Identified> {
    let asked = async {
        let channel = peers.connect(address).ok()?;
        match PeerClient::new(channel).identify(request).await {
            Ok(reply) => Some(Identified::new(address.to_owned(), reply.into_inner())),
            Err(status) => {
                tracing::debug!(address, %status, "a node does not say who it is");
                None
            }
        }
    };
    tokio::time::timeout(ANSWER, asked).await.ok().flatten()
}

/// Asks all of them at once; the answers are in the order of the addresses.
pub(crate) async fn identify_all(
    peers: &Peers,
    addresses: &[String],
    request: &IdentifyRequest,
) -> Vec<Option<Identified>> {
    join_all(addresses.iter().map(|address| identify(peers, address, request.clone()))).await
}
