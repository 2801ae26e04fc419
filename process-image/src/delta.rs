use std::cell::RefCell;

use sha2::{Digest, Sha256};
use zstd::bulk::Compressor;

use crate::codec::{Malformed, Reader, put_number};
use crate::ids::{EngineId, StateId};
use crate::layout::PAGE;
use crate::mapping_table::{
    Bounds, Mapping, MappingError, MappingTable, decode_mappings, encode_mappings,
};
use crate::page_set::{PageSet, PageSetError};

const MAGIC: [u8; 8] = *b"mcpv8dlt";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 32 + 32 + 8 + 8;
const DIGEST_BYTES: usize = 32;
/// The most bytes of a body that say what changes: as much as an image has for its tables. In
/// memory they take eight times as much, so the limit of the whole body is not enough.
const TABLES_BYTES_MAX: usize = 4 << 20;
/// Fast, and small enough: most of a delta is zeros.
const COMPRESSION_LEVEL: i32 = 1;

/// By how much a state differs from its parent.
///
/// As bytes, with numbers little-endian:
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | `mcpv8dlt` |
/// | 8 | 4 | version, 1 |
/// | 12 | 32 | engine |
/// | 44 | 32 | the parent's state |
/// | 76 | 8 | length of the body |
/// | 84 | 8 | length of the body as it stands here, compressed with zstd |
/// | 92 | | the body, compressed |
/// | end − 32 | 32 | SHA-256 of everything before |
///
/// The body, with numbers as LEB128 in their shortest form: the change of the mapping table (how many of
/// the parent's mappings are gone, each as the gap to the one before it; the new ones), the pages that
/// are gone, the pages that changed, and for each of these, ascending, 4,096 bytes to be XORed with
/// the parent's page, or with zeros where the parent has none.
#[derive(Clone, PartialEq, Eq)]
pub struct Delta {
    /// Whose states these are.
    pub engine: EngineId,
    /// The state to which it applies.
    pub parent: StateId,
    /// How the mappings change.
    pub table: TableChange,
    /// Pages that the parent has and this state has not.
    pub dropped: PageSet,
    /// Pages that are new or have other contents.
    pub changed: PageSet,
    /// Their contents XOR the parent's, one after the other.
    pub xor: Vec<u8>,
}

/// How one table of mappings becomes another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableChange {
    /// Which of the parent's mappings are gone: ascending indexes from 0.
    pub removed: Vec<usize>,
    /// What is there instead, sorted and disjoint.
    pub added: Vec<Mapping>,
}

/// What a delta may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLimits {
    /// The most bytes of its body, before compression.
    pub body_bytes_max: u64,
    /// The most pages that change.
    pub pages_max: u64,
}

