//! The names of clusters, directories and nodes, parsed where they come in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest name of a node, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 64;

/// 128 random bits that name a cluster or a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RandomId([u8; 16]);

/// A cluster's name for itself, the same for as long as it lives.
pub type ClusterId = RandomId;
/// One data directory's name.
pub type DirectoryId = RandomId;

/// The text or bytes are no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 16 bytes, written as 32 hexadecimal digits")]
pub struct MalformedId;

impl RandomId {
    /// A new one.
    ///
    /// # Panics
    /// When the kernel gives no randomness, which Linux does from early boot on.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the kernel has randomness once it runs programs");
        Self(bytes)
    }

    /// The bytes, for messages.
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl TryFrom<&[u8]> for RandomId {
    type Error = MalformedId;

    fn try_from(bytes: &[u8]) -> Result<Self, MalformedId> {
        bytes.try_into().map(Self).map_err(|_| MalformedId)
    }
}

impl fmt::Display for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RandomId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(MalformedId);
        }
        let mut bytes = [0; 16];
        for (position, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * position..2 * position + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| MalformedId)?;
        }
        Ok(Self(bytes))
    }
}

/// What an operator calls a node: letters, digits, `-`, `_` and `.`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeName(String);

/// The text is no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no name of a node: 1 to {NODE_NAME_BYTES_MAX} letters, digits, '-', '_' or '.', \
     the first a letter or digit"
)]
pub struct MalformedName {
    /// What was given.
    pub text: String,
}

impl NodeName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = MalformedName;

    fn from_str(text: &str) -> Result<Self, MalformedName> {
        let fits = text.len() <= NODE_NAME_BYTES_MAX
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedName {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// In files both are text, as people see them everywhere else.
macro_rules! text_in_files {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}
text_in_files!(RandomId);
text_in_files!(NodeName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_bytes() {
        let id = RandomId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(RandomId::try_from(&id.to_vec()[..]), Ok(id));
        assert_eq!("12".parse::<RandomId>(), Err(MalformedId));
        assert_eq!("zz".repeat(16).parse::<RandomId>(), Err(MalformedId));
        assert_eq!(RandomId::try_from(&[1_u8, 2][..]), Err(MalformedId));
    }

    #[test]
    fn names_of_nodes_fit_hosts_and_shells() {
        for name in ["a", "node-1", "N.2_x"] {
            assert_eq!(
                name.parse::<NodeName>().map(|n| n.to_string()),
                Ok(name.into())
            );
        }
        for name in ["", "-a", ".a", "a b", "a=b", "é", &"a".repeat(65)] {
            assert!(name.parse::<NodeName>().is_err(), "{name:?}");
        }
    }
}
