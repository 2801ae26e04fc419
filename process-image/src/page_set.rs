use std::ops::Range;

use crate::codec::{Malformed, Reader, put_number};

/// The number after the last page of an address space of 48 bits.
const PAGE_NUMBERS_END: u64 = 1 << 36;

/// A set of pages, by their numbers (address / 4096).
///
/// Kept as ranges: sorted, not empty, with a gap between any two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSet(Vec<Range<u64>>);

/// Why bytes are no set of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageSetError {
    /// They can't be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An empty range, or two without a gap.
    #[error("range {index} is empty or touches the one before it")]
    NotCanonical {
        /// Which one, from 0.
        index: u64,
    },
    /// Past the end of the address space.
    #[error("range {index} leaves the address space")]
    Outside {
        /// Which one, from 0.
        index: u64,
    },
    /// More pages than allowed.
    #[error("more than {pages_max} pages")]
    TooMany {
        /// The limit.
        pages_max: u64,
    },
}

impl PageSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a page that lies behind all that are in the set.
    ///
    /// # Panics
    /// When it does not: the callers go through memory upwards.
    pub fn push(&mut self, page: u64) {
        match self.0.last_mut() {
            Some(last) if last.end == page => last.end += 1,
            last => {
                assert!(
                    last.is_none_or(|last| last.end < page),
                    "pages out of order"
                );
                self.0.push(page..page + 1);
            }
        }
    }

    /// Its ranges, ascending.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Its pages, ascending.
    pub fn pages(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().cloned().flatten()
    }

    /// How many pages there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a page is in it.
    pub fn contains(&self, page: u64) -> bool {
        self.rank(page).is_some()
    }

    /// Whether any page of a range is in it.
    pub fn meets(&self, pages: &Range<u64>) -> bool {
        let index = self.0.partition_point(|range| range.end <= pages.start);
        self.0
            .get(index)
            .is_some_and(|range| range.start < pages.end)
    }

    /// How many pages of the set lie below `page`, when `page` is in the set. It goes through the
    /// ranges; see [`crate::ImageHeader`] for a look-up.
    pub fn rank(&self, page: u64) -> Option<u64> {
        let index = self.0.partition_point(|range| range.end <= page);
        let range = self.0.get(index).filter(|range| range.start <= page)?;
        let below: u64 = self.0[..index].iter().map(|it| it.end - it.start).sum();
        Some(below + (page - range.start))
    }

    /// The pages that are in either.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |ours, theirs| ours || theirs)
    }

    /// The pages that are in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |ours, theirs| ours && theirs)
    }

    /// The pages that are in this and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |ours, theirs| ours && !theirs)
    }

    /// Goes through the ends of both sets' ranges: between two ends nothing changes.
    fn combine(&self, other: &Self, wanted: impl Fn(bool, bool) -> bool) -> Self {
        let mut ends: Vec<u64> = [self, other]
            .into_iter()
            .flat_map(|set| &set.0)
            .flat_map(|range| [range.start, range.end])
            .collect();
        ends.sort_unstable();
        ends.dedup();
        let mut result: Vec<Range<u64>> = Vec::new();
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        for pair in ends.windows(2) {
            let inside = |set: &mut std::iter::Peekable<std::slice::Iter<'_, Range<u64>>>| {
                while set.next_if(|range| range.end <= pair[0]).is_some() {}
                set.peek().is_some_and(|range| range.start <= pair[0])
            };
            if !wanted(inside(&mut ours), inside(&mut theirs)) {
                continue;
            }
            match result.last_mut() {
                Some(last) if last.end == pair[0] => last.end = pair[1],
                _ => result.push(pair[0]..pair[1]),
            }
        }
        Self(result)
    }

    /// Appends it: the number of ranges, then for each the gap before it and its length.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        put_number(bytes, self.0.len() as u64);
        let mut end = 0;
        for range in &self.0 {
            put_number(bytes, range.start - end);
            put_number(bytes, range.end - range.start);
            end = range.end;
        }
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>, pages_max: u64) -> Result<Self, PageSetError> {
        let count = reader.number()?;
        // Each range takes two bytes at least.
        let room = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(reader.left() / 2);
        let mut ranges: Vec<Range<u64>> = Vec::with_capacity(room);
        let (mut end, mut pages) = (0_u64, 0_u64);
        for index in 0..count {
            let (gap, length) = (reader.number()?, reader.number()?);
            if length == 0 || (gap == 0 && index > 0) {
                return Err(PageSetError::NotCanonical { index });
            }
            let start = end.checked_add(gap);
            let range = start.and_then(|start| Some(start..start.checked_add(length)?));
            let range = range
                .filter(|range| range.end <= PAGE_NUMBERS_END)
                .ok_or(PageSetError::Outside { index })?;
            // No overflow: both are below the end of the address space.
            pages += length;
            if pages > pages_max {
                return Err(PageSetError::TooMany { pages_max });
            }
            end = range.end;
            ranges.push(range);
        }
        Ok(Self(ranges))
    }
}

