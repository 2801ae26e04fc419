//! Authenticated channels between nodes: who a node is, where the others are, and the port that they
//! all speak to.
//!
//! It owns addresses and connections, and turns away what is not meant for this node. It knows nothing
//! of what the requests say; Raft's own are in `raft`.

mod channel;
mod connection;
mod credentials;
mod gate;
mod handshake;
mod identity;
mod limits;
mod listen;
mod refusal;
mod secret;
mod serve;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use tonic::Status;
use tonic::transport::Channel;

pub use self::channel::{AddressError, PeerChannel, Purpose};
pub use self::credentials::{Credentials, OpenBind};
pub use self::gate::{Caller, Gate, GatedService};
pub use self::identity::Identity;
pub use self::limits::MESSAGE_BYTES_MAX;
pub use self::listen::{ListenError, LocalSocket, listen};
pub use self::refusal::{Refusal, RefusalKind};
pub use self::secret::{ClusterSecret, MalformedSecret};
pub use self::serve::{Listeners, ServeError, serve};
pub use self::tls::{TlsError, TlsFiles};
use crate::types::Member;

/// The other nodes, and the connections to them. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    identity: Identity,
    book: RwLock<Book>,
}

#[derive(Default)]
struct Book {
    // What the state says, which follows nodes that move.
    recorded: BTreeMap<u64, Member>,
    // What the membership says: all that is known before the state has been read.
    members: BTreeMap<u64, Member>,
    channels: HashMap<(u64, Purpose), Open>,
    // Who turns us away, and why.
    refusals: BTreeMap<u64, RefusalKind>,
}

struct Open {
    address: String,
    channel: Channel,
}

impl Book {
    fn find(&self, node: u64) -> Option<&Member> {
        self.recorded
            .get(&node)
            .filter(|member| !member.address.is_empty())
            .or_else(|| self.members.get(&node))
    }
}

/// There is no way to a node.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Neither state nor membership know it, or it was removed.
    #[error("node {node} is not known here")]
    Unknown {
        /// Its Raft id.
        node: u64,
    },
    /// What they know is no address.
    #[error("node {node}: {source}")]
    Address {
        /// Its Raft id.
        node: u64,
        /// Why.
        source: AddressError,
    },
}

impl Peers {
    /// Knows nobody yet.
    pub fn new(credentials: Credentials, identity: Identity) -> Self {
        Self(Arc::new(Inner {
            credentials,
            identity,
            book: RwLock::default(),
        }))
    }

    /// What this node is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// How it shows that.
    pub fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// The gate for this node's own port.
    pub fn gate(&self) -> Gate {
        Gate::new(
            self.0.credentials.secret().cloned(),
            self.0.identity.clone(),
        )
    }

    /// Takes over where the state's records of nodes say that they are: all of them, so that a node
    /// which is there no more is forgotten, with its connections.
    pub fn set_addresses(&self, nodes: impl IntoIterator<Item = (u64, Member)>) {
        let nodes: BTreeMap<u64, Member> = nodes.into_iter().collect();
        let mut book = self.book_mut();
        let Book {
            recorded,
            members,
            channels,
            refusals,
        } = &mut *book;
        for node in recorded.keys().filter(|node| !nodes.contains_key(node)) {
            members.remove(node);
            refusals.remove(node);
        }
        *recorded = nodes;
        channels.retain(|(node, _), open| {
            recorded
                .get(node)
                .filter(|member| !member.address.is_empty())
                .or_else(|| members.get(node))
                .is_some_and(|member| member.address == open.address)
        });
    }

    /// Remembers what the membership says of a node, for as long as the state doesn't tell better.
    pub fn note_member(&self, node: u64, member: &Member) {
        if self.book().members.get(&node) != Some(member) {
            self.book_mut().members.insert(node, member.clone());
        }
    }

    /// Name and address of a node.
    pub fn find(&self, node: u64) -> Option<Member> {
        self.book().find(node).cloned()
    }

    /// The connection to a node for a purpose. It is made when it is first used; ask for it again for
    /// each call (that is cheap), so that a node which moved is found.
    ///
    /// # Errors
    /// There is no way to that node.
    pub fn channel(&self, node: u64, purpose: Purpose) -> Result<PeerChannel, PeerError> {
        let channel = match self.cached(node, purpose) {
            Some(channel) => channel,
            None => self.open(node, purpose)?,
        };
        Ok(PeerChannel::new(channel, &self.0.credentials)
            .from(&self.0.identity)
            .to(node))
    }

    /// A connection to an address of which nobody knows yet who is there.
    ///
    /// # Errors
    /// It is no address.
    pub fn connect(&self, address: &str) -> Result<PeerChannel, AddressError> {
        let channel = PeerChannel::connect(address, &self.0.credentials)?;
        Ok(channel.from(&self.0.identity))
    }

    /// Remembers whether a node answered or turned us away, and logs it when that changes: a wrong secret
    /// or swapped nodes are for an operator to see, but once.
    pub fn observe(&self, node: u64, outcome: Result<(), &Status>) {
        let refusal = match outcome {
            Ok(()) => None,
            Err(status) => match RefusalKind::of(status) {
                Some(kind) => Some((kind, status)),
                // A connection that fails says nothing about that.
                None => return,
            },
        };
        let kind = refusal.map(|(kind, _)| kind);
        if self.book().refusals.get(&node).copied() == kind {
            return;
        }
        let mut book = self.book_mut();
        match refusal {
            Some((kind, status)) => {
                book.refusals.insert(node, kind);
                let reason = status.message();
                if kind == RefusalKind::NoMember {
                    // It is on its way: the cluster is being formed, or it joins.
                    tracing::debug!(peer = node, reason, "peer is no member yet");
                    return;
                }
                tracing::warn!(
                    peer = node,
                    kind = kind.as_str(),
                    reason,
                    "peer refuses this node"
                );
            }
            None => {
                if book.refusals.remove(&node) == Some(RefusalKind::NoMember) {
                    return;
                }
                tracing::info!(peer = node, "peer accepts this node again");
            }
        }
    }

    /// The nodes that turned this one away when they were last asked.
    pub fn refusals(&self) -> BTreeMap<u64, RefusalKind> {
        self.book().refusals.clone()
    }

    fn cached(&self, node: u64, purpose: Purpose) -> Option<Channel> {
        let book = self.book();
        let open = book.channels.get(&(node, purpose))?;
        (book.find(node)?.address == open.address).then(|| open.channel.clone())
    }

    fn open(&self, node: u64, purpose: Purpose) -> Result<Channel, PeerError> {
        let mut book = self.book_mut();
        let address = book
            .find(node)
            .ok_or(PeerError::Unknown { node })?
            .address
            .clone();
        // Another caller may have been here since.
        if let Some(open) = book.channels.get(&(node, purpose))
            && open.address == address
        {
            return Ok(open.channel.clone());
        }
        let channel = channel::open(&address, &self.0.credentials, purpose)
            .map_err(|source| PeerError::Address { node, source })?;
        let open = Open {
            address,
            channel: channel.clone(),
        };
        book.channels.insert((node, purpose), open);
        Ok(channel)
    }

    fn book(&self) -> std::sync::RwLockReadGuard<'_, Book> {
        self.0.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn book_mut(&self) -> std::sync::RwLockWriteGuard<'_, Book> {
        self.0.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}
