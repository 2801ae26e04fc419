//! What a log holds after some calls, kept in memory; and the calls, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use cluster::command::Command;
use cluster::log::LogStore;
use cluster::proto;
use cluster::types::{Entry, EntryPayload, LeaderId, LogId, Member, Membership, Vote};
use openraft::storage::{RaftLogReader as _, RaftLogStorage as _};
use prost::Message as _;

use crate::draws::Draws;

/// A call that changes the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Vote(Vote),
    Append {
        first: u64,
        count: u64,
        leader: LeaderId,
        seed: u64,
    },
    TruncateAfter(Option<LogId>),
    Purge(LogId),
    Committed(LogId),
}

impl Call {
    /// Whether its return promises that it is on the disk, and so is all before it.
    pub fn is_promise(&self) -> bool {
        matches!(self, Self::Vote(_) | Self::Append { .. })
    }

    /// The entries of an append.
    pub fn entries(&self) -> Vec<Entry> {
        let Self::Append {
            first,
            count,
            leader,
            seed,
        } = self
        else {
            return Vec::new();
        };
        let entries = *first..first + count;
        entries.map(|index| entry(index, *leader, *seed)).collect()
    }

    pub fn to_text(&self) -> String {
        fn id(id: &LogId) -> String {
            let leader = id.leader_id;
            format!("{} {} {}", leader.term, leader.node_id, id.index)
        }
        match self {
            Self::Vote(vote) => {
                let leader = vote.leader_id;
                let committed = u64::from(vote.committed);
                format!("vote {} {} {committed}", leader.term, leader.node_id)
            }
            Self::Append {
                first,
                count,
                leader,
                seed,
            } => {
                let (term, node) = (leader.term, leader.node_id);
                format!("append {term} {node} {first} {count} {seed}")
            }
            Self::TruncateAfter(None) => "truncate-all".to_owned(),
            Self::TruncateAfter(Some(last)) => format!("truncate {}", id(last)),
            Self::Purge(upto) => format!("purge {}", id(upto)),
            Self::Committed(upto) => format!("committed {}", id(upto)),
        }
    }

    pub fn parse(text: &str) -> Self {
        let mut words = text.split(' ');
        let name = words.next().expect("a call has a name");
        let numbers: Vec<u64> = words
            .map(|word| word.parse().expect("the rest is numbers"))
            .collect();
        let leader = || LeaderId {
            term: numbers[0],
            node_id: numbers[1],
        };
        let id = || LogId {
            leader_id: leader(),
            index: numbers[2],
        };
        match name {
            "vote" => Self::Vote(Vote {
                leader_id: leader(),
                committed: numbers[2] == 1,
            }),
            "append" => Self::Append {
                leader: leader(),
                first: numbers[2],
                count: numbers[3],
                seed: numbers[4],
            },
            "truncate-all" => Self::TruncateAfter(None),
            "truncate" => Self::TruncateAfter(Some(id())),
            "purge" => Self::Purge(id()),
            "committed" => Self::Committed(id()),
            other => panic!("there is no call {other:?}"),
        }
    }
}

/// The entry that a seed stands for.
fn entry(index: u64, leader: LeaderId, seed: u64) -> Entry {
    let mut draws = Draws::new(seed ^ index.wrapping_mul(0x9e37_79b9));
    let payload = match draws.below(20) {
        0 => EntryPayload::Blank,
        1 => {
            let member = Member {
                name: format!("n{index}"),
                address: "h:1".to_owned(),
            };
            let members = BTreeMap::from([(1, member)]);
            let membership = Membership::new(vec![BTreeSet::from([1])], members);
            EntryPayload::Membership(membership.expect("the voter is a member"))
        }
        kind => {
            let length = match kind {
                2 => draws.below(100_000),
                3 | 4 => draws.below(10_000),
                _ => draws.below(400),
            };
            EntryPayload::Normal(Command::from_bytes(draws.bytes(length as usize).into()))
        }
    };
    Entry {
        log_id: LogId {
            leader_id: leader,
            index,
        },
        payload,
    }
}

