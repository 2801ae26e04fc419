//! What a member does when no leader speaks to it: it asks around whether it still belongs there.
//!
//! A node that was removed while it was down, or that was given a foreign directory, would else wait for
//! ever: nobody sends it anything, and it may not vote.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::phase::Failure;
use crate::membership::{Identified, identify_all};
use crate::proto::IdentifyRequest;

/// Without a leader for so long, a node asks around, and so often.
const PERIOD: Duration = Duration::from_secs(2);

/// Ends the node when the others say that it is none of theirs.
pub(super) async fn lookout_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member looks out");
    // Whoever was named to it has to belong to the same cluster; a foreign directory may well find a leader
    // in its own.
    let named: BTreeSet<String> = named(&core).collect();
    let mut confirmed = named.is_empty();
    loop {
        if confirmed {
            tokio::time::sleep(PERIOD).await;
            if member.leader.known().is_some() {
                continue;
            }
        }
        let marker = core.home.marker();
        let request = IdentifyRequest {
            name: marker.name.to_string(),
            directory_id: marker.directory_id.to_vec(),
        };
        let addresses: Vec<String> = if confirmed {
            addresses(&core).into_iter().collect()
        } else {
            named.iter().cloned().collect()
        };
        let answers = identify_all(&core.peers, &addresses, &request).await;
        for peer in answers.into_iter().flatten().filter(|peer| peer.member) {
            if let Some(failure) = verdict(&core, member.node, &peer) {
                return core.fail(failure);
            }
            confirmed = true;
        }
        if !confirmed {
            tokio::time::sleep(PERIOD).await;
        }
    }
}

/// The others that this node was started with.
fn named(core: &Core) -> impl Iterator<Item = String> {
    let peers = core.options.peers.iter().map(|peer| peer.address.clone());
    let all = peers.chain(core.options.join.iter().cloned());
    all.filter(|address| !address.is_empty() && *address != core.address)
}

fn addresses(core: &Core) -> BTreeSet<String> {
    let members = core
        .status()
        .members
        .into_iter()
        .map(|member| member.address);
    members
        .chain(named(core))
        .filter(|address| !address.is_empty() && *address != core.address)
        .collect()
}

/// Why this node has to end, if what a member says of it leaves no other way.
fn verdict(core: &Core, node: u64, peer: &Identified) -> Option<Failure> {
    let marker = core.home.marker();
    let own = marker.cluster_id()?;
    let found = peer.cluster_id?;
    if found != own {
        return Some(Failure::Foreign {
            own,
            peer: peer.name.clone(),
            found,
        });
    }
    match peer.asker {
        // Who asks is not in the state of that member, which may lag: only its leader's word counts.
        None => peer.leads.then_some(Failure::Removed { node }),
        Some((known, _)) if known != node => Some(Failure::Known {
            name: marker.name,
            node: known,
        }),
        Some(_) => None,
    }
}
