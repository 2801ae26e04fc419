//! What a process must do to become the process that an image was made of.

use std::ops::Range;

use worker_protocol::{Step, StepKind};

use crate::image::ImageHeader;
use crate::layout::{PAGE, REGION_END, REGION_START};
use crate::mapping_table::{Mapping, MappingTable, Protection};
use crate::page_set::PageSet;

const PAGE_BYTES: u64 = PAGE as u64;

/// What is there before an image is entered.
#[derive(Clone, Copy, Debug)]
pub enum Ground<'a> {
    /// A program that was just started: nothing in it is of use.
    Program,
    /// A process that has some of the image's memory already.
    Process {
        /// Its mappings.
        table: &'a MappingTable,
        /// Its pages that are not zeros.
        present: &'a PageSet,
        /// Those that are the image's too, byte for byte.
        same: &'a PageSet,
    },
}

/// The steps that make the memory of an image of what is there, the last of them [`StepKind::Resume`].
pub fn plan(image: &ImageHeader, ground: Ground<'_>) -> Vec<Step> {
    let mut plan = Plan::default();
    let empty = PageSet::new();
    let (before, dropped, same) = match ground {
        Ground::Program => {
            plan.step(StepKind::Unmap, REGION_START..REGION_END, 0);
            (&[][..], empty.clone(), &empty)
        }
        Ground::Process {
            table,
            present,
            same,
        } => (table.mappings(), present.difference(image.present()), same),
    };
    let read = image.present().difference(same);
    plan.mappings(before, image.table().mappings(), &read);
    // Fresh mappings have no pages to drop, which does no harm.
    for range in mapped(&dropped, image.table()).ranges() {
        plan.step(StepKind::Drop, bytes(range), 0);
    }
    for range in read.ranges() {
        let offset = image.offset_of(range.start).expect("a page of the image");
        plan.step(StepKind::Read, bytes(range), offset);
    }
    plan.steps.append(&mut plan.protect);
    plan.step(StepKind::Resume, 0..0, 0);
    plan.steps
}

fn bytes(pages: &Range<u64>) -> Range<u64> {
    pages.start * PAGE_BYTES..pages.end * PAGE_BYTES
}

/// The pages of a set that lie in mappings.
fn mapped(pages: &PageSet, table: &MappingTable) -> PageSet {
    let mut mapped = PageSet::new();
    let mut ranges = table.pages().into_iter().peekable();
    for page in pages.pages() {
        while ranges.next_if(|range| range.end <= page).is_some() {}
        if ranges.peek().is_some_and(|range| range.start <= page) {
            mapped.push(page);
        }
    }
    mapped
}

#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    /// What is protected only after its pages were read.
    protect: Vec<Step>,
}

impl Plan {
    fn step(&mut self, kind: StepKind, range: Range<u64>, value: u64) {
        self.steps.push(Step {
            kind,
            start: range.start,
            bytes: range.end - range.start,
            value,
        });
    }

    /// From the mappings `before` to those `after`, with the pages to be read writable for now.
    fn mappings(&mut self, before: &[Mapping], after: &[Mapping], read: &PageSet) {
        let mut cuts: Vec<u64> = before
            .iter()
            .chain(after)
            .flat_map(|mapping| [mapping.start, mapping.end])
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        for ends in cuts.windows(2) {
            let range = ends[0]..ends[1];
            let was = protection_at(before, range.start);
            let Some(protection) = protection_at(after, range.start) else {
                if was.is_some() {
                    self.step(StepKind::Unmap, range, 0);
                }
                continue;
            };
            let is_read = read.meets(&(range.start / PAGE_BYTES..range.end / PAGE_BYTES));
            let for_now = match is_read && protection != Protection::READ_WRITE {
                true => Protection::READ_WRITE,
                false => protection,
            };
            if was.is_none() {
                self.step(StepKind::Map, range.clone(), for_now.bits());
            } else if was != Some(for_now) {
                self.step(StepKind::Protect, range.clone(), for_now.bits());
            }
            if for_now != protection {
                self.protect.push(Step {
                    kind: StepKind::Protect,
                    start: range.start,
                    bytes: range.end - range.start,
                    value: protection.bits(),
                });
            }
        }
    }
}

