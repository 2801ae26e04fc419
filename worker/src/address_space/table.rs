use super::layout::{ARENA_START, PAGE, REGION_END};

/// One mapped range with one protection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// `PROT_*` bits.
    pub protection: usize,
}

/// Why the table refuses a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not page-aligned, empty, or outside of the arena.
    Range,
    /// No gap is large enough.
    Space,
    /// The table is full.
    Entries,
    /// Something in the range is not mapped.
    Hole,
}

/// The mappings of the arena: sorted, disjoint, equal neighbours merged.
///
/// It works on a slice that somebody else owns, so that the worker can keep it at a fixed address
/// and its tests on their heap. An operation either happens whole or not at all.
pub struct Table<'a> {
    entries: &'a mut [Entry],
    length: &'a mut usize,
}

impl<'a> Table<'a> {
    /// A view of `entries`, of which the first `length` are in use.
    pub fn new(entries: &'a mut [Entry], length: &'a mut usize) -> Self {
        assert!(
            *length <= entries.len(),
            "{} entries in a table of {}",
            *length,
            entries.len()
        );
        Self { entries, length }
    }

    /// The entries in use.
    pub fn entries(&self) -> &[Entry] {
        &self.entries[..*self.length]
    }

    /// The lowest free address with `bytes` free bytes behind it.
    pub fn find(&self, bytes: usize) -> Result<usize, Refused> {
        if bytes == 0 || !bytes.is_multiple_of(PAGE) {
            return Err(Refused::Range);
        }
        let mut candidate = ARENA_START;
        for entry in self.entries() {
            if entry.start - candidate >= bytes {
                return Ok(candidate);
            }
            candidate = entry.end;
        }
        if REGION_END - candidate >= bytes {
            Ok(candidate)
        } else {
            Err(Refused::Space)
        }
    }

    /// Records a new mapping over whatever was there.
    pub fn map(&mut self, start: usize, end: usize, protection: usize) -> Result<(), Refused> {
        self.replace(start, end, Some(protection))
    }

    /// Records that the range is mapped no more; ranges that never were are passed over.
    pub fn unmap(&mut self, start: usize, end: usize) -> Result<(), Refused> {
        self.replace(start, end, None)
    }

    /// Records a new protection for a range that must be mapped throughout.
    pub fn protect(&mut self, start: usize, end: usize, protection: usize) -> Result<(), Refused> {
        Self::check(start, end)?;
        if !self.is_mapped(start, end) {
            return Err(Refused::Hole);
        }
        self.replace(start, end, Some(protection))
    }

    /// Whether the whole range is free.
    pub fn is_free(&self, start: usize, end: usize) -> bool {
        let index = self.first_ending_after(start);
        self.entries()
            .get(index)
            .is_none_or(|entry| entry.start >= end)
    }

    fn is_mapped(&self, start: usize, end: usize) -> bool {
        let mut at = start;
        for entry in &self.entries()[self.first_ending_after(start)..] {
            if entry.start > at {
                return false;
            }
            at = entry.end;
            if at >= end {
                return true;
            }
        }
        false
    }

    fn check(start: usize, end: usize) -> Result<(), Refused> {
        let aligned = start.is_multiple_of(PAGE) && end.is_multiple_of(PAGE);
        if aligned && start < end && start >= ARENA_START && end <= REGION_END {
            Ok(())
        } else {
            Err(Refused::Range)
        }
    }

    fn first_ending_after(&self, address: usize) -> usize {
        self.entries().partition_point(|entry| entry.end <= address)
    }

    /// Cuts the range out of the entries it touches and, with a protection, puts one in its place.
    fn replace(
        &mut self,
        start: usize,
        end: usize,
        protection: Option<usize>,
    ) -> Result<(), Refused> {
        Self::check(start, end)?;
        let mut first = self.first_ending_after(start);
        let mut past = first;
        while past < *self.length && self.entries[past].start < end {
            past += 1;
        }
        // At most: what is left of the first entry, the new one, what is left of the last.
        let mut fresh = [Entry {
            start: 0,
            end: 0,
            protection: 0,
        }; 3];
        let mut count = 0;
        let mut push = |entry: Entry| {
            if count > 0 {
                let last: &mut Entry = &mut fresh[count - 1];
                if last.end == entry.start && last.protection == entry.protection {
                    last.end = entry.end;
                    return;
                }
            }
            fresh[count] = entry;
            count += 1;
        };
        if past > first {
            let head = self.entries[first];
            if head.start < start {
                push(Entry { end: start, ..head });
            }
        }
        if let Some(protection) = protection {
            push(Entry {
                start,
                end,
                protection,
            });
        }
        if past > first {
            let tail = self.entries[past - 1];
            if tail.end > end {
                push(Entry { start: end, ..tail });
            }
        }
        if count > 0 {
            // Untouched neighbours that now meet an equal protection are taken in.
            if first > 0 {
                let before = self.entries[first - 1];
                if before.end == fresh[0].start && before.protection == fresh[0].protection {
                    fresh[0].start = before.start;
                    first -= 1;
                }
            }
            if past < *self.length {
                let after = self.entries[past];
                let last = &mut fresh[count - 1];
                if last.end == after.start && last.protection == after.protection {
                    last.end = after.end;
                    past += 1;
                }
            }
        }
        let length = *self.length - (past - first) + count;
        if length > self.entries.len() {
            return Err(Refused::Entries);
        }
        self.entries.copy_within(past..*self.length, first + count);
        self.entries[first..first + count].copy_from_slice(&fresh[..count]);
        *self.length = length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Entry = Entry {
        start: 0,
        end: 0,
        protection: 0,
    };
    const A: usize = ARENA_START;

    fn page(number: usize) -> usize {
        A + number * PAGE
    }

    struct Owner {
        entries: Vec<Entry>,
        length: usize,
    }

    impl Owner {
        fn new(entries_max: usize) -> Self {
            Self {
                entries: vec![NONE; entries_max],
                length: 0,
            }
        }
        fn table(&mut self) -> Table<'_> {
            Table::new(&mut self.entries, &mut self.length)
        }
    }

