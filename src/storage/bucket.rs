//! Objects of one S3 bucket, under one prefix.

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Region, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::bucket_error::{BucketError, Doing};

/// A request is tried so often.
const ATTEMPTS: u32 = 5;
/// The longest pause between two attempts; the first are shorter.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// An attempt may take so long,
const ATTEMPT_MIN: Duration = Duration::from_secs(10);
/// and so much longer for each MiB that it carries.
const ATTEMPT_MIB: Duration = Duration::from_millis(500);
/// The region of a server of one's own, which has none.
const REGION: &str = "us-east-1";

/// A bucket of S3 or of a server that speaks its protocol. Requests are repeated with growing pauses where that
/// may help.
#[derive(Debug)]
pub struct Bucket {
    client: Client,
    name: String,
    prefix: String,
}

/// An object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key, without the bucket's prefix.
    pub key: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it was last written, by the server's clock.
    pub modified: SystemTime,
}

impl Bucket {
    /// A bucket, with credentials, region and endpoint from where the tools of AWS look for them too (`AWS_*`, the
    /// shared files, the machine's role). Nothing is asked of the server yet.
    ///
    /// A server that `AWS_ENDPOINT_URL` names is addressed in path style unless `AWS_S3_FORCE_PATH_STYLE` is false.
    pub async fn connect(name: String, prefix: String) -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let own_server = set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL"));
        let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if own_server.is_some() && region.is_none() {
            loader = loader.region(Region::from_static(REGION));
        }
        let path_style = match set("AWS_S3_FORCE_PATH_STYLE").as_deref() {
            Some("1" | "true") => true,
            Some(_) => false,
            None => own_server.is_some(),
        };
        Self::new(&loader.load().await, path_style, name, prefix)
    }

    /// A bucket of a configured server.
    pub fn new(
        config: &aws_config::SdkConfig,
        path_style: bool,
        name: String,
        prefix: String,
    ) -> Self {
        let config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(path_style)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_max_backoff(BACKOFF_MAX),
            )
            .timeout_config(timeout(0))
            // All that is read here has a hash that is checked where it is used.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self {
            client: Client::from_conf(config),
            name,
            prefix,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the bucket is there and may be used.
    ///
    /// # Errors
    /// It is not, or the server does not answer.
    pub async fn check(&self) -> Result<(), BucketError> {
        let asked = self.client.list_objects_v2().bucket(&self.name);
        let asked = asked.prefix(&self.prefix).max_keys(1).send().await;
        asked.map_err(|error| self.failed(Doing::Listing, &self.prefix, error))?;
        Ok(())
    }

    /// Writes an object. The server compares the bytes that it gets with their SHA-256.
    ///
    /// # Errors
    /// The server's. Whether the object is there then is unknown.
    pub async fn put(&self, key: &str, bytes: Bytes, sha256: &[u8]) -> Result<(), BucketError> {
        let length = bytes.len();
        self.put_body(key, bytes.into(), length, sha256).await
    }

    async fn put_body(
        &self,
        key: &str,
        body: ByteStream,
        length: usize,
        sha256: &[u8],
    ) -> Result<(), BucketError> {
        let put = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(self.key(key))
            .checksum_sha256(BASE64_STANDARD.encode(sha256))
            .body(body)
            .customize()
            .config_override(aws_sdk_s3::config::Config::builder().timeout_config(timeout(length)));
        let put = put.send().await;
        put.map_err(|error| self.failed(Doing::Writing, key, error))?;
        Ok(())
    }

    /// Writes an object from a file.
    ///
    /// # Errors
    /// As [`Bucket::put`]; or the file can't be read.
    pub async fn put_file(
        &self,
        key: &str,
        path: &Path,
        bytes: u64,
        sha256: &[u8],
    ) -> Result<(), BucketError> {
        let body = ByteStream::read_from().path(path).build().await;
        let body = body.map_err(|error| BucketError::NotSent {
            bucket: self.name.clone(),
            doing: Doing::Writing,
            key: self.key(key),
            cause: error.into(),
        })?;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.put_body(key, body, bytes, sha256).await
    }

    /// Writes an object whose name is not that of its bytes.
    ///
    /// # Errors
    /// As [`Bucket::put`].
    pub async fn write(&self, key: &str, bytes: impl Into<Bytes>) -> Result<(), BucketError> {
        let bytes = bytes.into();
        let sha256 = Sha256::digest(&bytes);
        self.put(key, bytes, &sha256).await
    }

    /// An object's bytes; `None` where there is none.
    ///
    /// # Errors
    /// The server's.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            // The library repeats what fails before the first byte; a body that breaks off is for us.
            match self.get_once(key).await {
                Err(BucketError::Broken { .. }) if left > 0 => {}
                got => return got,
            }
        }
    }

    async fn get_once(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        let get = self.client.get_object().bucket(&self.name);
        let got = match get.key(self.key(key)).send().await {
            Ok(got) => got,
            Err(error) => {
                let not_there = error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_key());
                return if not_there {
                    Ok(None)
                } else {
                    Err(self.failed(Doing::Reading, key, error))
                };
            }
        };
        let expected = usize::try_from(got.content_length().unwrap_or_default()).unwrap_or(0);
        let mut body = got.body;
        let mut bytes = BytesMut::with_capacity(expected);
        loop {
            let next = tokio::time::timeout(ATTEMPT_MIN, body.try_next()).await;
            let next = match next {
                Ok(Ok(next)) => next,
                Ok(Err(error)) => return Err(self.broken(key, bytes.len(), Some(error.into()))),
                Err(_) => return Err(self.broken(key, bytes.len(), None)),
            };
            match next {
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None if bytes.len() < expected => return Err(self.broken(key, bytes.len(), None)),
                None => return Ok(Some(bytes.freeze())),
            }
        }
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// The server's.
    pub async fn remove(&self, key: &str) -> Result<(), BucketError> {
        let remove = self.client.delete_object().bucket(&self.name);
        match remove.key(self.key(key)).send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.failed(Doing::Removing, key, error) {
                // Some servers say so; S3 itself does not.
                BucketError::Refused { code, .. } if code == "NoSuchKey" => Ok(()),
                error => Err(error),
            },
        }
    }

    /// The objects whose keys begin so, in the order of their keys.
    ///
    /// # Errors
    /// The server's.
    pub async fn list(&self, beginning: &str) -> Result<Vec<Object>, BucketError> {
        let listing = self.client.list_objects_v2().bucket(&self.name);
        let mut pages = listing.prefix(self.key(beginning)).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed(Doing::Listing, beginning, error))?;
            for object in page.contents() {
                let key = object.key().and_then(|key| key.strip_prefix(&self.prefix));
                let modified = object.last_modified().map(|at| at.secs());
                let modified = u64::try_from(modified.unwrap_or_default()).unwrap_or(0);
                found.extend(key.map(|key| Object {
                    key: key.to_owned(),
                    bytes: u64::try_from(object.size().unwrap_or_default()).unwrap_or(0),
                    modified: SystemTime::UNIX_EPOCH + Duration::from_secs(modified),
                }));
            }
        }
        Ok(found)
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn failed<E>(
        &self,
        doing: Doing,
        key: &str,
        error: aws_sdk_s3::error::SdkError<E>,
    ) -> BucketError
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        BucketError::new(&self.name, doing, &self.key(key), error)
    }

    fn broken(&self, key: &str, bytes: usize, cause: Option<super::Cause>) -> BucketError {
        BucketError::Broken {
            bucket: self.name.clone(),
            key: self.key(key),
            bytes,
            cause,
        }
    }
}

fn timeout(bytes: usize) -> TimeoutConfig {
    let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(ATTEMPT_MIN + ATTEMPT_MIB * mib)
        .operation_attempt_timeout(ATTEMPT_MIN + ATTEMPT_MIB * mib)
        .build()
}
