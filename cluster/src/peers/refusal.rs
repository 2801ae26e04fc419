//! Why a request was turned away before it was looked at.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::ids::ClusterId;

/// Carries the kind of a refusal, so that nobody has to read its text.
const REFUSED: &str = "mcp-v8-refused";

/// A request that is not for this node, or not from one of us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is a cluster secret, and the request carries no token.
    #[error("the request has no token: this node has a cluster secret")]
    NoToken,
    /// The token is made of another secret.
    #[error("the request's token is wrong: it was made of another cluster secret")]
    WrongToken,
    /// Nodes tell each other who they are and whom they mean; this request does not, or not legibly.
    #[error("the request has no legible {header}")]
    NoHeader {
        /// What is missing.
        header: &'static str,
    },
    /// This node belongs to another cluster.
    #[error(
        "this is a node of cluster {here}, and the request is for cluster {meant}: its sender has \
         the address of a foreign node"
    )]
    WrongCluster {
        /// This node's.
        here: ClusterId,
        /// The request's.
        meant: ClusterId,
    },
    /// This is another node of the cluster.
    #[error(
        "this is node {here}, and the request is for node {meant}: two nodes have swapped their \
         addresses or their data directories"
    )]
    WrongNode {
        /// This node's id.
        here: u64,
        /// The request's.
        meant: u64,
    },
    /// It can't answer for a cluster before it belongs to one.
    #[error("this node is no member of a cluster yet")]
    NoMember,
}

/// What kind of refusal a status tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Token missing or wrong.
    Unauthenticated,
    /// Not legible.
    Malformed,
    /// Another cluster's node.
    WrongCluster,
    /// Another node.
    WrongNode,
    /// No member yet.
    NoMember,
}

impl RefusalKind {
    const ALL: [Self; 5] = [
        Self::Unauthenticated,
        Self::Malformed,
        Self::WrongCluster,
        Self::WrongNode,
        Self::NoMember,
    ];

    /// Its name in metadata and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Malformed => "malformed",
            Self::WrongCluster => "wrong_cluster",
            Self::WrongNode => "wrong_node",
            Self::NoMember => "no_member",
        }
    }

    /// The one that a peer's answer tells of, if it is one.
    pub fn of(status: &Status) -> Option<Self> {
        let name = status.metadata().get(REFUSED)?;
        Self::ALL.into_iter().find(|kind| name == kind.as_str())
    }
}

impl Refusal {
    /// Its kind.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::NoToken | Self::WrongToken => RefusalKind::Unauthenticated,
            Self::NoHeader { .. } => RefusalKind::Malformed,
            Self::WrongCluster { .. } => RefusalKind::WrongCluster,
            Self::WrongNode { .. } => RefusalKind::WrongNode,
            Self::NoMember => RefusalKind::NoMember,
        }
    }
}

impl From<&Refusal> for Status {
    fn from(refusal: &Refusal) -> Self {
        let kind = refusal.kind();
        let code = match kind {
            RefusalKind::Unauthenticated => Code::Unauthenticated,
            RefusalKind::Malformed => Code::InvalidArgument,
            RefusalKind::WrongCluster | RefusalKind::WrongNode => Code::FailedPrecondition,
            RefusalKind::NoMember => Code::Unavailable,
        };
        let mut status = Status::new(code, refusal.to_string());
        status
            .metadata_mut()
            .insert(REFUSED, MetadataValue::from_static(kind.as_str()));
        status
    }
}
