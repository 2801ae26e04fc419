use std::ops::Range;

use crate::codec::{Malformed, Reader, put_number};
use crate::layout::{PAGE, REGION_END, REGION_START};
use crate::page_set::PageSet;

const PAGE_BYTES: u64 = PAGE as u64;

/// What may be done with a mapping: any of read, write, execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection(u8);

impl Protection {
    /// Nothing: the addresses are only reserved.
    pub const NONE: Self = Self(0);
    /// Reading.
    pub const READ: Self = Self(1);
    /// Reading and writing.
    pub const READ_WRITE: Self = Self(3);

    /// From the kernel's `PROT_*` bits; nothing for bits that are none of the three.
    pub fn from_bits(bits: u64) -> Option<Self> {
        u8::try_from(bits).ok().filter(|bits| *bits < 8).map(Self)
    }

    /// As the kernel's `PROT_*` bits.
    pub fn bits(self) -> u64 {
        u64::from(self.0)
    }

    /// Whether it can be written and executed.
    pub fn is_write_and_execute(self) -> bool {
        self.0 & 6 == 6
    }
}

/// One mapping: private, anonymous memory with one protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
    /// What may be done with it.
    pub protection: Protection,
}

/// Where an engine's mappings may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The program's own writable segments, beside the region.
    pub segments: Vec<Range<u64>>,
    /// The only place for memory that can be written and executed.
    pub code: Range<u64>,
    /// The most mappings.
    pub mappings_max: usize,
}

/// Why a table of mappings is refused. `index` counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The bytes can't be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// More than [`Bounds::mappings_max`].
    #[error("{count} mappings, more than {mappings_max}")]
    TooMany {
        /// How many.
        count: u64,
        /// The limit.
        mappings_max: usize,
    },
    /// Not whole pages, or none.
    #[error("mapping {index}: {start:#x}–{end:#x} is not made of whole pages")]
    Unaligned {
        /// Which one.
        index: usize,
        /// Its first byte.
        start: u64,
        /// The byte after its last.
        end: u64,
    },
    /// It begins before the one before it ends.
    #[error("mapping {index}: {start:#x} lies below the end of the one before it")]
    Order {
        /// Which one.
        index: usize,
        /// Its first byte.
        start: u64,
    },
    /// Not wholly inside the region or one of the program's segments.
    #[error("mapping {index}: {start:#x}–{end:#x} lies outside of what a worker owns")]
    Outside {
        /// Which one.
        index: usize,
        /// Its first byte.
        start: u64,
        /// The byte after its last.
        end: u64,
    },
    /// Memory that can be written and executed, outside of [`Bounds::code`].
    #[error("mapping {index}: {start:#x} can be written and executed")]
    WriteAndExecute {
        /// Which one.
        index: usize,
        /// Its first byte.
        start: u64,
    },
    /// A protection that does not exist.
    #[error("mapping {index}: there is no protection {bits}")]
    Protection {
        /// Which one.
        index: usize,
        /// The bits.
        bits: u64,
    },
}

/// Mappings that were checked: sorted, disjoint, inside their [`Bounds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingTable(Vec<Mapping>);

impl MappingTable {
    /// Checks mappings, whoever they come from.
    ///
    /// # Errors
    /// The first rule that one of them breaks.
    pub fn check(mappings: Vec<Mapping>, bounds: &Bounds) -> Result<Self, MappingError> {
        if mappings.len() > bounds.mappings_max {
            return Err(MappingError::TooMany {
                count: mappings.len() as u64,
                mappings_max: bounds.mappings_max,
            });
        }
        let mut last_end = 0;
        for (index, mapping) in mappings.iter().enumerate() {
            let Mapping {
                start,
                end,
                protection,
            } = *mapping;
            let whole = start.is_multiple_of(PAGE_BYTES) && end.is_multiple_of(PAGE_BYTES);
            if !whole || start >= end {
                return Err(MappingError::Unaligned { index, start, end });
            }
            if start < last_end {
                return Err(MappingError::Order { index, start });
            }
            last_end = end;
            let is_inside = |range: &Range<u64>| range.start <= start && end <= range.end;
            let region = REGION_START..REGION_END;
            if !is_inside(&region) && !bounds.segments.iter().any(is_inside) {
                return Err(MappingError::Outside { index, start, end });
            }
            if protection.is_write_and_execute() && !is_inside(&bounds.code) {
                return Err(MappingError::WriteAndExecute { index, start });
            }
        }
        Ok(Self(mappings))
    }

    /// The mappings, ascending.
    pub fn mappings(&self) -> &[Mapping] {
        &self.0
    }

    /// The pages that are mapped.
    pub fn pages(&self) -> Vec<Range<u64>> {
        let mut pages: Vec<Range<u64>> = Vec::with_capacity(self.0.len());
        for mapping in &self.0 {
            let (start, end) = (mapping.start / PAGE_BYTES, mapping.end / PAGE_BYTES);
            match pages.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => pages.push(start..end),
            }
        }
        pages
    }

    /// The first page of a set that is not mapped.
    pub fn first_unmapped(&self, pages: &PageSet) -> Option<u64> {
        let mapped = self.pages();
        pages.ranges().iter().find_map(|range| {
            let index = mapped.partition_point(|it| it.end <= range.start);
            match mapped.get(index) {
                Some(it) if it.start <= range.start && range.end <= it.end => None,
                Some(it) if it.start <= range.start => Some(it.end),
                _ => Some(range.start),
            }
        })
    }
}

