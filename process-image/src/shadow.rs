use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use crate::delta::Delta;
use crate::image::ImageHeader;
use crate::layout::PAGE;
use crate::mapping_table::MappingTable;
use crate::process::{ProcessMemory, ScanError};

/// A whole state in memory, kept by an image and the deltas after it, to be held against the process
/// that it is said to be. It costs as much as the state, so it is for tests and debug builds.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
}

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
            pages.insert(page, Arc::new(bytes));
        }
        Ok(Self { pages })
    }

    /// Goes on to the state that `delta` leads to.
    pub fn apply(&mut self, delta: &Delta) {
        for page in delta.dropped.pages() {
            self.pages.remove(&page);
        }
        for (page, xor) in delta.pages() {
            let bytes = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(bytes)
                .iter_mut()
                .zip(xor)
                .for_each(|(byte, xor)| *byte ^= xor);
        }
    }

    /// The pages in which a process that waits is another state. All of its memory is read, whoever
    /// else has it.
    ///
    /// # Errors
    /// When it can't be read, or past the deadline.
    pub fn differences(
        &self,
        memory: &ProcessMemory,
        table: &MappingTable,
        deadline: Instant,
    ) -> Result<Vec<u64>, ScanError> {
        let present = memory.scan(table, u64::MAX, deadline)?.present;
        let mut ours = self.pages.iter().peekable();
        let mut different = Vec::new();
        memory.read(&present, deadline, |page, bytes| {
            while let Some((missing, _)) = ours.next_if(|(number, _)| **number < page) {
                different.push(*missing);
            }
            let same = match ours.next_if(|(number, _)| **number == page) {
                Some((_, ours)) => ours[..] == bytes[..],
                None => *bytes == [0; PAGE],
            };
            if !same {
                different.push(page);
            }
        })?;
        different.extend(ours.map(|(page, _)| *page));
        Ok(different)
    }
}
