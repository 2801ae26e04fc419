//! Backups that are taken by themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Backups, Error, Repository, backup_name, backups_in};
use crate::config::BackupConfig;

/// Takes backups while this node leads.
pub struct Schedule {
    stop: CancellationToken,
    taking: JoinHandle<()>,
}

impl Schedule {
    /// Begins; the first one is taken after a period.
    pub fn start(backups: Backups, keep: BackupConfig) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let taking = tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = take_loop(&backups, &keep) => {}
            }
        });
        Self { stop, taking }
    }

    /// Ends; one that is under way is given up.
    pub async fn close(self) {
        self.stop.cancel();
        if self.taking.await.is_err() {
            tracing::error!("the loop of backups did not end well");
        }
    }
}

async fn take_loop(backups: &Backups, keep: &BackupConfig) {
    let mut beat = tokio::time::interval(keep.period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await;
    loop {
        beat.tick().await;
        if !backups.cluster.leads() {
            continue;
        }
        match take(backups, keep).await {
            Ok(path) => tracing::info!(path = %path.display(), "a backup is taken"),
            Err(error) => tracing::error!(%error, "no backup is taken"),
        }
    }
}

async fn take(backups: &Backups, keep: &BackupConfig) -> Result<PathBuf, Error> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let directory = &keep.directory;
    if keep.incremental {
        return take_in(backups, directory, keep.count).await;
    }
    tokio::fs::create_dir_all(directory)
        .await
        .map_err(at(directory))?;
    // Its place in the log: the names are in the order of their age, whoever takes them.
    let index = backups.cluster.state().applied().map_or(0, |it| it.index);
    let path = directory.join(backup_name(index));
    let unfinished = path.with_extension("unfinished");
    let mut file = tokio::fs::File::create(&unfinished)
        .await
        .map_err(at(&unfinished))?;
    let mut pieces = backups.save(BTreeSet::new());
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?).await.map_err(at(&unfinished))?;
    }
    file.sync_all().await.map_err(at(&unfinished))?;
    tokio::fs::rename(&unfinished, &path)
        .await
        .map_err(at(&path))?;
    remove_oldest(directory, keep.count)
        .await
        .map_err(at(directory))?;
    Ok(path)
}

/// What earlier ones have is not taken again.
async fn take_in(backups: &Backups, directory: &Path, count: usize) -> Result<PathBuf, Error> {
    let directory = directory.to_owned();
    let opened = spawn_blocking(move || Repository::open(&directory)).await;
    let repository = opened.expect("opening a directory does not panic")?;
    let have = repository.have().await?;
    let path = repository.take(backups.save(have)).await?;
    let pruned = spawn_blocking(move || repository.prune(count)).await;
    pruned.expect("removing files does not panic")?;
    Ok(path)
}

async fn remove_oldest(directory: &Path, count: usize) -> std::io::Result<()> {
    let directory = directory.to_owned();
    let removed = spawn_blocking(move || {
        let (old, _) = backups_in(&directory, count)?;
        old.iter().try_for_each(std::fs::remove_file)
    });
    removed.await.expect("removing files does not panic")
}