/// Appends mappings that are sorted and disjoint: their number, then for each the gap before it and
/// its length in pages, and its protection.
pub(crate) fn encode_mappings(mappings: &[Mapping], bytes: &mut Vec<u8>) {
    put_number(bytes, mappings.len() as u64);
    let mut end = 0;
    for mapping in mappings {
        put_number(bytes, (mapping.start - end) / PAGE_BYTES);
        put_number(bytes, (mapping.end - mapping.start) / PAGE_BYTES);
        put_number(bytes, mapping.protection.bits());
        end = mapping.end;
    }
}

/// Reads what [`encode_mappings`] wrote. They still have to be checked against an engine's bounds.
pub(crate) fn decode_mappings(
    reader: &mut Reader<'_>,
    mappings_max: usize,
) -> Result<Vec<Mapping>, MappingError> {
    let count = reader.number()?;
    if count > mappings_max as u64 {
        return Err(MappingError::TooMany {
            count,
            mappings_max,
        });
    }
    // Each takes three bytes at least.
    let mut mappings = Vec::with_capacity((count as usize).min(reader.left() / 3));
    let mut last_end = 0_u64;
    for index in 0..count as usize {
        let (gap, length, bits) = (reader.number()?, reader.number()?, reader.number()?);
        // What overflows is outside in any case.
        let start = last_end.saturating_add(gap.saturating_mul(PAGE_BYTES));
        let end = start.saturating_add(length.saturating_mul(PAGE_BYTES));
        if end > REGION_END {
            return Err(MappingError::Outside { index, start, end });
        }
        let protection =
            Protection::from_bits(bits).ok_or(MappingError::Protection { index, bits })?;
        mappings.push(Mapping {
            start,
            end,
            protection,
        });
        last_end = end;
    }
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        Bounds {
            segments: std::iter::once(0x40_0000..0x50_0000).collect(),
            code: REGION_START + 0x10_0000..REGION_START + 0x20_0000,
            mappings_max: 4,
        }
    }

    fn mapping(start: u64, pages: u64, bits: u64) -> Mapping {
        Mapping {
            start,
            end: start.wrapping_add(pages * PAGE_BYTES),
            protection: Protection::from_bits(bits).expect("a protection"),
        }
    }

    fn check(mappings: &[Mapping]) -> Result<MappingTable, MappingError> {
        MappingTable::check(mappings.to_vec(), &bounds())
    }

    #[test]
    fn a_worker_owns_its_region_and_its_segments() {
        let good = [
            mapping(0x40_0000, 0x100, 3),
            mapping(REGION_START, 1, 1),
            mapping(REGION_START + 0x10_0000, 0x100, 7),
            mapping(REGION_END - PAGE_BYTES, 1, 0),
        ];
        let table = check(&good).expect("good");
        assert_eq!(table.mappings(), good);
        let mut bytes = Vec::new();
        encode_mappings(&good, &mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(decode_mappings(&mut reader, 4).expect("good"), good);
        reader.end().expect("all read");
        assert!(matches!(
            decode_mappings(&mut Reader::new(&bytes), 3),
            Err(MappingError::TooMany {
                count: 4,
                mappings_max: 3
            })
        ));
    }

    #[test]
    fn everything_else_is_refused() {
        let region = mapping(REGION_START, 2, 3);
        let outside = |mapping| {
            matches!(
                check(&[mapping]),
                Err(MappingError::Outside { index: 0, .. })
            )
        };
        assert!(outside(mapping(0x40_0000 - PAGE_BYTES, 2, 3)));
        assert!(outside(mapping(0x50_0000 - PAGE_BYTES, 2, 3)));
        assert!(outside(mapping(REGION_START - PAGE_BYTES, 2, 3)));
        assert!(outside(mapping(REGION_END - PAGE_BYTES, 2, 3)));
        assert!(outside(mapping(0, 1, 3)));
        let unaligned = |start, end| {
            let protection = Protection::READ;
            let found = check(&[Mapping {
                start,
                end,
                protection,
            }]);
            matches!(found, Err(MappingError::Unaligned { index: 0, .. }))
        };
        assert!(unaligned(REGION_START + 1, REGION_START + PAGE_BYTES));
        assert!(unaligned(REGION_START, REGION_START + 1));
        assert!(unaligned(REGION_START, REGION_START));
        assert!(unaligned(REGION_START + PAGE_BYTES, REGION_START));
        let overlap = [region, mapping(REGION_START + PAGE_BYTES, 2, 3)];
        assert!(matches!(
            check(&overlap),
            Err(MappingError::Order { index: 1, .. })
        ));
        let executable = [mapping(REGION_START, 1, 7)];
        assert!(matches!(
            check(&executable),
            Err(MappingError::WriteAndExecute { index: 0, .. })
        ));
        let many: Vec<_> = (0..5)
            .map(|n| mapping(REGION_START + n * 2 * PAGE_BYTES, 1, 3))
            .collect();
        assert!(matches!(
            check(&many),
            Err(MappingError::TooMany { count: 5, .. })
        ));
        assert_eq!(Protection::from_bits(8), None);
        assert_eq!(Protection::from_bits(1 << 32), None);
    }

    #[test]
    fn pages_lie_in_mappings_of_any_protection() {
        let first = REGION_START / PAGE_BYTES;
        let table = check(&[
            mapping(REGION_START, 2, 3),
            mapping(REGION_START + 2 * PAGE_BYTES, 2, 0),
            mapping(REGION_START + 6 * PAGE_BYTES, 1, 3),
        ])
        .expect("good");
        let unmapped = |pages: &[u64]| {
            let set = pages.iter().map(|page| first + page).collect();
            table.first_unmapped(&set).map(|page| page - first)
        };
        assert_eq!(unmapped(&[0, 1, 2, 3, 6]), None);
        assert_eq!(unmapped(&[2, 3, 4]), Some(4));
        assert_eq!(unmapped(&[5, 6]), Some(5));
        assert_eq!(unmapped(&[7]), Some(7));
    }
}