fn protection_at(mappings: &[Mapping], address: u64) -> Option<Protection> {
    let index = mappings.partition_point(|mapping| mapping.end <= address);
    let mapping = mappings.get(index)?;
    (mapping.start <= address).then_some(mapping.protection)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{Random, Whole};

    /// The simplest worker: what each page is protected with, and what is in it.
    #[derive(Default)]
    struct Memory {
        mapped: BTreeMap<u64, u64>,
        pages: BTreeMap<u64, Vec<u8>>,
    }

    impl Memory {
        fn of(state: &Whole) -> Self {
            let mut memory = Self::default();
            for mapping in state.table.mappings() {
                for page in mapping.start / PAGE_BYTES..mapping.end / PAGE_BYTES {
                    memory.mapped.insert(page, mapping.protection.bits());
                }
            }
            memory.pages = state.pages.clone();
            memory
        }

        fn follow(&mut self, steps: &[Step], file: &[u8]) {
            let (last, steps) = steps.split_last().expect("the last step");
            assert_eq!(last.kind, StepKind::Resume);
            for step in steps {
                let pages = step.start / PAGE_BYTES..(step.start + step.bytes) / PAGE_BYTES;
                let inside = |page: u64| pages.contains(&page);
                match step.kind {
                    StepKind::Unmap => {
                        self.mapped.retain(|page, _| !inside(*page));
                        self.pages.retain(|page, _| !inside(*page));
                    }
                    StepKind::Map => {
                        self.pages.retain(|page, _| !inside(*page));
                        let fresh = pages.map(|page| (page, step.value));
                        self.mapped.extend(fresh);
                    }
                    StepKind::Drop => {
                        assert!(pages.clone().all(|page| self.mapped.contains_key(&page)));
                        self.pages.retain(|page, _| !inside(*page));
                    }
                    StepKind::Read => {
                        for (index, page) in pages.enumerate() {
                            assert_eq!(self.mapped.get(&page), Some(&3), "{page:#x} is writable");
                            let at = step.value as usize + index * PAGE;
                            self.pages.insert(page, file[at..at + PAGE].to_vec());
                        }
                    }
                    StepKind::Protect => {
                        for page in pages {
                            let protection = self.mapped.get_mut(&page).expect("mapped");
                            *protection = step.value;
                        }
                    }
                    StepKind::Resume => panic!("in the middle"),
                }
            }
        }
    }

    #[test]
    fn any_process_becomes_any_image() {
        let seed = 0x5eed_0001;
        println!("seed {seed:#x}");
        let mut random = Random(seed);
        for _ in 0..200 {
            let (from, to) = (Whole::random(&mut random, 1), Whole::random(&mut random, 2));
            let (header, file) = to.image();
            let wanted = Memory::of(&to);

            let mut memory = Memory::default();
            memory.follow(&plan(&header, Ground::Program), &file);
            assert_eq!(memory.mapped, wanted.mapped);
            assert_eq!(memory.pages, wanted.pages);

            let mut memory = Memory::of(&from);
            let present: PageSet = from.pages.keys().copied().collect();
            // What is the same may count as the same only where it stays mapped.
            let same = from
                .pages
                .iter()
                .filter(|(page, bytes)| to.pages.get(page) == Some(bytes) && random.below(2) == 0);
            let same: PageSet = same.map(|(page, _)| *page).collect();
            let ground = Ground::Process {
                table: &from.table,
                present: &present,
                same: &same,
            };
            memory.follow(&plan(&header, ground), &file);
            assert_eq!(memory.mapped, wanted.mapped);
            assert_eq!(memory.pages, wanted.pages);
        }
    }
}