impl FromIterator<u64> for PageSet {
    /// # Panics
    /// When the pages do not ascend.
    fn from_iter<I: IntoIterator<Item = u64>>(pages: I) -> Self {
        let mut set = Self::new();
        pages.into_iter().for_each(|page| set.push(page));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Reader;
    use std::collections::BTreeSet;

    fn set(pages: &[u64]) -> PageSet {
        pages.iter().copied().collect()
    }

    fn encoded(set: &PageSet) -> Vec<u8> {
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        bytes
    }

    fn decoded(bytes: &[u8]) -> Result<PageSet, PageSetError> {
        PageSet::decode(&mut Reader::new(bytes), 1000)
    }

    /// A thousand pairs of random sets against the standard library's.
    #[test]
    fn agrees_with_a_model() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        println!("seed {seed:#x}");
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..1000 {
            let [(one, left), (other, right)] = std::array::from_fn(|_| {
                let dense = random() % 8 + 1;
                let model: BTreeSet<u64> = (0..64).filter(|_| random() % 8 < dense).collect();
                (model.iter().copied().collect::<PageSet>(), model)
            });
            let same = |set: PageSet, model: BTreeSet<u64>| {
                assert!(set.pages().eq(model.iter().copied()));
                assert_eq!(set, model.iter().copied().collect(), "one form");
                assert_eq!(set.count(), model.len() as u64);
                assert_eq!(decoded(&encoded(&set)), Ok(set));
            };
            same(one.union(&other), &left | &right);
            same(one.intersection(&other), &left & &right);
            same(one.difference(&other), &left - &right);
            for page in 0..64 {
                let below = left.range(..page).count() as u64;
                assert_eq!(one.rank(page), left.contains(&page).then_some(below));
            }
        }
    }

    #[test]
    fn only_the_one_form_is_read() {
        let good = encoded(&set(&[1, 2, 9]));
        assert_eq!(good, [2, 1, 2, 6, 1]);
        assert_eq!(
            decoded(&[2, 1, 2, 0, 1]),
            Err(PageSetError::NotCanonical { index: 1 })
        );
        assert_eq!(
            decoded(&[1, 1, 0]),
            Err(PageSetError::NotCanonical { index: 0 })
        );
        assert_eq!(decoded(&good[..4]), Err(Malformed::Truncated.into()));
        let mut far = vec![1];
        put_number(&mut far, u64::MAX);
        put_number(&mut far, 2);
        assert_eq!(decoded(&far), Err(PageSetError::Outside { index: 0 }));
        let mut many = vec![1, 0];
        put_number(&mut many, 1001);
        assert_eq!(
            decoded(&many),
            Err(PageSetError::TooMany { pages_max: 1000 })
        );
    }
}
