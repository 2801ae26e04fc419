//! What an image holds and how two of them differ, for people.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use worker_protocol::layout::{REGION_START, STACK_START, TABLE_START};

use crate::image::ImageHeader;
use crate::layout::PAGE;
use crate::mapping_table::{Mapping, Protection};

/// What a mapping is for, as far as its place and protection tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MappingKind {
    /// The program's own variables.
    Variables,
    /// The stack of V8's thread.
    Stack,
    /// The worker's book of mappings.
    Table,
    /// Machine code.
    Code,
    /// Addresses that are only reserved.
    Reserved,
    /// What may only be read.
    ReadOnly,
    /// Everything else: V8's heap, ArrayBuffers, what `malloc` gave.
    Data,
}

impl MappingKind {
    /// The kind of a mapping.
    pub fn of(mapping: &Mapping) -> Self {
        match mapping.start {
            start if start < REGION_START as u64 => Self::Variables,
            start if start == STACK_START as u64 => Self::Stack,
            start if start == TABLE_START as u64 => Self::Table,
            _ if mapping.protection.bits() & 4 != 0 => Self::Code,
            _ if mapping.protection == Protection::NONE => Self::Reserved,
            _ if mapping.protection == Protection::READ => Self::ReadOnly,
            _ => Self::Data,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::Stack => "stack",
            Self::Table => "table",
            Self::Code => "code",
            Self::Reserved => "reserved",
            Self::ReadOnly => "read-only",
            Self::Data => "data",
        }
    }
}

impl fmt::Display for MappingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The mapping in which a page lies.
pub fn mapping_of(image: &ImageHeader, page: u64) -> Option<&Mapping> {
    let address = page * PAGE as u64;
    let mappings = image.table().mappings();
    let index = mappings.partition_point(|mapping| mapping.end <= address);
    mappings
        .get(index)
        .filter(|mapping| mapping.start <= address)
}

/// How two images differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Pages that only the first one has.
    pub only_first: u64,
    /// Pages that only the second one has.
    pub only_second: u64,
    /// Pages that both have with other contents, and in how many bytes they differ.
    pub changed: Vec<(u64, u32)>,
}

/// Compares two images page by page.
///
/// # Errors
/// When a file can't be read.
pub fn differences(
    first: (&ImageHeader, &File),
    second: (&ImageHeader, &File),
) -> io::Result<Differences> {
    let (ours, theirs) = (first.0.present(), second.0.present());
    let mut differences = Differences {
        only_first: ours.difference(theirs).count(),
        only_second: theirs.difference(ours).count(),
        changed: Vec::new(),
    };
    let (mut one, mut other) = ([0; PAGE], [0; PAGE]);
    for page in ours.intersection(theirs).pages() {
        for ((header, file), bytes) in [(first, &mut one), (second, &mut other)] {
            let offset = header.offset_of(page).expect("both have the page");
            file.read_exact_at(bytes, offset)?;
        }
        let bytes = one.iter().zip(&other).filter(|(a, b)| a != b).count();
        if bytes > 0 {
            differences.changed.push((page, bytes as u32));
        }
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::testing::{Random, Whole};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("room");
        file
    }

    #[test]
    fn differences_are_counted_page_by_page() {
        let mut random = Random(0x5eed_0002);
        let first = Whole::random(&mut random, 1);
        let mut second = first.clone();
        let pages: Vec<u64> = first.pages.keys().copied().collect();
        second.pages.remove(&pages[0]);
        let changed = second.pages.get_mut(&pages[3]).expect("there");
        changed[..5].iter_mut().for_each(|byte| *byte ^= 0xff);
        let ((one, one_file), (other, other_file)) = (first.image(), second.image());
        let found = differences((&one, &file(&one_file)), (&other, &file(&other_file)));
        let expected = Differences {
            only_first: 1,
            only_second: 0,
            changed: vec![(pages[3], 5)],
        };
        assert_eq!(found.expect("readable"), expected);
        let page = mapping_of(&one, pages[0]).expect("mapped");
        assert!(page.start <= pages[0] * PAGE as u64 && pages[0] * (PAGE as u64) < page.end);
        assert_eq!(mapping_of(&one, 1), None);
    }
}
