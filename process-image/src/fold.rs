//! Folding: an image and the deltas after it make the image of the last state.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::delta::{Delta, DeltaError, TableChange};
use crate::ids::{EngineId, StateId};
use crate::image::{ImageError, ImageHeader, ImageWriter};
use crate::layout::PAGE;
use crate::mapping_table::{Bounds, MappingTable};
use crate::page_set::PageSet;

/// How many pages of the old image are read at once.
const READ_PAGES: u64 = 64;

/// Why nothing was folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The image can't be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A delta does not fit.
    #[error("delta {index} does not apply")]
    Delta {
        /// Which one, from 0.
        index: usize,
        /// Why.
        source: DeltaError,
    },
    /// A delta is one of another state.
    #[error("delta {index} applies to {parent}, not to {state}")]
    Chain {
        /// Which one, from 0.
        index: usize,
        /// The state that it applies to.
        parent: StateId,
        /// The state that there is.
        state: StateId,
    },
    /// A delta is one of another engine.
    #[error("delta {index} is one of engine {found}, not of {expected}")]
    Engine {
        /// Which one, from 0.
        index: usize,
        /// Its engine.
        found: EngineId,
        /// The image's.
        expected: EngineId,
    },
}

/// A state in the making: what is taken from the old image, and what the deltas changed.
struct Folded {
    state: StateId,
    engine: EngineId,
    table: MappingTable,
    present: PageSet,
    /// The pages that were never dropped: those that are not in `changed` are as in the old image.
    kept: PageSet,
    changed: BTreeMap<u64, Box<[u8; PAGE]>>,
}

/// Writes the image of the state that `deltas` lead to, each with the name of the state that it makes.
///
/// Takes memory for the pages that the deltas change, not for those of the image.
///
/// # Errors
/// When a file can't be read or written, or a delta does not follow on the one before it.
pub fn fold<W: Write + Seek>(
    header: &ImageHeader,
    image: &File,
    deltas: &[(StateId, Delta)],
    bounds: &Bounds,
    out: W,
) -> Result<(ImageHeader, W), FoldError> {
    let mut base = BasePages::new(header, image);
    let folded = Folded::new(header, &mut base, deltas, bounds)?;
    let Folded {
        state,
        engine,
        table,
        present,
        changed,
        ..
    } = folded;
    let mut writer = ImageWriter::new(out, engine, state, table, present)?;
    let pages: Vec<u64> = writer.present().pages().collect();
    for page in pages {
        let bytes = match changed.get(&page) {
            Some(bytes) => bytes.as_slice(),
            None => base.read(page).map_err(ImageError::from)?,
        };
        writer.write(bytes)?;
    }
    Ok(writer.finish()?)
}

/// The one delta that leads from an image to where `deltas` lead: all that is as in the image is left out.
///
/// # Errors
/// As [`fold`].
pub fn squash(
    header: &ImageHeader,
    image: &File,
    deltas: &[(StateId, Delta)],
    bounds: &Bounds,
) -> Result<Delta, FoldError> {
    let mut base = BasePages::new(header, image);
    let folded = Folded::new(header, &mut base, deltas, bounds)?;
    let Folded {
        engine,
        table,
        present,
        changed: pages,
        ..
    } = folded;
    let mut changed = PageSet::new();
    let mut xor = Vec::new();
    for (page, mut bytes) in pages {
        if header.present().contains(page) {
            let before = base.read(page).map_err(ImageError::from)?;
            bytes
                .iter_mut()
                .zip(before)
                .for_each(|(byte, before)| *byte ^= before);
            if bytes.iter().all(|byte| *byte == 0) {
                continue;
            }
        }
        changed.push(page);
        xor.extend_from_slice(bytes.as_slice());
    }
    Ok(Delta {
        engine,
        parent: header.state(),
        table: TableChange::between(header.table(), &table),
        dropped: header.present().difference(&present),
        changed,
        xor,
    })
}

impl Folded {
    fn new(
        header: &ImageHeader,
        base: &mut BasePages<'_>,
        deltas: &[(StateId, Delta)],
        bounds: &Bounds,
    ) -> Result<Self, FoldError> {
        let engine = header.engine();
        let mut folded = Self {
            state: header.state(),
            engine,
            table: header.table().clone(),
            present: header.present().clone(),
            kept: header.present().clone(),
            changed: BTreeMap::new(),
        };
        for (index, (state, delta)) in deltas.iter().enumerate() {
            if delta.engine != engine {
                let (found, expected) = (delta.engine, engine);
                return Err(FoldError::Engine {
                    index,
                    found,
                    expected,
                });
            }
            if delta.parent != folded.state {
                let (parent, state) = (delta.parent, folded.state);
                return Err(FoldError::Chain {
                    index,
                    parent,
                    state,
                });
            }
            (folded.table, folded.present) = delta
                .apply(&folded.table, &folded.present, bounds)
                .map_err(|source| FoldError::Delta { index, source })?;
            folded.state = *state;
            folded.add(delta, base).map_err(ImageError::from)?;
        }
        Ok(folded)
    }

    fn add(&mut self, delta: &Delta, base: &mut BasePages<'_>) -> io::Result<()> {
        for page in delta.dropped.pages() {
            self.changed.remove(&page);
        }
        // A page that comes back later starts from zeros again.
        self.kept = self.kept.difference(&delta.dropped);
        for (page, xor) in delta.pages() {
            let bytes = match self.changed.entry(page) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let mut bytes = Box::new([0; PAGE]);
                    if self.kept.contains(page) {
                        bytes.copy_from_slice(base.read(page)?);
                    }
                    entry.insert(bytes)
                }
            };
            bytes
                .iter_mut()
                .zip(xor)
                .for_each(|(byte, xor)| *byte ^= xor);
        }
        Ok(())
    }
}

/// The pages of an image file, read some at a time.
struct BasePages<'a> {
    header: &'a ImageHeader,
    file: &'a File,
    buffer: Vec<u8>,
    /// Where in the file the buffer's bytes stand.
    buffered: Range<u64>,
}

impl<'a> BasePages<'a> {
    fn new(header: &'a ImageHeader, file: &'a File) -> Self {
        Self {
            header,
            file,
            buffer: Vec::new(),
            buffered: 0..0,
        }
    }

    fn read(&mut self, page: u64) -> io::Result<&[u8]> {
        let offset = self
            .header
            .offset_of(page)
            .expect("the page was kept from the image");
        if !self.buffered.contains(&offset) {
            let last = self
                .header
                .present()
                .ranges()
                .last()
                .expect("there is a page")
                .end
                - 1;
            let end = self.header.offset_of(last).expect("the last page") + PAGE as u64;
            let end = end.min(offset + READ_PAGES * PAGE as u64);
            self.buffered = 0..0;
            self.buffer.resize((end - offset) as usize, 0);
            self.file.read_exact_at(&mut self.buffer, offset)?;
            self.buffered = offset..end;
        }
        let start = (offset - self.buffered.start) as usize;
        Ok(&self.buffer[start..start + PAGE])
    }
}

#[cfg(test)]
mod tests;
