use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Instant;

use crate::delta::Delta;
use crate::image::ImageHeader;
use crate::layout::PAGE;
use crate::mapping_table::MappingTable;
use crate::page_set::PageSet;
use crate::process::{ProcessMemory, ScanError};

/// A whole state in memory, kept by an image and the deltas after it, to be held against the process
/// that it is said to be. It costs as much as the state, so it is for tests and debug builds.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    pages: Pages,
}

type Pages = BTreeMap<u64, Box<[u8; PAGE]>>;

impl Shadow {
    /// The state of an image, whose pages come next in `reader`.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn of_image(header: &ImageHeader, reader: &mut impl Read) -> io::Result<Self> {
        let mut pages = BTreeMap::new();
        for page in header.present().pages() {
            let mut bytes = [0; PAGE];
            reader.read_exact(&mut bytes)?;
            pages.insert(page, Box::new(bytes));
        }
        Ok(Self { pages })
    }

    /// Goes on to the state that `delta` leads to.
    pub fn apply(&mut self, delta: &Delta) {
        for page in delta.dropped.pages() {
            self.pages.remove(&page);
        }
        self.pages.extend(self.changed(delta));
    }

    /// The pages in which a process that waits is another state than this one, or than the one that
    /// `delta` leads to from here. All of its memory is read, whoever else has it.
    ///
    /// # Errors
    /// When it can't be read, or past the deadline.
    pub fn differences(
        &self,
        delta: Option<&Delta>,
        memory: &ProcessMemory,
        table: &MappingTable,
        deadline: Instant,
    ) -> Result<Vec<u64>, ScanError> {
        let present = memory.scan(table, u64::MAX, deadline)?.present;
        let changed = delta.map(|delta| self.changed(delta)).unwrap_or_default();
        let nothing = PageSet::new();
        let dropped = delta.map_or(&nothing, |delta| &delta.dropped);
        let mut dropped = dropped.pages().peekable();
        let mut changed = changed.iter().peekable();
        let mut kept = self.pages.iter().peekable();
        // The next page that there should be, up to a number: both lists ascend.
        let mut next = |up_to: u64| loop {
            let from_kept = kept.peek().map_or(u64::MAX, |(page, _)| **page);
            let from_changed = changed.peek().map_or(u64::MAX, |(page, _)| **page);
            if from_kept.min(from_changed) > up_to || from_kept & from_changed == u64::MAX {
                return None;
            }
            if from_changed <= from_kept {
                if from_changed == from_kept {
                    kept.next();
                }
                return changed.next().map(|(page, bytes)| (*page, bytes));
            }
            while dropped.next_if(|page| *page < from_kept).is_some() {}
            let it = kept.next().map(|(page, bytes)| (*page, bytes));
            if dropped.next_if_eq(&from_kept).is_none() {
                return it;
            }
        };
        let mut different = Vec::new();
        memory.read(&present, deadline, |page, bytes| {
            let same = loop {
                match next(page) {
                    Some((number, ours)) if number == page => break ours[..] == bytes[..],
                    Some((missing, _)) => different.push(missing),
                    None => break *bytes == [0; PAGE],
                }
            };
            if !same {
                different.push(page);
            }
        })?;
        while let Some((missing, _)) = next(u64::MAX) {
            different.push(missing);
        }
        Ok(different)
    }

    /// The pages that a delta changes, as they are after it.
    fn changed(&self, delta: &Delta) -> Pages {
        let after = delta.pages().map(|(page, xor)| {
            let mut bytes = *xor;
            if let Some(before) = self.pages.get(&page) {
                let both = bytes.iter_mut().zip(before.iter());
                both.for_each(|(byte, before)| *byte ^= before);
            }
            (page, Box::new(bytes))
        });
        after.collect()
    }
}

#[cfg(test)]
mod tests;
