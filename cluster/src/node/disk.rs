//! How much room is left where the node keeps everything, and what is refused when it is little.
//!
//! Below `disk_free_min` the disk is *low*: this node takes no blobs and no snapshots, hands the lead over when
//! another one has room, and as the leader refuses writes, but for those that make room or keep the cluster
//! going. Below a quarter of it, or what the next file of the log takes if that is more, the disk is *full*: what is left is for what was taken already, so this node
//! takes no entries from a leader either; it answers heartbeats and reads, and goes on from where it was when
//! there is room again. A leader whose majority is full refuses writes too: they could not be committed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::core::{Core, MemberParts};
use crate::leader::Liveness;
use crate::membership::Members;
use crate::proto::command::Kind;

/// So often the disk is asked. What fills a gigabyte in a second takes a quarter of one meanwhile.
const PERIOD: Duration = Duration::from_millis(250);
/// What is applied already takes no more than this when it comes to disk.
const ROOM_FOR_STATE: u64 = 16 << 20;
/// A level is left when there is an eighth more than it needs, and no more than this.
const SPARE_MAX: u64 = 256 << 20;
/// The lead is handed over, or not, in this time; and not tried again for so long.
const HAND_OVER: Duration = Duration::from_secs(5);

/// How much room there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DiskLevel {
    /// Enough.
    #[default]
    Roomy = 0,
    /// Less than the operator wants to be free.
    Low = 1,
    /// Less than a quarter of that.
    Full = 2,
}

impl DiskLevel {
    /// As operators see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Roomy => "roomy",
            Self::Low => "low",
            Self::Full => "full",
        }
    }

    /// That of a number between nodes; what a newer one says is taken for enough.
    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Low,
            2 => Self::Full,
            _ => Self::Roomy,
        }
    }

    /// With so much free. A level is left only when there is some more than it needs.
    fn of(free: u64, (low, full): (u64, u64), before: Self) -> Self {
        let left = |level: Self, bound: u64| match before >= level {
            true => free < bound.saturating_add((bound / 8).min(SPARE_MAX)),
            false => free < bound,
        };
        if left(Self::Full, full) {
            Self::Full
        } else if left(Self::Low, low) {
            Self::Low
        } else {
            Self::Roomy
        }
    }
}

/// What is known of the disk. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    /// Below the first it is low, below the second full.
    bounds: (u64, u64),
    free: AtomicU64,
    level: AtomicU8,
    /// As the leader: so many voters are full that nothing can be committed.
    majority_full: AtomicBool,
}

impl Disk {
    /// That of a directory, of which so many bytes are to be free, and where a file of the log takes so many.
    pub fn new(directory: PathBuf, free_min: u64, log_segment_bytes: u64) -> Self {
        let full = (free_min / 4).max(log_segment_bytes + ROOM_FOR_STATE);
        let disk = Self(Arc::new(Inner {
            directory,
            bounds: (free_min, full.min(free_min)),
            free: AtomicU64::new(u64::MAX),
            level: AtomicU8::new(0),
            majority_full: AtomicBool::new(false),
        }));
        disk.look();
        disk
    }

    /// How much room there was a moment ago.
    pub fn level(&self) -> DiskLevel {
        DiskLevel::from_number(self.0.level.load(Ordering::Relaxed).into())
    }

    /// Bytes that were free a moment ago.
    pub fn free(&self) -> u64 {
        self.0.free.load(Ordering::Relaxed)
    }

    /// No entry of a leader is taken.
    pub fn is_full(&self) -> bool {
        self.level() == DiskLevel::Full
    }

    /// As the leader: whether a write is refused.
    pub fn refuses(&self, kind: Option<&Kind>) -> bool {
        if self.is_full() || self.0.majority_full.load(Ordering::Relaxed) {
            return true;
        }
        self.level() == DiskLevel::Low && !kind.is_some_and(makes_room)
    }

    /// As the leader: whether any write may be refused.
    pub fn is_tight(&self) -> bool {
        self.level() != DiskLevel::Roomy || self.0.majority_full.load(Ordering::Relaxed)
    }

    fn look(&self) {
        let Ok(found) = rustix::fs::statvfs(&self.0.directory) else {
            // A disk that can't be asked shows when it is written to.
            return;
        };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let before = self.level();
        let level = DiskLevel::of(free, self.0.bounds, before);
        self.0.free.store(free, Ordering::Relaxed);
        self.0.level.store(level as u8, Ordering::Relaxed);
        if level == before {
            return;
        }
        let (free_mb, min_mb) = (free >> 20, self.0.bounds.0 >> 20);
        match level {
            DiskLevel::Roomy => tracing::info!(free_mb, "the disk has room again"),
            DiskLevel::Low => {
                tracing::warn!(free_mb, min_mb, "the disk is low: writes are refused")
            }
            DiskLevel::Full => tracing::error!(
                free_mb,
                min_mb,
                "the disk is full: this node takes nothing in until there is room"
            ),
        }
    }