/// Why bytes are no delta, or a delta does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It does not begin like one.
    #[error("this is no delta")]
    Magic,
    /// Another version of the format.
    #[error("format {version}; this build reads format {VERSION}")]
    Version {
        /// Its version.
        version: u32,
    },
    /// It is cut, or something is left over.
    #[error("{found} bytes where its header says {expected}")]
    Length {
        /// What there is.
        found: u64,
        /// What there should be.
        expected: u64,
    },
    /// The checksum is another.
    #[error("the checksum is wrong")]
    Checksum,
    /// The body is over the limit.
    #[error("{body_bytes} bytes, more than {body_bytes_max}")]
    TooLarge {
        /// How long it is.
        body_bytes: u64,
        /// The limit.
        body_bytes_max: u64,
    },
    /// The body can't be decompressed to what the header says.
    #[error("the body can't be decompressed")]
    Compression,
    /// The body can't be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A set of pages can't be read.
    #[error(transparent)]
    Pages(#[from] PageSetError),
    /// The mappings are refused.
    #[error(transparent)]
    Mappings(#[from] MappingError),
    /// A mapping is to go that the parent does not have.
    #[error("mapping {index} of the parent is to go, but it has {mappings}")]
    NoSuchMapping {
        /// Which one.
        index: u64,
        /// How many there are.
        mappings: usize,
    },
    /// A page is to go that the parent does not have, or that changes too.
    #[error("page {page:#x} is to go, but is not there or changes too")]
    NotDroppable {
        /// Which one.
        page: u64,
    },
    /// A page lies in no mapping.
    #[error("page {page:#x} is not mapped")]
    Unmapped {
        /// Which one.
        page: u64,
    },
}

impl TableChange {
    /// What makes `to` of `from`.
    pub fn between(from: &MappingTable, to: &MappingTable) -> Self {
        let (from, to) = (from.mappings(), to.mappings());
        let mut change = Self::default();
        let mut kept = to.iter().peekable();
        for (index, mapping) in from.iter().enumerate() {
            while let Some(added) = kept.next_if(|added| added.start < mapping.start) {
                change.added.push(*added);
            }
            if kept.next_if(|other| *other == mapping).is_none() {
                change.removed.push(index);
            }
        }
        change.added.extend(kept);
        change
    }

    /// The table that `from` becomes.
    ///
    /// # Errors
    /// When `from` lacks what is to go, or the result breaks a rule of `bounds`.
    pub fn apply(&self, from: &MappingTable, bounds: &Bounds) -> Result<MappingTable, DeltaError> {
        let mut removed = self.removed.iter().peekable();
        let mut mappings: Vec<Mapping> = from
            .mappings()
            .iter()
            .enumerate()
            .filter(|(index, _)| removed.next_if_eq(&index).is_none())
            .map(|(_, mapping)| *mapping)
            .collect();
        if let Some(index) = removed.next() {
            return Err(DeltaError::NoSuchMapping {
                index: *index as u64,
                mappings: from.mappings().len(),
            });
        }
        mappings.extend_from_slice(&self.added);
        mappings.sort_by_key(|mapping| mapping.start);
        Ok(MappingTable::check(mappings, bounds)?)
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        put_number(bytes, self.removed.len() as u64);
        let mut next = 0;
        for index in &self.removed {
            put_number(bytes, (index - next) as u64);
            next = index + 1;
        }
        encode_mappings(&self.added, bytes);
    }

    fn decode(reader: &mut Reader<'_>, mappings_max: usize) -> Result<Self, DeltaError> {
        let count = reader.number()?;
        let mut removed = Vec::with_capacity((count as usize).min(mappings_max));
        let mut next = 0_u64;
        for _ in 0..count {
            let index = next.saturating_add(reader.number()?);
            if index >= mappings_max as u64 {
                return Err(DeltaError::NoSuchMapping {
                    index,
                    mappings: mappings_max,
                });
            }
            removed.push(index as usize);
            next = index + 1;
        }
        let added = decode_mappings(reader, mappings_max)?;
        Ok(Self { removed, added })
    }
}

impl Delta {
    /// The bytes.
    ///
    /// # Panics
    /// When `xor` is not as long as `changed` says.
    pub fn encode(&self) -> Vec<u8> {
        let body = self.body();
        // A context is a megabyte that a small delta would spend more time on than on itself.
        thread_local! {
            static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::new(
                Compressor::new(COMPRESSION_LEVEL).expect("the level is one that there is"),
            );
        }
        let packed = COMPRESSOR
            .with_borrow_mut(|compressor| compressor.compress(&body))
            .expect("the buffer is made for the worst case");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + packed.len() + DIGEST_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.engine.0);
        bytes.extend_from_slice(&self.parent.0);
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(packed.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&packed);
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }

    fn body(&self) -> Vec<u8> {
        assert!(
            self.xor.len() as u64 == self.changed.count() * PAGE as u64,
            "{} bytes for {} pages",
            self.xor.len(),
            self.changed.count()
        );
        let mut body = Vec::with_capacity(self.xor.len() + 1024);
        self.table.encode(&mut body);
        self.dropped.encode(&mut body);
        self.changed.encode(&mut body);
        body.extend_from_slice(&self.xor);
        body
    }

    /// Reads and checks the bytes of a delta.
    ///
    /// # Errors
    /// Whatever is wrong with them; nothing over the limits is allocated before that is known.
    pub fn decode(bytes: &[u8], limits: &DeltaLimits, bounds: &Bounds) -> Result<Self, DeltaError> {
        let mut reader = Reader::new(bytes);
        if reader.array::<8>().map_err(|_| DeltaError::Magic)? != MAGIC {
            return Err(DeltaError::Magic);
        }
        let version = u32::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(DeltaError::Version { version });
        }
        let (engine, parent) = (EngineId(reader.array()?), StateId(reader.array()?));
        let body_bytes = u64::from_le_bytes(reader.array()?);
        let packed_bytes = u64::from_le_bytes(reader.array()?);
        let expected = packed_bytes.saturating_add((HEADER_BYTES + DIGEST_BYTES) as u64);
        if bytes.len() as u64 != expected {
            return Err(DeltaError::Length {
                found: bytes.len() as u64,
                expected,
            });
        }
        let (summed, digest) = bytes.split_at(bytes.len() - DIGEST_BYTES);
        if Sha256::digest(summed).as_slice() != digest {
            return Err(DeltaError::Checksum);
        }
        if body_bytes > limits.body_bytes_max {
            let body_bytes_max = limits.body_bytes_max;
            return Err(DeltaError::TooLarge {
                body_bytes,
                body_bytes_max,
            });
        }
        let body = zstd::bulk::decompress(&summed[HEADER_BYTES..], body_bytes as usize)
            .map_err(|_| DeltaError::Compression)?;
        if body.len() as u64 != body_bytes {
            return Err(DeltaError::Compression);
        }
        let tables = &body[..body.len().min(TABLES_BYTES_MAX)];
        let mut reader = Reader::new(tables);
        let table = TableChange::decode(&mut reader, bounds.mappings_max)?;
        let dropped = PageSet::decode(&mut reader, u64::MAX)?;
        let changed = PageSet::decode(&mut reader, limits.pages_max)?;
        let mut reader = Reader::new(&body[tables.len() - reader.left()..]);
        // No overflow: the address space has 2^36 pages.
        let xor_bytes = usize::try_from(changed.count() * PAGE as u64);
        let xor = reader
            .take(xor_bytes.map_err(|_| Malformed::Truncated)?)?
            .to_vec();
        reader.end()?;
        Ok(Self {
            engine,
            parent,
            table,
            dropped,
            changed,
            xor,
        })
    }

    /// The changed pages with their bytes, ascending.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &[u8; PAGE])> {
        self.changed.pages().zip(self.xor.as_chunks().0)
    }

    /// The mappings and pages of the state that it makes of a parent's.
    ///
    /// # Errors
    /// When it does not fit the parent, or leads to a state that can't be.
    pub fn apply(
        &self,
        table: &MappingTable,
        present: &PageSet,
        bounds: &Bounds,
    ) -> Result<(MappingTable, PageSet), DeltaError> {
        let table = self.table.apply(table, bounds)?;
        let undroppable = self
            .dropped
            .difference(present)
            .union(&self.dropped.intersection(&self.changed));
        if let Some(page) = undroppable.pages().next() {
            return Err(DeltaError::NotDroppable { page });
        }
        let present = present.difference(&self.dropped).union(&self.changed);
        match table.first_unmapped(&present) {
            Some(page) => Err(DeltaError::Unmapped { page }),
            None => Ok((table, present)),
        }
    }
}

impl std::fmt::Debug for Delta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delta")
            .field("engine", &self.engine)
            .field("parent", &self.parent)
            .field("table", &self.table)
            .field("dropped", &self.dropped)
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
