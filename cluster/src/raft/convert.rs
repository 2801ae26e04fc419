//! Between openraft's types and our messages, for the wire and for the log's files.
//!
//! Outwards nothing can fail. Inwards a message may lack what the types need: that is the sender's or
//! the disk's fault and an error, never a default.

use std::collections::{BTreeMap, BTreeSet};

use openraft::errors::MembershipError;

use crate::command::Command;
use crate::proto;
use crate::types::{
    Entry, EntryPayload, LeaderId, LogId, Member, Membership, SnapshotMeta, StoredMembership, Vote,
};

/// A message is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field that is always set is not.
    #[error("{message} without {field}")]
    Missing {
        /// Which message.
        message: &'static str,
        /// Which field of it.
        field: &'static str,
    },
    /// An empty set of voters, or a voter that is no member.
    #[error("membership is inconsistent")]
    Membership(#[from] MembershipError<u64>),
}

fn present<T>(
    value: Option<T>,
    message: &'static str,
    field: &'static str,
) -> Result<T, ConvertError> {
    value.ok_or(ConvertError::Missing { message, field })
}

impl From<LeaderId> for proto::LeaderId {
    fn from(leader: LeaderId) -> Self {
        Self {
            term: leader.term,
            node: leader.node_id,
        }
    }
}

impl From<proto::LeaderId> for LeaderId {
    fn from(leader: proto::LeaderId) -> Self {
        Self {
            term: leader.term,
            node_id: leader.node,
        }
    }
}

impl From<&Vote> for proto::Vote {
    fn from(vote: &Vote) -> Self {
        Self {
            leader: Some(vote.leader_id.into()),
            committed: vote.committed,
        }
    }
}

impl From<Vote> for proto::Vote {
    fn from(vote: Vote) -> Self {
        Self::from(&vote)
    }
}

impl TryFrom<proto::Vote> for Vote {
    type Error = ConvertError;

    fn try_from(vote: proto::Vote) -> Result<Self, ConvertError> {
        Ok(Self {
            leader_id: present(vote.leader, "Vote", "leader")?.into(),
            committed: vote.committed,
        })
    }
}

impl From<&LogId> for proto::LogId {
    fn from(log_id: &LogId) -> Self {
        Self {
            leader: Some(log_id.leader_id.into()),
            index: log_id.index,
        }
    }
}

impl From<LogId> for proto::LogId {
    fn from(log_id: LogId) -> Self {
        Self::from(&log_id)
    }
}

impl TryFrom<proto::LogId> for LogId {
    type Error = ConvertError;

    fn try_from(log_id: proto::LogId) -> Result<Self, ConvertError> {
        Ok(Self {
            leader_id: present(log_id.leader, "LogId", "leader")?.into(),
            index: log_id.index,
        })
    }
}

impl From<Member> for proto::Member {
    fn from(member: Member) -> Self {
        Self {
            name: member.name,
            address: member.address,
        }
    }
}

impl From<proto::Member> for Member {
    fn from(member: proto::Member) -> Self {
        Self {
            name: member.name,
            address: member.address,
        }
    }
}

impl From<&Membership> for proto::Membership {
    fn from(membership: &Membership) -> Self {
        Self {
            voters: membership
                .get_joint_config()
                .iter()
                .map(|nodes| proto::VoterSet {
                    nodes: nodes.iter().copied().collect(),
                })
                .collect(),
            members: membership
                .nodes()
                .map(|(node, member)| (*node, member.clone().into()))
                .collect(),
        }
    }
}

impl TryFrom<proto::Membership> for Membership {
    type Error = ConvertError;

    fn try_from(membership: proto::Membership) -> Result<Self, ConvertError> {
        let voters: Vec<BTreeSet<u64>> = membership
            .voters
            .into_iter()
            .map(|set| set.nodes.into_iter().collect())
            .collect();
        let members: BTreeMap<u64, Member> = membership
            .members
            .into_iter()
            .map(|(node, member)| (node, member.into()))
            .collect();
        Ok(Self::new(voters, members)?)
    }
}

impl From<&StoredMembership> for proto::StoredMembership {
    fn from(stored: &StoredMembership) -> Self {
        Self {
            log_id: stored.log_id().as_ref().map(Into::into),
            membership: Some(stored.membership().into()),
        }
    }
}

impl TryFrom<proto::StoredMembership> for StoredMembership {
    type Error = ConvertError;

    fn try_from(stored: proto::StoredMembership) -> Result<Self, ConvertError> {
        let log_id = stored.log_id.map(LogId::try_from).transpose()?;
        let membership = present(stored.membership, "StoredMembership", "membership")?;
        Ok(Self::new(log_id, membership.try_into()?))
    }
}

impl From<&SnapshotMeta> for proto::SnapshotMeta {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last_log_id: meta.last_log_id.as_ref().map(Into::into),
            last_membership: Some((&meta.last_membership).into()),
        }
    }
}

impl TryFrom<proto::SnapshotMeta> for SnapshotMeta {
    type Error = ConvertError;

