//! From live processes to images and deltas.

use std::io::{Seek, Write};
use std::time::Instant;

use crate::delta::{Delta, TableChange};
use crate::ids::{EngineId, StateId};
use crate::image::{ImageError, ImageHeader, ImageWriter};
use crate::layout::PAGE;
use crate::mapping_table::MappingTable;
use crate::page_set::PageSet;
use crate::process::{ProcessMemory, Scan, ScanError};

/// Why nothing was captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The process can't be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The image can't be written.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A state and a process that waits in it.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// The state's name.
    pub state: StateId,
    /// The process.
    pub memory: &'a ProcessMemory,
    /// Its mappings.
    pub table: &'a MappingTable,
    /// The state's pages: what its image or the deltas before say, so without pages of zeros.
    pub present: &'a PageSet,
    /// Pages of it that were read when it was a child: they need not be read again.
    pub known: &'a KnownPages,
}

/// Some pages of a process that waits, as they were read.
///
/// A small run changes the same few dozen pages as the one before it, and most of its time goes into reading
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPages {
    pages: PageSet,
    bytes: Vec<u8>,
}

impl KnownPages {
    /// So many are kept of one process: 1 MiB.
    const PAGES_MAX: u64 = 256;

    fn note(&mut self, page: u64, bytes: &[u8; PAGE]) {
        if self.bytes.len() < Self::PAGES_MAX as usize * PAGE {
            self.pages.push(page);
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u64, &[u8; PAGE])> {
        self.pages.pages().zip(self.bytes.as_chunks().0)
    }
}

/// A process that waits after its run.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// The process, forked from the parent's.
    pub memory: &'a ProcessMemory,
    /// Its mappings.
    pub table: &'a MappingTable,
    /// Its pages.
    pub scan: &'a Scan,
}

/// By how much a process differs from the one it was forked from, which still waits as it was then; and some
/// of its pages, for the time when it is a parent itself.
///
/// # Errors
/// When one of them can't be read, past the deadline, or when more than `pages_max` pages would have
/// to be looked at.
pub fn delta(
    engine: EngineId,
    parent: Parent<'_>,
    child: Child<'_>,
    pages_max: u64,
    deadline: Instant,
) -> Result<(Delta, KnownPages), ScanError> {
    // What is in both and not the child's alone is the parent's own page.
    let new = child.scan.present.difference(parent.present);
    let candidates = child.scan.unshared.union(&new);
    if candidates.count() > pages_max {
        return Err(ScanError::TooManyPages { pages_max });
    }
    let in_both = candidates.intersection(parent.present);
    let unknown = in_both.difference(&parent.known.pages);
    let mut before = Vec::with_capacity(unknown.count() as usize * PAGE);
    parent.memory.read(&unknown, deadline, |_, bytes| {
        before.extend_from_slice(bytes);
    })?;
    let mut before = unknown.pages().zip(before.as_chunks().0).peekable();
    let mut known_before = parent.known.iter().peekable();
    let mut known = KnownPages::default();
    let [mut changed, mut zeros] = [PageSet::new(), PageSet::new()];
    let mut xor = Vec::with_capacity(candidates.count() as usize * PAGE);
    child.memory.read(&candidates, deadline, |page, bytes| {
        while known_before.next_if(|(number, _)| *number < page).is_some() {}
        let old = known_before
            .next_if(|(number, _)| *number == page)
            .filter(|_| parent.present.contains(page))
            .or_else(|| before.next_if(|(number, _)| *number == page));
        let old = old.map_or(&[0; PAGE], |(_, old)| old);
        if is_zeros(bytes) {
            zeros.push(page);
            return;
        }
        known.note(page, bytes);
        if old != bytes {
            changed.push(page);
            xor.extend(old.iter().zip(bytes).map(|(old, new)| old ^ new));
        }
    })?;
    let present = child.scan.present.difference(&zeros);
    let delta = Delta {
        engine,
        parent: parent.state,
        table: TableChange::between(parent.table, child.table),
        dropped: parent.present.difference(&present),
        changed,
        xor,
    };
    Ok((delta, known))
}

/// The whole of a process that waits.
///
/// Everything is read twice, since an image begins with the list of its pages, and only their bytes
/// tell which of them are zeros.
///
/// # Errors
/// When the process can't be read, past the deadline, or when the image can't be written.
pub fn image<W: Write + Seek>(
    engine: EngineId,
    state: StateId,
    process: Child<'_>,
    deadline: Instant,
    out: W,
) -> Result<(ImageHeader, W), CaptureError> {
    let mut present = PageSet::new();
    process
        .memory
        .read(&process.scan.present, deadline, |page, bytes| {
            if !is_zeros(bytes) {
                present.push(page);
            }
        })?;
    let table = process.table.clone();
    let mut writer = ImageWriter::new(out, engine, state, table, present.clone())?;
    let mut written = Ok(());
    process.memory.read(&present, deadline, |_, bytes| {
        if written.is_ok() {
            written = writer.write(bytes);
        }
    })?;
    written?;
    Ok(writer.finish()?)
}

/// A page of zeros counts as not there, whatever the kernel keeps of it.
fn is_zeros(bytes: &[u8; PAGE]) -> bool {
    bytes
        .as_chunks::<8>()
        .0
        .iter()
        .all(|word| u64::from_ne_bytes(*word) == 0)
}

#[cfg(test)]
mod tests;
