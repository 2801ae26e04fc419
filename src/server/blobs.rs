//! Where blobs and the archive are kept, as the configuration has it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::cluster::archive::Restore;
use ::cluster::node::Cluster;
use anyhow::Context as _;
use tokio::sync::watch;

use super::home::Home;
use crate::config::{BlobsConfig, BucketConfig, ClusterConfig, Config, S3Durability};
use crate::metrics;
use crate::service::archive::{self, Archive, Pace, Target};
use crate::service::blobs::{Blobs, InBucket};
use crate::storage::{Bucket, Claim, LocalBlobs, S3Blobs};

/// The bucket that the configuration names.
pub(super) struct Kept {
    bucket: Arc<Bucket>,
    claim: Arc<Claim>,
    /// Told the last entry of the log that is in the bucket.
    outside: watch::Sender<u64>,
    config: BucketConfig,
}

impl Kept {
    /// The bucket, when there is to be one. A mistake in its name or the credentials is told now; a server that does
    /// not answer may yet.
    pub async fn connect(config: &BlobsConfig) -> anyhow::Result<Option<Self>> {
        let Some(config) = config.bucket.clone() else {
            return Ok(None);
        };
        let bucket = Bucket::connect(config.name.clone(), config.prefix.clone()).await;
        match bucket.check().await {
            Ok(()) => tracing::info!(bucket = bucket.name(), "a bucket keeps everything"),
            Err(error) if error.is_for_good() => {
                return Err(error).context("can't use --s3-bucket");
            }
            Err(error) => tracing::warn!(%error, "the bucket is asked again when it is needed"),
        }
        let bucket = Arc::new(bucket);
        Ok(Some(Self {
            claim: Arc::new(Claim::new(Arc::clone(&bucket))),
            bucket,
            outside: watch::Sender::new(0),
            config,
        }))
    }

    /// The last entry of the log that is in the bucket, where writes wait for it.
    pub fn outside(&self) -> Option<watch::Receiver<u64>> {
        let waits = self.config.durability == S3Durability::Commit;
        waits.then(|| self.outside.subscribe())
    }

    /// An empty node that would form a new cluster goes on with what is in the bucket, where there is something.
    pub async fn restore(&self, config: &ClusterConfig, home: &Home) -> anyhow::Result<()> {
        if !founds(config) || !Restore::is_possible(home.path())? {
            return Ok(());
        }
        let own = config.peers.iter();
        let own = own.filter(|peer| Some(&peer.name) == config.name.as_ref());
        let address = config.advertise.as_ref();
        let address = address.or_else(|| own.map(|peer| &peer.address).next());
        let target = Target {
            directory: home.path(),
            name: config.name.as_ref(),
            address: address.map_or("", |address| address),
        };
        let restored = archive::restore(&self.bucket, &self.claim, target).await;
        match restored {
            // The others of --peers are there, and this directory is the one that is missing: they tell it so.
            Err(archive::Error::Alive { .. }) if !config.peers.is_empty() => Ok(()),
            restored => {
                restored.context("can't restore from --s3-bucket")?;
                Ok(())
            }
        }
    }

    /// Begins to keep the log.
    pub fn archive(&self, cluster: &Cluster) -> anyhow::Result<Archive> {
        let pace = Pace {
            period: self.config.archive_period,
            at_once: self.config.durability == S3Durability::Commit,
        };
        let (bucket, claim) = (Arc::clone(&self.bucket), Arc::clone(&self.claim));
        let archive = Archive::start(bucket, claim, cluster.clone(), pace, self.outside.clone());
        metrics::register(|registry| archive.figures().register(registry))?;
        Ok(archive)
    }

    fn blobs(
        &self,
        cluster: &Cluster,
        directory: &Path,
        period: Duration,
    ) -> anyhow::Result<Blobs> {
        let bucket = InBucket {
            blobs: S3Blobs::new(Arc::clone(&self.bucket)),
            claim: Arc::clone(&self.claim),
            cache_bytes_max: self.config.cache_bytes_max,
        };
        let local = match &self.config.cache_directory {
            Some(cache) => local(cache)?,
            // That of a node without a bucket: what it has there is not lost.
            None => local(&directory.join("blobs"))?,
        };
        Ok(Blobs::in_bucket(bucket, local, cluster.clone(), period))
    }
}

/// The blobs of this node.
pub(super) fn open(
    config: &Config,
    bucket: Option<&Kept>,
    cluster: &Cluster,
    directory: &Path,
) -> anyhow::Result<Blobs> {
    let period = config.blobs.check_period;
    match bucket {
        Some(bucket) => bucket.blobs(cluster, directory, period),
        None => {
            let local = local(&directory.join("blobs"))?;
            Ok(Blobs::on_nodes(local, cluster.clone(), period))
        }
    }
}

/// Whether this node, should it be empty, is the one that forms the cluster.
fn founds(config: &ClusterConfig) -> bool {
    let first = config.peers.iter().map(|peer| &peer.name).min();
    config.is_alone() || first.is_some() && first == config.name.as_ref()
}

fn local(directory: &Path) -> anyhow::Result<LocalBlobs> {
    LocalBlobs::open(directory).context("can't open the blobs")
}