    fn try_from(meta: proto::SnapshotMeta) -> Result<Self, ConvertError> {
        let membership = present(meta.last_membership, "SnapshotMeta", "last_membership")?;
        Ok(Self {
            last_log_id: meta.last_log_id.map(LogId::try_from).transpose()?,
            last_membership: membership.try_into()?,
        })
    }
}

impl From<&Entry> for proto::Entry {
    // The command's bytes are shared, not copied.
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => proto::entry::Payload::Blank(proto::Blank {}),
            EntryPayload::Normal(command) => {
                proto::entry::Payload::Command(command.bytes().clone())
            }
            EntryPayload::Membership(membership) => {
                proto::entry::Payload::Membership(membership.into())
            }
        };
        Self {
            log_id: Some((&entry.log_id).into()),
            payload: Some(payload),
        }
    }
}

impl From<Entry> for proto::Entry {
    fn from(entry: Entry) -> Self {
        Self::from(&entry)
    }
}

// Spelled out: through the alias the compiler takes it for a second `TryFrom` of the same types.
impl TryFrom<proto::Entry> for openraft::Entry<LeaderId, EntryPayload> {
    type Error = ConvertError;

    fn try_from(entry: proto::Entry) -> Result<Self, ConvertError> {
        let payload = match present(entry.payload, "Entry", "payload")? {
            proto::entry::Payload::Blank(proto::Blank {}) => EntryPayload::Blank,
            proto::entry::Payload::Command(bytes) => {
                EntryPayload::Normal(Command::from_bytes(bytes))
            }
            proto::entry::Payload::Membership(membership) => {
                EntryPayload::Membership(membership.try_into()?)
            }
        };
        Ok(Self {
            log_id: present(entry.log_id, "Entry", "log_id")?.try_into()?,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn log_id(term: u64, node: u64, index: u64) -> LogId {
        LogId {
            leader_id: LeaderId {
                term,
                node_id: node,
            },
            index,
        }
    }

    fn member(name: &str) -> Member {
        Member {
            name: name.to_owned(),
            address: format!("{name}:4000"),
        }
    }

    fn joint() -> Membership {
        Membership::new(
            vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])],
            BTreeMap::from([
                (1, member("a")),
                (2, member("b")),
                (3, member("c")),
                (4, member("learner")),
            ]),
        )
        .unwrap()
    }

    fn through_bytes<T: prost::Message + Default>(message: &T) -> T {
        T::decode(Bytes::from(message.encode_to_vec())).unwrap()
    }

    #[test]
    fn everything_survives_the_wire() {
        // Zeros are the values that protobuf leaves out.
        for vote in [Vote::new(0, 0), Vote::new(3, 1), Vote::new_committed(3, 2)] {
            assert_eq!(
                through_bytes(&proto::Vote::from(&vote)).try_into(),
                Ok(vote)
            );
        }
        for id in [
            log_id(0, 0, 0),
            log_id(1, 2, 3),
            log_id(u64::MAX, 7, u64::MAX),
        ] {
            assert_eq!(through_bytes(&proto::LogId::from(&id)).try_into(), Ok(id));
        }
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Command::from_bytes(Bytes::new())),
            EntryPayload::Normal(Command::from_bytes(Bytes::from_static(b"do it"))),
            EntryPayload::Membership(joint()),
            EntryPayload::Membership(Membership::default()),
        ] {
            let entry = Entry {
                log_id: log_id(1, 1, 1),
                payload,
            };
            assert_eq!(
                through_bytes(&proto::Entry::from(&entry)).try_into(),
                Ok(entry)
            );
        }
        for meta in [
            SnapshotMeta::default(),
            SnapshotMeta {
                last_log_id: Some(log_id(2, 1, 9)),
                last_membership: StoredMembership::new(Some(log_id(1, 1, 4)), joint()),
            },
        ] {
            let message = through_bytes(&proto::SnapshotMeta::from(&meta));
            assert_eq!(SnapshotMeta::try_from(message), Ok(meta));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |message, field| ConvertError::Missing { message, field };
        assert_eq!(
            Vote::try_from(proto::Vote::default()),
            Err(missing("Vote", "leader"))
        );
        assert_eq!(
            Entry::try_from(proto::Entry::default()),
            Err(missing("Entry", "payload"))
        );
        let entry = proto::Entry {
            log_id: Some(proto::LogId::default()),
            payload: Some(proto::entry::Payload::Blank(proto::Blank {})),
        };
        assert_eq!(Entry::try_from(entry), Err(missing("LogId", "leader")));
        assert_eq!(
            StoredMembership::try_from(proto::StoredMembership::default()),
            Err(missing("StoredMembership", "membership"))
        );
    }

    #[test]
    fn an_impossible_membership_is_refused() {
        let voters = |nodes: &[u64]| proto::Membership {
            voters: vec![proto::VoterSet {
                nodes: nodes.to_vec(),
            }],
            ..proto::Membership::default()
        };
        for message in [voters(&[]), voters(&[1])] {
            assert!(matches!(
                Membership::try_from(message),
                Err(ConvertError::Membership(_))
            ));
        }
    }
}
