//! Tags: names with small JSON values, the same on all nodes. Agents use them as a shared memory.

mod error;

use std::time::Instant;

use cluster::node::{Cluster, Committed, ProposeError};
use cluster::proto::command::Kind;
use cluster::proto::{DeleteTag, PutTag, Reason, TagRecord, reply::Outcome};
use cluster::state::{PAGE_ROWS_MAX, TAG_VALUE_BYTES_MAX, is_name};
use serde_json::value::RawValue;

pub use self::error::Error;

/// The tags of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Tags {
    cluster: Cluster,
}

/// A tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Box<RawValue>,
    /// Another one after each write, larger each time.
    pub version: u64,
    /// When it was written, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// Some tags in the order of their names.
#[derive(Clone, Debug)]
pub struct TagPage {
    /// The tags.
    pub tags: Vec<Tag>,
    /// More follow.
    pub more: bool,
}

/// How new what is read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// All that was acknowledged by any node before the request, read before this time.
    Newest(Instant),
    /// What this node has, which may lag behind.
    Local,
}

impl Tags {
    /// Those of a node's cluster.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// Writes one and gives its version: any, or only the one that has this version (0 = there is none).
    ///
    /// # Errors
    /// As [`Error`] tells; only [`ProposeError::Unknown`] leaves open whether it took effect.
    pub async fn put(
        &self,
        name: String,
        value: &RawValue,
        if_version: Option<u64>,
        principal: &str,
        deadline: Instant,
    ) -> Result<u64, Error> {
        check(&name)?;
        let bytes = value.get().len();
        if bytes > TAG_VALUE_BYTES_MAX {
            return Err(Error::ValueTooLarge { bytes });
        }
        let put = PutTag {
            name: name.clone(),
            value: value.get().as_bytes().to_vec(),
            if_version,
        };
        let kind = Kind::PutTag(put);
        let committed = self.cluster.propose(kind, principal, deadline).await?;
        version(committed, name)
    }

    /// Reads one.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn get(&self, name: &str, freshness: Freshness) -> Result<Tag, Error> {
        check(name)?;
        self.pass(freshness).await?;
        let record = self.cluster.state().tag(name).await?;
        let record = record.ok_or_else(|| Error::NotFound {
            name: name.to_owned(),
        })?;
        tag(record)
    }

    /// Removes one and gives the version that it had: any, or only that of this version.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn delete(
        &self,
        name: String,
        if_version: Option<u64>,
        principal: &str,
        deadline: Instant,
    ) -> Result<u64, Error> {
        check(&name)?;
        let kind = Kind::DeleteTag(DeleteTag {
            name: name.clone(),
            if_version,
        });
        let committed = self.cluster.propose(kind, principal, deadline).await?;
        version(committed, name)
    }

    /// Tags whose names begin with a prefix, after one of them.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<TagPage, Error> {
        if !(1..=PAGE_ROWS_MAX).contains(&limit) {
            let max = PAGE_ROWS_MAX;
            return Err(Error::Limit { given: limit, max });
        }
        self.pass(freshness).await?;
        let page = self.cluster.state().tags(prefix, after, limit).await?;
        let tags = page.rows.into_iter().map(tag);
        Ok(TagPage {
            tags: tags.collect::<Result<_, _>>()?,
            more: page.more,
        })
    }

    async fn pass(&self, freshness: Freshness) -> Result<(), Error> {
        if let Freshness::Newest(deadline) = freshness {
            self.cluster.linearizable(deadline).await?;
        }
        Ok(())
    }
}

fn check(name: &str) -> Result<(), Error> {
    if is_name(name) {
        Ok(())
    } else {
        Err(Error::Name { bytes: name.len() })
    }
}

fn tag(record: TagRecord) -> Result<Tag, Error> {
    let value = String::from_utf8(record.value).ok();
    let value = value.and_then(|text| RawValue::from_string(text).ok());
    Ok(Tag {
        name: record.name,
        value: value.ok_or(Error::ValueMalformed)?,
        version: record.version,
        changed_ms: record.changed_ms,
    })
}

/// What the cluster answered.
fn version(committed: Committed, name: String) -> Result<u64, Error> {
    match committed.reply.outcome {
        Some(Outcome::TagWritten(written)) => Ok(written.version),
        Some(Outcome::Refused(refused)) => Err(match refused.reason() {
            Reason::VersionMismatch => Error::VersionMismatch {
                actual: refused.actual,
            },
            Reason::NotFound => Error::NotFound { name },
            // The cluster does not know of this life of the node yet.
            Reason::StaleIncarnation => ProposeError::NotMember.into(),
            _ => Error::Refused {
                reason: refused.reason,
            },
        }),
        _ => Err(Error::Refused { reason: 0 }),
    }
}
