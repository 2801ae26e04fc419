//! Tags: names with small JSON values, the same on all nodes. Agents use them as a shared memory, and for
//! names of heaps: a heap is kept as long as a tag points at it.

mod error;

use std::sync::Arc;
use std::time::Instant;

use cluster::node::{Cluster, Committed, ProposeError};
use cluster::proto::command::Kind;
use cluster::proto::{DeleteTag, PutTag, Reason, TagRecord, reply::Outcome};
use cluster::state::{PAGE_ROWS_MAX, TAG_VALUE_BYTES_MAX, is_name};
use serde_json::value::RawValue;

pub use self::error::Error;
use super::sessions::HeapId;

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
    /// The heap that it points at.
    pub heap: Option<HeapId>,
    /// Another one after each write, larger each time.
    pub version: u64,
    /// When it was written, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// What to write.
#[derive(Clone, Debug)]
pub struct NewTag {
    /// Its name.
    pub name: String,
    /// Its value; JSON's null unless another is given.
    pub value: Option<Arc<RawValue>>,
    /// The heap that it points at.
    pub heap: Option<HeapId>,
    /// Only if the tag has this version; 0 = only if there is none.
    pub if_version: Option<u64>,
}

/// Which tags.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Those whose names begin so.
    pub prefix: &'a str,
    /// Those that point at this heap; then the names may begin as they like.
    pub heap: Option<HeapId>,
    /// Those behind this name.
    pub after: Option<&'a str>,
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

    /// Writes one and gives its version.
    ///
    /// # Errors
    /// As [`Error`] tells; only [`ProposeError::Unknown`] leaves open whether it took effect.
    pub async fn put(&self, new: NewTag, principal: &str, deadline: Instant) -> Result<u64, Error> {
        let NewTag { name, heap, .. } = new;
        check(&name)?;
        let value = new.value.as_ref().map_or("null", |value| value.get());
        let bytes = value.len();
        if bytes > TAG_VALUE_BYTES_MAX {
            return Err(Error::ValueTooLarge { bytes });
        }
        let put = PutTag {
            name: name.clone(),
            value: value.as_bytes().to_vec(),
            if_version: new.if_version,
            heap_id: HeapId::to_record(heap),
        };
        let kind = Kind::PutTag(put);
        let committed = self.cluster.propose(kind, principal, deadline).await?;
        version(committed, || match heap {
            Some(heap) => Error::HeapNotFound { heap },
            None => Error::NotFound { name },
        })
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
        version(committed, || Error::NotFound { name })
    }

    /// A page of tags.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn list(
        &self,
        filter: Filter<'_>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<TagPage, Error> {
        if !(1..=PAGE_ROWS_MAX).contains(&limit) {
            let max = PAGE_ROWS_MAX;
            return Err(Error::Limit { given: limit, max });
        }
        self.pass(freshness).await?;
        let state = self.cluster.state();
        let page = match filter.heap {
            None => state.tags(filter.prefix, filter.after, limit).await?,
            Some(heap) => state.heap_tags(&heap.0, filter.after, limit).await?,
        };
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
        heap: HeapId::from_bytes(&record.heap_id),
        version: record.version,
        changed_ms: record.changed_ms,
    })
}

/// What the cluster answered.
fn version(committed: Committed, missing: impl FnOnce() -> Error) -> Result<u64, Error> {
    match committed.reply.outcome {
        Some(Outcome::TagWritten(written)) => Ok(written.version),
        Some(Outcome::Refused(refused)) => Err(match refused.reason() {
            Reason::VersionMismatch => Error::VersionMismatch {
                actual: refused.actual,
            },
            Reason::NotFound => missing(),
            // The cluster does not know of this life of the node yet.
            Reason::StaleIncarnation => ProposeError::NotMember.into(),
            _ => Error::Refused {
                reason: refused.reason,
            },
        }),
        _ => Err(Error::Refused { reason: 0 }),
    }
}