    #[test]
    fn equal_neighbours_merge_and_different_ones_do_not() {
        let mut owner = Owner::new(8);
        let mut table = owner.table();
        table.map(page(0), page(1), 3).expect("fits");
        table.map(page(1), page(2), 3).expect("fits");
        assert_eq!(
            table.entries(),
            [Entry {
                start: page(0),
                end: page(2),
                protection: 3
            }]
        );
        table.map(page(2), page(3), 1).expect("fits");
        assert_eq!(table.entries().len(), 2);
        table.protect(page(2), page(3), 3).expect("mapped");
        assert_eq!(
            table.entries(),
            [Entry {
                start: page(0),
                end: page(3),
                protection: 3
            }]
        );
    }

    #[test]
    fn freed_addresses_are_handed_out_again_lowest_first() {
        let mut owner = Owner::new(8);
        let mut table = owner.table();
        for number in 0..4 {
            let start = table.find(PAGE).expect("space");
            assert_eq!(start, page(number));
            table.map(start, start + PAGE, 3).expect("fits");
        }
        table.unmap(page(1), page(3)).expect("fits");
        assert_eq!(table.find(PAGE), Ok(page(1)));
        assert_eq!(table.find(2 * PAGE), Ok(page(1)));
        assert_eq!(table.find(3 * PAGE), Ok(page(4)));
    }

    #[test]
    fn the_end_of_the_region_and_of_the_table_are_refusals_that_change_nothing() {
        let mut owner = Owner::new(2);
        let mut table = owner.table();
        assert_eq!(table.find(REGION_END - A + PAGE), Err(Refused::Space));
        assert_eq!(
            table.map(REGION_END - PAGE, REGION_END + PAGE, 3),
            Err(Refused::Range)
        );
        assert_eq!(table.map(A - PAGE, A, 3), Err(Refused::Range));
        assert_eq!(table.map(A + 1, A + PAGE, 3), Err(Refused::Range));
        table.map(page(0), page(3), 3).expect("fits");
        // A hole in the middle would make two entries of one; a third does not fit.
        table.map(page(4), page(5), 3).expect("fits");
        assert_eq!(table.unmap(page(1), page(2)), Err(Refused::Entries));
        assert_eq!(
            table.entries()[0],
            Entry {
                start: page(0),
                end: page(3),
                protection: 3
            }
        );
    }

    #[test]
    fn protecting_a_hole_is_refused() {
        let mut owner = Owner::new(8);
        let mut table = owner.table();
        table.map(page(0), page(1), 3).expect("fits");
        table.map(page(2), page(3), 3).expect("fits");
        assert_eq!(table.protect(page(0), page(3), 1), Err(Refused::Hole));
        assert_eq!(table.protect(page(3), page(4), 1), Err(Refused::Hole));
    }

    /// Ten thousand random operations against the simplest model: one protection for each page.
    #[test]
    fn agrees_with_a_model_of_single_pages() {
        const PAGES: usize = 64;
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        println!("seed {seed:#x}");
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut owner = Owner::new(PAGES);
        let mut model = [None::<usize>; PAGES];
        for _ in 0..10_000 {
            let first = random(PAGES);
            let past = first + 1 + random(PAGES - first);
            let protection = random(3);
            let mut table = owner.table();
            match random(3) {
                0 => {
                    table
                        .map(page(first), page(past), protection)
                        .expect("fits");
                    model[first..past].fill(Some(protection));
                }
                1 => {
                    table.unmap(page(first), page(past)).expect("fits");
                    model[first..past].fill(None);
                }
                _ => {
                    let mapped = model[first..past].iter().all(Option::is_some);
                    let changed = table.protect(page(first), page(past), protection);
                    assert_eq!(changed.is_ok(), mapped);
                    if mapped {
                        model[first..past].fill(Some(protection));
                    }
                }
            }
            let mut expected: Vec<Entry> = Vec::new();
            for (number, protection) in model.iter().enumerate() {
                let Some(protection) = *protection else {
                    continue;
                };
                match expected.last_mut() {
                    Some(last) if last.end == page(number) && last.protection == protection => {
                        last.end = page(number + 1);
                    }
                    _ => expected.push(Entry {
                        start: page(number),
                        end: page(number + 1),
                        protection,
                    }),
                }
            }
            assert_eq!(owner.table().entries(), expected);
            let free = model.iter().position(Option::is_none).unwrap_or(PAGES);
            assert_eq!(owner.table().find(PAGE), Ok(page(free)));
        }
    }
}
