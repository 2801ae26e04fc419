//! The bytes of an engine, as they are kept and travel.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::proto::EngineRecord;
use tokio::task::spawn_blocking;

use super::{Engines, Error};
use crate::storage::BlobId;
use crate::workers::{Engine, EngineError, EngineId, Facts, pack, unpack};

/// How long it may take to keep them.
const KEEP_TIMEOUT: Duration = Duration::from_secs(120);

/// An engine in parts; the large ones are compressed.
#[derive(Clone)]
pub struct Parts {
    /// What the engine says of itself.
    pub facts: Facts,
    /// Its program.
    pub program: Bytes,
    /// Its base image.
    pub base_image: Bytes,
}

impl Parts {
    /// Those of an engine that is here. It blocks.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(super) fn of(engine: &Engine) -> Result<Self, EngineError> {
        Ok(Self {
            facts: engine.facts().clone(),
            program: pack(&engine.program_bytes()?)?.into(),
            base_image: pack(engine.base_bytes())?.into(),
        })
    }

    /// Program and base image. It blocks.
    ///
    /// # Errors
    /// They are damaged.
    pub(super) fn unpacked(&self) -> Result<(Vec<u8>, Vec<u8>), EngineError> {
        let malformed = |part| move |_| EngineError::Malformed { part };
        let program = unpack(&self.program).map_err(malformed("program"))?;
        let base_image = unpack(&self.base_image).map_err(malformed("base image"))?;
        Ok((program, base_image))
    }
}

impl Engines {
    /// The parts of an engine: of this node's own, or as the cluster has them.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn parts(&self, id: EngineId) -> Result<Parts, Error> {
        if id == self.own().id() {
            return own_parts(self.own()).await;
        }
        let record = self.0.cluster.state().engine(&id.0).await?;
        self.fetch(record).await
    }

    pub(super) async fn fetch(&self, record: Option<EngineRecord>) -> Result<Parts, Error> {
        let record = record.ok_or(Error::Unknown)?;
        let blob = |hash: &[u8]| BlobId::try_from(hash).map_err(|_| Error::NotKept);
        Ok(Parts {
            program: self.0.blobs.get(blob(&record.worker_blob)?).await?,
            base_image: self.0.blobs.get(blob(&record.base_image_blob)?).await?,
            facts: Facts {
                v8_version: record.v8_version,
                v8_flags: record.v8_flags,
                cpu_baseline: record.cpu_baseline,
                constants_used: record.constants_used,
            },
        })
    }

    /// Whether sessions of an engine can be: the cluster knows it, or it is this node's own, which it knows then.
    ///
    /// # Errors
    /// It does not.
    pub async fn knows(&self, id: EngineId) -> Result<(), Error> {
        if id == self.own().id() {
            return self.register().await;
        }
        let record = self.0.cluster.state().engine(&id.0).await?;
        record.map(|_| ()).ok_or(Error::Unknown)
    }

    /// Keeps an engine that came from elsewhere. It is no other than the one that it is said to be.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn bring(&self, id: EngineId, parts: Parts) -> Result<(), Error> {
        if id == self.own().id() {
            return self.register().await;
        }
        let checked = parts.clone();
        let found = spawn_blocking(move || {
            let (program, base_image) = checked.unpacked()?;
            let flags = &checked.facts.v8_flags;
            let id = process_image::base::engine_id(&program, &base_image, flags);
            Ok::<_, EngineError>(id)
        });
        let found = found.await.expect("hashing does not panic")?;
        if found != id {
            let expected = id;
            return Err(EngineError::Different { found, expected }.into());
        }
        self.keep(id, parts).await
    }

    /// Makes blobs of the parts, and that known.
    pub(super) async fn keep(&self, id: EngineId, parts: Parts) -> Result<(), Error> {
        let deadline = Instant::now() + KEEP_TIMEOUT;
        let blobs = &self.0.blobs;
        let program = blobs.put(parts.program.to_vec(), deadline).await?;
        let base_image = blobs.put(parts.base_image.to_vec(), deadline).await?;
        let (program, base_image) = (program.0.to_vec(), base_image.0.to_vec());
        self.put(id, &parts.facts, program, base_image).await
    }
}

pub(super) async fn own_parts(engine: &'static Engine) -> Result<Parts, Error> {
    let packed = spawn_blocking(|| Parts::of(engine)).await;
    Ok(packed.expect("packing does not panic")?)
}
