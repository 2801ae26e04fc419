/// The length of an encoded [`Handoff`], in bytes.
pub const HANDOFF_BYTES: usize = 16;

/// What a fresh process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// One run, after which it ends. One descriptor: its channel.
    Run = 1,
    /// A run after which it waits as its parent does. Three: its channel, its hand-off socket, its
    /// socket of orders.
    Line = 2,
    /// It enters another image first and waits then. Four: as for a line, and the image.
    Enter = 3,
}

/// What a fresh process must know before it reads its first frame. It is no frame of protobuf, since
/// nothing is allocated for it.
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 1 | the role |
/// | 1 | 3 | zeros |
/// | 4 | 4 | the node's process id |
/// | 8 | 4 | the layers of the sandbox in force, bits of [`layer`](crate::layer) |
/// | 12 | 4 | zeros |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handoff {
    /// What the process is for.
    pub role: Role,
    /// The process id of the node: a child whose parent is another one ends.
    pub node_pid: u32,
    /// The layers of the sandbox in force.
    pub layers: u32,
}

impl Role {
    /// How many descriptors come with it.
    pub const fn descriptors(self) -> usize {
        match self {
            Self::Run => 1,
            Self::Line => 3,
            Self::Enter => 4,
        }
    }
}

impl Handoff {
    /// As bytes, little-endian.
    pub fn encode(self) -> [u8; HANDOFF_BYTES] {
        let mut bytes = [0; HANDOFF_BYTES];
        bytes[0] = self.role as u8;
        bytes[4..8].copy_from_slice(&self.node_pid.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.layers.to_le_bytes());
        bytes
    }

    /// From bytes; nothing for a role that this build does not know.
    pub fn decode(bytes: [u8; HANDOFF_BYTES]) -> Option<Self> {
        let role = match bytes[0] {
            1 => Role::Run,
            2 => Role::Line,
            3 => Role::Enter,
            _ => return None,
        };
        let [.., a, b, c, d, e, f, g, h, _, _, _, _] = bytes;
        Some(Self {
            role,
            node_pid: u32::from_le_bytes([a, b, c, d]),
            layers: u32::from_le_bytes([e, f, g, h]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handoff_is_these_bytes() {
        let handoff = Handoff {
            role: Role::Enter,
            node_pid: 0x0102_0304,
            layers: 127,
        };
        let bytes = [3, 0, 0, 0, 4, 3, 2, 1, 127, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(handoff.encode(), bytes);
        assert_eq!(Handoff::decode(bytes), Some(handoff));
        assert_eq!(Handoff::decode([9; HANDOFF_BYTES]), None);
    }
}
