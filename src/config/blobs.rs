use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::range::Range;
use super::{Error, Settings};

const DAY_SECS: u64 = 86_400;
const CACHE_MB_MAX: u64 = 8 << 10;

/// Where blobs are, and how they are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobsConfig {
    /// How often a node looks after the copies of blobs that it has, and should have.
    pub check_period: Duration,
    /// The bucket that keeps them; without one the nodes' directories do.
    pub bucket: Option<BucketConfig>,
}

/// A bucket, and what a node keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketConfig {
    /// The bucket's name.
    pub name: String,
    /// What all keys begin with: nothing, or something that ends with a slash.
    pub prefix: String,
    /// Where copies of the blobs lie on this node; else in its directory.
    pub cache_directory: Option<PathBuf>,
    /// What these copies may take, in bytes.
    pub cache_bytes_max: u64,
    /// How often the log goes to the bucket.
    pub archive_period: Duration,
    /// When a write is answered.
    pub durability: S3Durability,
}

/// When a write is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum S3Durability {
    /// When a majority of the nodes has it: the bucket has it a period later.
    #[default]
    Period,
    /// When the bucket has it too.
    Commit,
}

impl BlobsConfig {
    /// Puts the defaults under what was said, and checks it.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let check_secs = settings.blob_check_secs.unwrap_or(3600);
        Range("blob-check-secs", 1, 30 * DAY_SECS, "seconds").check(check_secs)?;
        Ok(Self {
            check_period: Duration::from_secs(check_secs),
            bucket: bucket(settings)?,
        })
    }
}

fn bucket(settings: &Settings) -> Result<Option<BucketConfig>, Error> {
    let cache_mb = settings.cache_mb_max.unwrap_or(CACHE_MB_MAX);
    Range("cache-mb-max", 1, 1 << 30, "MiB").check(cache_mb)?;
    let archive_ms = settings.s3_archive_ms.unwrap_or(1000);
    Range("s3-archive-ms", 100, 3_600_000, "milliseconds").check(archive_ms)?;
    let Some(name) = settings.s3_bucket.clone().filter(|name| !name.is_empty()) else {
        let needs = [
            ("s3-prefix", settings.s3_prefix.is_some()),
            ("s3-durability", settings.s3_durability.is_some()),
            ("s3-archive-ms", settings.s3_archive_ms.is_some()),
            ("cache-dir", settings.cache_dir.is_some()),
            ("cache-mb-max", settings.cache_mb_max.is_some()),
        ];
        return match needs.into_iter().find(|(_, said)| *said) {
            Some((flag, _)) => Err(Error::Needs {
                flag,
                other: "s3-bucket",
            }),
            None => Ok(None),
        };
    };
    if settings.stateless == Some(true) {
        return Err(Error::Against {
            flag: "stateless",
            other: "s3-bucket",
            advice: "without sessions there is nothing to keep in a bucket",
        });
    }
    let prefix = settings.s3_prefix.as_deref().unwrap_or_default();
    let prefix = prefix.trim_matches('/');
    Ok(Some(BucketConfig {
        name,
        prefix: if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        },
        cache_directory: settings.cache_dir.clone(),
        cache_bytes_max: cache_mb << 20,
        archive_period: Duration::from_millis(archive_ms),
        durability: settings.s3_durability.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_defaults_and_its_flags_need_it() {
        let nothing = BlobsConfig::new(&Settings::default()).expect("good");
        assert_eq!(nothing.bucket, None);
        let settings = Settings {
            s3_bucket: Some("heaps".to_owned()),
            s3_prefix: Some("/a/b/".to_owned()),
            ..Settings::default()
        };
        let bucket = BlobsConfig::new(&settings).expect("good").bucket;
        let bucket = bucket.expect("there");
        assert_eq!(bucket.prefix, "a/b/");
        assert_eq!(bucket.cache_bytes_max, 8 << 30);
        let lonely = Settings {
            cache_dir: Some("cache".into()),
            ..Settings::default()
        };
        let error = BlobsConfig::new(&lonely).expect_err("no bucket");
        assert!(matches!(
            error,
            Error::Needs {
                flag: "cache-dir",
                ..
            }
        ));
        let against = Settings {
            stateless: Some(true),
            ..settings
        };
        let error = BlobsConfig::new(&against).expect_err("one or the other");
        assert!(matches!(error, Error::Against { .. }));
    }
}