/// All that a log holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogModel {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
    /// Encoded.
    pub entries: BTreeMap<u64, (LogId, Bytes)>,
}

impl LogModel {
    pub async fn read(log: &mut LogStore) -> io::Result<Self> {
        let state = log.get_log_state().await?;
        let mut reader = log.get_log_reader().await;
        let entries = reader.try_get_log_entries(..).await?;
        let entries = entries
            .iter()
            .map(|entry| (entry.log_id.index, encoded(entry)));
        Ok(Self {
            vote: reader.read_vote().await?,
            committed: log.read_committed().await?,
            purged: state.last_purged_log_id,
            last: state.last_log_id,
            entries: entries.collect(),
        })
    }

    pub fn apply(&mut self, call: &Call) {
        match call {
            Call::Vote(vote) => self.vote = Some(*vote),
            Call::Append { .. } => {
                for entry in call.entries() {
                    self.last = Some(entry.log_id);
                    self.entries.insert(entry.log_id.index, encoded(&entry));
                }
            }
            Call::TruncateAfter(last) => {
                let next = last.map_or(0, |last| last.index + 1);
                self.entries.split_off(&next);
                self.last = self.last_entry().or(self.purged);
            }
            Call::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(*upto);
                self.last = self.last_entry().or(self.purged);
            }
            Call::Committed(upto) => self.committed = Some(*upto),
        }
    }

    fn last_entry(&self) -> Option<LogId> {
        self.entries.values().next_back().map(|(id, _)| *id)
    }

    pub fn next_index(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }

    pub fn id_at(&self, index: u64) -> Option<LogId> {
        self.entries.get(&index).map(|(id, _)| *id)
    }

    /// A call such as openraft may make now.
    pub fn draw(&self, draws: &mut Draws) -> Call {
        let vote = self.vote.unwrap_or_else(first_vote);
        let (term, node_id) = (vote.leader_id.term, vote.leader_id.node_id);
        let committed = self.committed.map_or(0, |id| id.index);
        let next = self.next_index();
        match draws.below(24) {
            // Votes only grow.
            0 | 1 => Call::Vote(match (vote.committed, draws.once_in(2)) {
                (false, true) => Vote::new_committed(term, node_id),
                _ => Vote::new(term + 1, draws.below(3)),
            }),
            // What is committed is never cut off.
            2 if next > committed + 1 => {
                let kept = committed + draws.below(next - committed);
                Call::TruncateAfter(self.id_at(kept).or(self.committed))
            }
            3 | 4 if next > committed + 1 => {
                let upto = committed + 1 + draws.below(next - committed - 1);
                self.id_at(upto)
                    .map_or_else(|| self.append(draws), Call::Committed)
            }
            // Only what is committed is purged.
            5 => {
                let purged = self.purged.map_or(0, |id| id.index);
                let upto = purged + draws.below(committed.saturating_sub(purged) + 1);
                self.id_at(upto)
                    .map_or_else(|| self.append(draws), Call::Purge)
            }
            // A snapshot was installed that goes beyond the log.
            6 if draws.once_in(6) => Call::Purge(LogId {
                leader_id: LeaderId { term, node_id },
                index: next + draws.below(50),
            }),
            _ => self.append(draws),
        }
    }

    /// An append such as may come now.
    pub fn append(&self, draws: &mut Draws) -> Call {
        let leader = self.vote.unwrap_or_else(first_vote).leader_id;
        let count = match draws.below(8) {
            0 => 1 + draws.below(40),
            _ => 1 + draws.below(3),
        };
        Call::Append {
            first: self.next_index(),
            count,
            leader,
            seed: draws.next(),
        }
    }
}

fn first_vote() -> Vote {
    Vote::new(0, 0)
}

fn encoded(entry: &Entry) -> (LogId, Bytes) {
    let bytes = proto::Entry::from(entry).encode_to_vec();
    (entry.log_id, bytes.into())
}
