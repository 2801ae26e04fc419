use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::service::sessions::TaskFence;

/// The name of one execution.
///
/// It tells which node ran it and in which life of that node, so that any node can find the owner or
/// say that it is gone. The random part makes ids unguessable.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExecutionId {
    /// The node that took the request.
    pub node: u64,
    /// That node's life: its start, in milliseconds since 1970.
    pub incarnation: u64,
    /// 80 bits from the kernel.
    pub random: [u8; 10],
}

/// The text is no execution id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an execution id looks like e1-19a2b3c4d5e-00112233445566778899")]
pub struct MalformedId;

impl ExecutionId {
    /// A new id of this node.
    ///
    /// # Panics
    /// When the kernel gives no randomness, which Linux does from early boot on.
    pub fn new(node: u64, incarnation: u64) -> Self {
        let mut random = [0; 10];
        getrandom::fill(&mut random).expect("the kernel has randomness once it runs programs");
        Self {
            node,
            incarnation,
            random,
        }
    }

    /// The id of a run for a task, which any node can tell from where the run is. It is as hard to guess as
    /// the task's id.
    pub fn of_task(node: u64, incarnation: u64, task: &TaskFence) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"mcp-v8 task run 1");
        hash.update(task.fence.to_le_bytes());
        hash.update(&task.id);
        let hash: [u8; 32] = hash.finalize().into();
        let (random, _) = hash.split_first_chunk().expect("32 bytes are more than 10");
        Self {
            node,
            incarnation,
            random: *random,
        }
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 20];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.random) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        let hex = std::str::from_utf8(&hex).expect("hex digits are ASCII");
        write!(f, "e{}-{:x}-{hex}", self.node, self.incarnation)
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ExecutionId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let mut parts = text.strip_prefix('e').ok_or(MalformedId)?.split('-');
        let (Some(node), Some(incarnation), Some(hex), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(MalformedId);
        };
        if hex.len() != 20 || !hex.is_ascii() {
            return Err(MalformedId);
        }
        let mut random = [0; 10];
        for (index, byte) in random.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).map_err(|_| MalformedId)?;
        }
        let id = Self {
            node: node.parse().map_err(|_| MalformedId)?,
            incarnation: u64::from_str_radix(incarnation, 16).map_err(|_| MalformedId)?,
            random,
        };
        // One id has one spelling: no sign, no leading zero, no upper case.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(MalformedId)
        }
    }
}

impl Serialize for ExecutionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExecutionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_round_trip() {
        let id = ExecutionId::new(1, 0x19a_2b3c_4d5e);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().starts_with("e1-19a2b3c4d5e-"));
        assert_ne!(id, ExecutionId::new(1, 0x19a_2b3c_4d5e));
    }

    #[test]
    fn there_is_one_spelling() {
        let good = "e1-19a2b3c4d5e-00112233445566778899";
        assert!(good.parse::<ExecutionId>().is_ok());
        for bad in [
            "",
            "e",
            "1-19a2b3c4d5e-00112233445566778899",
            "e01-19a2b3c4d5e-00112233445566778899",
            "e+1-19a2b3c4d5e-00112233445566778899",
            "e1-019a2b3c4d5e-00112233445566778899",
            "e1-19A2b3c4d5e-00112233445566778899",
            "e1-19a2b3c4d5e-001122334455667788",
            "e1-19a2b3c4d5e-0011223344556677889900",
            "e1-19a2b3c4d5e-00112233445566778899-",
            "e1-19a2b3c4d5e-0011223344556677889g",
            "e1-19a2b3c4d5e-001122334455667788é9",
            " e1-19a2b3c4d5e-00112233445566778899",
            "e99999999999999999999-1-00112233445566778899",
        ] {
            assert_eq!(bad.parse::<ExecutionId>(), Err(MalformedId), "{bad:?}");
        }
    }
}
