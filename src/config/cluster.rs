use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cluster::ids::NodeName;
use cluster::node::Peer;
use cluster::raft::RaftTimings;

use super::cluster_error::ClusterError;
use super::range::Range;
use super::{CredentialSource, Error, Settings};

/// Which cluster this node belongs to, and how it is reached there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Where everything is kept; without it, only for as long as the node runs.
    pub directory: Option<PathBuf>,
    /// The node's name.
    pub name: Option<NodeName>,
    /// Where it listens for other nodes, operators and programs.
    pub listen: Option<SocketAddr>,
    /// host:port at which others reach it.
    pub advertise: Option<String>,
    /// The nodes that form the cluster.
    pub peers: Vec<Peer>,
    /// Members of a cluster that lets this node in.
    pub join: Vec<String>,
    /// It waits to be added.
    pub standby: bool,
    /// It takes no vote by itself.
    pub learner: bool,
    /// What it shows others.
    pub credentials: CredentialSource,
    /// Raft's clocks.
    pub timings: RaftTimings,
    /// How long it may be silent before its life is declared over.
    pub lease: Duration,
    /// Bytes of log that are worth a snapshot.
    pub snapshot_log_bytes: u64,
    /// Bytes that are to be free on the disk.
    pub disk_free_min: u64,
}

impl ClusterConfig {
    /// Puts the defaults under what was said, and checks it.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let name = settings.node_id.as_deref().map(name).transpose()?;
        let peers = list(settings.peers.as_deref(), "peers")?;
        let peers: Vec<Peer> = peers
            .iter()
            .map(|text| peer(text))
            .collect::<Result<_, _>>()?;
        for (place, one) in peers.iter().enumerate() {
            if peers[..place].iter().any(|other| other.name == one.name) {
                let name = one.name.clone();
                return Err(ClusterError::PeerTwice { name }.into());
            }
        }
        let join = list(settings.join.as_deref(), "join")?;
        for text in &join {
            address("join", text)?;
        }
        if let Some(text) = &settings.advertise_addr {
            address("advertise-addr", text)?;
        }
        let standby = settings.standby.unwrap_or(false);
        if !peers.is_empty() && !join.is_empty() {
            return Err(ClusterError::PeersAndJoin.into());
        }
        if standby && !(peers.is_empty() && join.is_empty()) {
            return Err(ClusterError::StandbyAlone.into());
        }
        let many = !peers.is_empty() || !join.is_empty() || standby;
        if many && name.is_none() {
            return Err(ClusterError::NoName.into());
        }
        if many && settings.directory_path.is_none() {
            return Err(ClusterError::NoDirectory.into());
        }
        let builtin = RaftTimings::default();
        let timings = RaftTimings {
            heartbeat_ms: settings.heartbeat_ms.unwrap_or(builtin.heartbeat_ms),
            election_min_ms: settings.election_ms_min.unwrap_or(builtin.election_min_ms),
            election_max_ms: settings.election_ms_max.unwrap_or(builtin.election_max_ms),
        };
        let timings = timings.validate().map_err(ClusterError::Timings)?;
        let lease_secs = Range("node-lease-secs", 1, 3600, "seconds")
            .check(settings.node_lease_secs.unwrap_or(5))?;
        let lease = Duration::from_secs(lease_secs);
        if lease < Duration::from_millis(2 * timings.election_max_ms) {
            return Err(ClusterError::LeaseTooShort { lease_secs }.into());
        }
        Ok(Self {
            directory: settings.directory_path.clone(),
            name,
            listen: settings.cluster_addr,
            advertise: settings.advertise_addr.clone(),
            peers,
            join,
            standby,
            learner: settings.learner.unwrap_or(false),
            credentials: CredentialSource {
                secret: settings.cluster_secret.clone(),
                secret_file: settings.cluster_secret_file.clone(),
                tls_ca: settings.cluster_tls_ca.clone(),
                tls_cert: settings.cluster_tls_cert.clone(),
                tls_key: settings.cluster_tls_key.clone(),
                tls_domain: settings.cluster_tls_domain.clone(),
            },
            timings,
            lease,
            disk_free_min: Range("disk-free-min-mb", 0, 1 << 30, "MiB")
                .check(settings.disk_free_min_mb.unwrap_or(256))?
                << 20,
            snapshot_log_bytes: Range("snapshot-log-bytes", 1 << 20, 1 << 40, "bytes")
                .check(settings.snapshot_log_bytes.unwrap_or(256 << 20))?,
        })
    }
}

impl ClusterConfig {
    /// Its cluster is, as far as the settings tell, this node.
    pub fn is_alone(&self) -> bool {
        self.peers.is_empty() && self.join.is_empty() && !self.standby
    }
}

fn list(entries: Option<&[String]>, flag: &'static str) -> Result<Vec<String>, Error> {
    super::load::names(flag, entries)
}

fn name(text: &str) -> Result<NodeName, ClusterError> {
    text.parse().map_err(ClusterError::Name)
}

fn peer(text: &str) -> Result<Peer, ClusterError> {
    let (of, at) = text.split_once('=').ok_or_else(|| ClusterError::Peer {
        text: text.to_owned(),
    })?;
    address("peers", at)?;
    Ok(Peer {
        name: name(of)?,
        address: at.to_owned(),
    })
}

/// host:port, where the host may be a name that only the network knows.
fn address(flag: &'static str, text: &str) -> Result<(), ClusterError> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(1..) => Ok(()),
        _ => Err(ClusterError::Address {
            flag,
            text: text.to_owned(),
        }),
    }
}

#[cfg(test)]
#[path = "cluster_test.rs"]
mod cluster_test;
