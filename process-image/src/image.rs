use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};

use crate::codec::{Malformed, Reader};
use crate::ids::{EngineId, StateId};
use crate::layout::PAGE;
use crate::mapping_table::{Bounds, MappingError, MappingTable, decode_mappings, encode_mappings};
use crate::page_set::{PageSet, PageSetError};

const MAGIC: [u8; 8] = *b"mcpv8img";
const VERSION: u32 = 1;
const FIXED_BYTES: usize = 8 + 4 + 4 + 32 + 32 + 32 + 8;
const DIGEST_BYTES: usize = 32;
/// The most bytes of a header: a table as large as a worker can have, and more ranges of pages than
/// an image of a gigabyte has pages.
const HEADER_BYTES_MAX: usize = 4 << 20;

/// What an image says of itself: everything but the contents of its pages.
///
/// The file, with numbers little-endian:
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | `mcpv8img` |
/// | 8 | 4 | version, 1 |
/// | 12 | 4 | length of the header in pages, *h* |
/// | 16 | 32 | engine |
/// | 48 | 32 | state |
/// | 80 | 32 | SHA-256 of all pages |
/// | 112 | 8 | length of the tables |
/// | 120 | | the mappings and the present pages, with numbers as LEB128 in their shortest form |
/// | | 32 | SHA-256 of everything before |
/// | | | zeros up to 4,096 × *h* |
/// | 4,096 × *h* | | the pages, ascending |
///
/// So the pages are aligned in the file and can be mapped from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    engine: EngineId,
    state: StateId,
    table: MappingTable,
    present: PageSet,
    pages_digest: [u8; 32],
    /// For each range of `present`, how many pages lie in the ranges before it.
    ranks: Vec<u64>,
    header_pages: u32,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file can't be read or written.
    #[error("can't read or write the image")]
    Io(#[from] io::Error),
    /// It does not begin like one.
    #[error("this is no image")]
    Magic,
    /// Another version of the format.
    #[error("format {version}; this build reads format {VERSION}")]
    Version {
        /// Its version.
        version: u32,
    },
    /// A header of no page, of too many, or with tables that do not fit in it.
    #[error("the header's lengths are wrong")]
    HeaderLength,
    /// The header's checksum is another.
    #[error("the header's checksum is wrong")]
    HeaderChecksum,
    /// The checksum of the pages is another.
    #[error("the checksum of the pages is wrong")]
    PagesChecksum,
    /// Something follows the last page.
    #[error("there is more than the header says")]
    Trailing,
    /// The tables can't be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The mappings are refused.
    #[error(transparent)]
    Mappings(#[from] MappingError),
    /// The set of pages is refused.
    #[error(transparent)]
    Pages(#[from] PageSetError),
    /// A page lies in no mapping.
    #[error("page {page:#x} is not mapped")]
    Unmapped {
        /// Which one.
        page: u64,
    },
}

impl ImageHeader {
    fn new(
        engine: EngineId,
        state: StateId,
        table: MappingTable,
        present: PageSet,
    ) -> Result<Self, ImageError> {
        if let Some(page) = table.first_unmapped(&present) {
            return Err(ImageError::Unmapped { page });
        }
        let mut rank = 0;
        let ranks = present.ranges().iter().map(|range| {
            rank += range.end - range.start;
            rank - (range.end - range.start)
        });
        Ok(Self {
            engine,
            state,
            table,
            ranks: ranks.collect(),
            present,
            pages_digest: [0; 32],
            header_pages: 0,
        })
    }

    /// The same image as one of another engine: a base image names its program, and the engine is named by
    /// both.
    #[must_use]
    pub fn of_engine(&self, engine: EngineId) -> Self {
        Self {
            engine,
            ..self.clone()
        }
    }

    /// Whose state it is.
    pub fn engine(&self) -> EngineId {
        self.engine
    }

    /// The state's name.
    pub fn state(&self) -> StateId {
        self.state
    }

    /// The mappings.
    pub fn table(&self) -> &MappingTable {
        &self.table
    }

    /// The pages that are in the image.
    pub fn present(&self) -> &PageSet {
        &self.present
    }

    /// The length of the file.
    pub fn file_bytes(&self) -> u64 {
        (u64::from(self.header_pages) + self.present.count()) * PAGE as u64
    }

    /// Where a page's bytes begin in the file; nothing for one that is not in the image.
    pub fn offset_of(&self, page: u64) -> Option<u64> {
        let ranges = self.present.ranges();
        let index = ranges.partition_point(|range| range.end <= page);
        let range = ranges.get(index).filter(|range| range.start <= page)?;
        let rank = self.ranks[index] + (page - range.start);
        Some((u64::from(self.header_pages) + rank) * PAGE as u64)
    }

    fn tables(&self) -> Vec<u8> {
        let mut tables = Vec::new();
        encode_mappings(self.table.mappings(), &mut tables);
        self.present.encode(&mut tables);
        tables
    }

    /// The header as it stands in the file, zeros and all.
    fn encode(&self) -> Vec<u8> {
        let tables = self.tables();
        let mut bytes = Vec::with_capacity(self.header_pages as usize * PAGE);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.header_pages.to_le_bytes());
        bytes.extend_from_slice(&self.engine.0);
        bytes.extend_from_slice(&self.state.0);
        bytes.extend_from_slice(&self.pages_digest);
        bytes.extend_from_slice(&(tables.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&tables);
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes.resize(self.header_pages as usize * PAGE, 0);
        bytes
    }

    /// Reads and checks a header; the pages come next in `reader`.
    ///
    /// # Errors
    /// Whatever is wrong with it. It says nothing of the pages: see [`Self::verify_pages`].
    pub fn read(
        reader: &mut impl Read,
        bounds: &Bounds,
        pages_max: u64,
    ) -> Result<Self, ImageError> {
        let mut bytes = vec![0; PAGE];
        reader.read_exact(&mut bytes)?;
        let mut fixed = Reader::new(&bytes);
        if fixed.array()? != MAGIC {
            return Err(ImageError::Magic);
        }
        let version = u32::from_le_bytes(fixed.array()?);
        if version != VERSION {
            return Err(ImageError::Version { version });
        }
        let header_pages = u32::from_le_bytes(fixed.array()?);
        let header_bytes = header_pages as usize * PAGE;
        if header_pages == 0 || header_bytes > HEADER_BYTES_MAX {
            return Err(ImageError::HeaderLength);
        }
        let (engine, state) = (EngineId(fixed.array()?), StateId(fixed.array()?));
        let pages_digest = fixed.array()?;
        let tables_bytes = u64::from_le_bytes(fixed.array()?);
        let used = tables_bytes.saturating_add((FIXED_BYTES + DIGEST_BYTES) as u64);
        if used.div_ceil(PAGE as u64) != u64::from(header_pages) {
            return Err(ImageError::HeaderLength);
        }
        bytes.resize(header_bytes, 0);
        reader.read_exact(&mut bytes[PAGE..])?;
        let (used, zeros) = bytes.split_at(used as usize);
        let (summed, digest) = used.split_at(used.len() - DIGEST_BYTES);
        if Sha256::digest(summed).as_slice() != digest || zeros.iter().any(|byte| *byte != 0) {
            return Err(ImageError::HeaderChecksum);
        }
        let mut tables = Reader::new(&summed[FIXED_BYTES..]);
        let mappings = decode_mappings(&mut tables, bounds.mappings_max)?;
        let table = MappingTable::check(mappings, bounds)?;
        let present = PageSet::decode(&mut tables, pages_max)?;
        tables.end()?;
        let header = Self::new(engine, state, table, present)?;
        Ok(Self {
            pages_digest,
            header_pages,
            ..header
        })
    }

    /// Reads all pages and compares them with the checksum.
    ///
    /// # Errors
    /// When they are others, too few or too many.
    pub fn verify_pages(&self, reader: &mut impl Read) -> Result<(), ImageError> {
        let mut digest = Sha256::new();
        let bytes = self.present.count() * PAGE as u64;
        let copied = io::copy(&mut reader.take(bytes), &mut digest)?;
        if copied != bytes {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if digest.finalize().as_slice() != self.pages_digest {
            return Err(ImageError::PagesChecksum);
        }
        match reader.read(&mut [0; 1])? {
            0 => Ok(()),
            _ => Err(ImageError::Trailing),
        }
    }
}

/// Writes an image page by page. The header comes last, so a file that was cut short is none.
pub struct ImageWriter<W> {
    out: W,
    header: ImageHeader,
    digest: Sha256,
    written: u64,
}

impl<W: Write + Seek> ImageWriter<W> {
    /// Starts an image of these pages.
    ///
    /// # Errors
    /// When a page is not mapped, the tables are too large, or `out` can't be written.
    pub fn new(
        mut out: W,
        engine: EngineId,
        state: StateId,
        table: MappingTable,
        present: PageSet,
    ) -> Result<Self, ImageError> {
        let mut header = ImageHeader::new(engine, state, table, present)?;
        let bytes = FIXED_BYTES + header.tables().len() + DIGEST_BYTES;
        if bytes > HEADER_BYTES_MAX {
            return Err(ImageError::HeaderLength);
        }
        header.header_pages = bytes.div_ceil(PAGE) as u32;
        out.seek(SeekFrom::Start(
            u64::from(header.header_pages) * PAGE as u64,
        ))?;
        Ok(Self {
            out,
            header,
            digest: Sha256::new(),
            written: 0,
        })
    }

    /// The pages that are to be written.
    pub fn present(&self) -> &PageSet {
        &self.header.present
    }

    /// Writes the next pages: whole ones, in ascending order.
    ///
    /// # Errors
    /// Those of the file.
    pub fn write(&mut self, pages: &[u8]) -> Result<(), ImageError> {
        assert!(
            pages.len().is_multiple_of(PAGE),
            "{} bytes are no pages",
            pages.len()
        );
        self.written += (pages.len() / PAGE) as u64;
        self.digest.update(pages);
        Ok(self.out.write_all(pages)?)
    }

    /// Writes the header, and gives it with the file.
    ///
    /// # Errors
    /// Those of the file.
    ///
    /// # Panics
    /// When other than the promised number of pages was written.
    pub fn finish(mut self) -> Result<(ImageHeader, W), ImageError> {
        let promised = self.header.present.count();
        assert!(
            self.written == promised,
            "{} pages of {promised}",
            self.written
        );
        self.header.pages_digest = self.digest.finalize().into();
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&self.header.encode())?;
        self.out.flush()?;
        Ok((self.header, self.out))
    }
}

#[cfg(test)]
mod tests;
