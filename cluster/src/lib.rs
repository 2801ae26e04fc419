//! Many nodes as one service: a replicated state, and who belongs to it.
//!
//! * `node` is the handle that everything above uses: start, propose, read, watch, members, shut down.
//! * `membership` decides what a node is: it forms a cluster, joins one, or refuses to.
//! * `raft` fits openraft to our network; `types` is the only file with its generics.
//! * `log` keeps log, vote and committed index in files; `state` keeps what `apply` computes, in sled.
//! * `archive` is what is kept outside of the cluster, and how a new one begins with it.
//! * `peers` has the authenticated channels between nodes; `leader` what only the leader does.
//! * `schedule` has the times at which tasks come again.
//!
//! It knows nothing of V8, HTTP, MCP or blob stores. DESIGN.md tells how a write and a read go.

pub mod archive;
pub mod command;
pub mod ids;
pub mod leader;
pub mod log;
pub mod membership;
pub mod node;
pub mod peers;
pub mod proto;
pub mod raft;
pub mod schedule;
pub mod state;
pub mod types;
