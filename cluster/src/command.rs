//! The command as Raft carries it: bytes, encoded once where the write began.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;

use crate::proto;

/// An encoded [`proto::Command`].
///
/// Log, network and openraft only pass it on; `apply` alone looks inside. What can't be decoded is not
/// this type's affair: it must get the same answer on all nodes, which `apply` gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Command(Bytes);

impl Command {
    /// What stands in the log, in a file or in a message.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Encodes it.
    pub fn encode(command: &proto::Command) -> Self {
        Self(command.encode_to_vec().into())
    }

    /// Decodes it.
    ///
    /// # Errors
    /// The bytes are no command of this version.
    pub fn decode(&self) -> Result<proto::Command, prost::DecodeError> {
        proto::Command::decode(self.0.clone())
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of users don't belong into logs.
        write!(f, "Command({} bytes)", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
