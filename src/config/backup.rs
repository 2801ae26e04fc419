use std::path::PathBuf;
use std::time::Duration;

use super::range::{Range, number};
use super::{Error, Settings};

const DAY_SECS: u64 = 86_400;

/// Backups that a node takes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupConfig {
    /// In which directory.
    pub directory: PathBuf,
    /// How often.
    pub period: Duration,
    /// How many are kept; the oldest goes first.
    pub count: usize,
    /// They share their blobs.
    pub incremental: bool,
}

impl BackupConfig {
    /// Puts the defaults under what was said, and checks it; none without a directory.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, Error> {
        let secs = settings.backup_secs.unwrap_or(DAY_SECS);
        Range("backup-secs", 1, 365 * DAY_SECS, "seconds").check(secs)?;
        let count = settings.backup_count.unwrap_or(7);
        Range("backup-count", 1, 10_000, "backups").check(number(count))?;
        let Some(directory) = settings.backup_dir.clone() else {
            let needs = [
                ("backup-secs", settings.backup_secs.is_some()),
                ("backup-count", settings.backup_count.is_some()),
                (
                    "backup-incremental",
                    settings.backup_incremental == Some(true),
                ),
            ];
            return match needs.into_iter().find(|(_, said)| *said) {
                Some((flag, _)) => Err(Error::Needs {
                    flag,
                    other: "backup-dir",
                }),
                None => Ok(None),
            };
        };
        Ok(Some(Self {
            directory,
            period: Duration::from_secs(secs),
            count,
            incremental: settings.backup_incremental.unwrap_or(false),
        }))
    }
}