    /// As the leader: how many of the voters could take an entry.
    fn count(&self, core: &Core, member: &MemberParts, liveness: &Liveness) {
        let voters = core.voters();
        let now = Instant::now();
        let takes = |voter: &&u64| match **voter == member.node {
            true => !self.is_full(),
            false => {
                let record = core.state.known_node(**voter);
                let load = record.and_then(|it| liveness.load(it.id, it.incarnation, now));
                // Of one that says nothing, nothing is known of its disk.
                load.is_none_or(|load| load.disk != DiskLevel::Full)
            }
        };
        let taking = voters.iter().filter(takes).count();
        let majority_full = !voters.is_empty() && taking <= voters.len() / 2;
        let before = self.0.majority_full.swap(majority_full, Ordering::Relaxed);
        if before != majority_full {
            tracing::warn!(
                majority_full,
                "whether most voters have a full disk has changed"
            );
        }
    }
}

/// Writes that let go of something, and those that tell who lives.
fn makes_room(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::DeleteTag(_)
            | Kind::DeleteBlob(_)
            | Kind::DeleteSession(_)
            | Kind::DeleteTask(_)
            | Kind::CancelTask(_)
            | Kind::FinishTask(_)
            | Kind::ExpireTasks(_)
            | Kind::ExpireIdempotencyKeys(_)
            | Kind::CollectGarbage(_)
            | Kind::RegisterNode(_)
            | Kind::NodeUp(_)
            | Kind::NodeDown(_)
            | Kind::SetNodeDraining(_)
            | Kind::RemoveNode(_)
    )
}

/// Watches the disk, and as the leader those of the others.
pub(super) async fn disk_loop(core: Arc<Core>) {
    let mut beat = tokio::time::interval(PERIOD);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tried: Option<Instant> = None;
    loop {
        beat.tick().await;
        let disk = core.disk.clone();
        // A network's file system may let the call wait.
        let looked = tokio::task::spawn_blocking(move || disk.look());
        looked.await.expect("a look does not panic");
        core.load.send_if_modified(|load| {
            let other = load.disk != core.disk.level();
            load.disk = core.disk.level();
            other
        });
        let Some(member) = core.member.get() else {
            continue;
        };
        if !member.leader.is_here() {
            continue;
        }
        core.disk.count(&core, member, &core.liveness);
        let recently = tried.is_some_and(|at| at.elapsed() < HAND_OVER * 2);
        if core.disk.level() != DiskLevel::Roomy
            && !recently
            && let Some(to) = roomy_voter(&core, member)
        {
            tried = Some(Instant::now());
            let members = Members::new(Arc::clone(&core));
            let handed = members.transfer_leader(Some(to), Instant::now() + HAND_OVER);
            match handed.await {
                Ok(_) => tracing::warn!(to, "the disk is low: another node leads"),
                Err(error) => tracing::warn!(to, %error, "the lead is not handed over"),
            }
        }
    }
}

/// A voter that said a moment ago that it has room.
fn roomy_voter(core: &Core, member: &MemberParts) -> Option<u64> {
    let now = Instant::now();
    core.voters().into_iter().find(|&voter| {
        let record = core.state.known_node(voter);
        let load = record
            .filter(|record| record.alive && voter != member.node)
            .and_then(|record| core.liveness.load(record.id, record.incarnation, now));
        load.is_some_and(|load| load.disk == DiskLevel::Roomy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_left_when_there_is_some_more_than_it_needs() {
        let of = |free, before| DiskLevel::of(free, (800, 200), before);
        assert_eq!(of(800, DiskLevel::Roomy), DiskLevel::Roomy);
        assert_eq!(of(799, DiskLevel::Roomy), DiskLevel::Low);
        assert_eq!(of(850, DiskLevel::Low), DiskLevel::Low);
        assert_eq!(of(900, DiskLevel::Low), DiskLevel::Roomy);
        assert_eq!(of(199, DiskLevel::Low), DiskLevel::Full);
        assert_eq!(of(210, DiskLevel::Full), DiskLevel::Full);
        assert_eq!(of(230, DiskLevel::Full), DiskLevel::Low);
        assert_eq!(of(5000, DiskLevel::Full), DiskLevel::Roomy);
        assert_eq!(
            DiskLevel::of(0, (0, 0), DiskLevel::Roomy),
            DiskLevel::Roomy,
            "off"
        );
    }

    #[test]
    fn what_makes_room_is_taken_by_a_low_disk_and_nothing_by_a_full_one() {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let disk = |free_min| Disk::new(directory.path().to_owned(), free_min, 0);
        let delete = Kind::DeleteTag(crate::proto::DeleteTag::default());
        let put = Kind::PutTag(crate::proto::PutTag::default());
        let roomy = disk(0);
        assert!(!roomy.is_tight() && !roomy.refuses(Some(&put)));
        let low = disk(roomy.free().saturating_mul(2));
        assert_eq!(low.level(), DiskLevel::Low);
        assert!(low.refuses(Some(&put)) && low.refuses(None) && !low.refuses(Some(&delete)));
        let full = disk(u64::MAX);
        assert!(full.is_full() && full.refuses(Some(&delete)));
    }
}
