//! States for tests: random ones, what is between two of them, and live ones.

pub mod live;

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::layout::{PAGE, REGION_START};
use crate::{
    Bounds, Delta, EngineId, ImageHeader, ImageWriter, Mapping, MappingTable, PageSet, Protection,
    StateId, TableChange,
};

pub const ENGINE: EngineId = EngineId([7; 32]);

pub fn bounds() -> Bounds {
    Bounds {
        segments: std::iter::once(0x40_0000..0x44_0000).collect(),
        code: REGION_START + (512 << 12)..REGION_START + (1024 << 12),
        mappings_max: 64,
    }
}

pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A whole state, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    pub id: StateId,
    pub table: MappingTable,
    pub pages: BTreeMap<u64, Vec<u8>>,
}

impl Whole {
    /// 64 pages of the region in mappings of four, some of them missing, and a segment.
    pub fn random(random: &mut Random, id: u8) -> Self {
        let page = PAGE as u64;
        let mut mappings = vec![Mapping {
            start: 0x40_0000,
            end: 0x40_4000,
            protection: Protection::READ_WRITE,
        }];
        for slot in 0..16 {
            let bits = [0, 1, 3, 5][random.below(4) as usize];
            if random.below(4) > 0 {
                let start = REGION_START + slot * 4 * page;
                let protection = Protection::from_bits(bits).expect("a protection");
                mappings.push(Mapping {
                    start,
                    end: start + 4 * page,
                    protection,
                });
            }
        }
        let table = MappingTable::check(mappings, &bounds()).expect("good mappings");
        let mut pages = BTreeMap::new();
        for number in table.pages().into_iter().flatten() {
            if random.below(3) > 0 {
                let mut bytes = vec![0; PAGE];
                bytes[random.below(PAGE as u64) as usize] = random.below(255) as u8 + 1;
                pages.insert(number, bytes);
            }
        }
        Self {
            id: StateId([id; 32]),
            table,
            pages,
        }
    }

    /// The next state: some of this one's pages stay as they are.
    pub fn successor(&self, random: &mut Random, id: u8) -> Self {
        let mut next = Self::random(random, id);
        for (page, bytes) in &mut next.pages {
            if let Some(old) = self.pages.get(page)
                && random.below(2) > 0
            {
                bytes.clone_from(old);
            }
        }
        next
    }

    pub fn present(&self) -> PageSet {
        self.pages.keys().copied().collect()
    }

    pub fn delta_to(&self, next: &Self) -> Delta {
        let nothing = vec![0; PAGE];
        let (mut changed, mut xor) = (PageSet::new(), Vec::new());
        for (page, bytes) in &next.pages {
            let old = self.pages.get(page).unwrap_or(&nothing);
            if old != bytes {
                changed.push(*page);
                xor.extend(old.iter().zip(bytes).map(|(old, new)| old ^ new));
            }
        }
        Delta {
            engine: ENGINE,
            parent: self.id,
            table: TableChange::between(&self.table, &next.table),
            dropped: self.present().difference(&next.present()),
            changed,
            xor,
        }
    }

    pub fn image(&self) -> (ImageHeader, Vec<u8>) {
        let out = Cursor::new(Vec::new());
        let (table, present) = (self.table.clone(), self.present());
        let mut writer =
            ImageWriter::new(out, ENGINE, self.id, table, present).expect("mapped pages");
        for bytes in self.pages.values() {
            writer.write(bytes).expect("memory");
        }
        let (header, out) = writer.finish().expect("memory");
        (header, out.into_inner())
    }
}
