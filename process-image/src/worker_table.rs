use std::io;
use std::ops::Range;

use worker_protocol::layout::{
    STACK_BYTES, STACK_START, TABLE_BYTES, TABLE_ENTRY_BYTES, TABLE_HEADER_BYTES, TABLE_START,
};

use crate::mapping_table::{Bounds, Mapping, MappingError, MappingTable, Protection};
use crate::process::ProcessMemory;

/// Why a worker's table of mappings was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The process can't be read.
    #[error("can't read the process")]
    Io(#[from] io::Error),
    /// It breaks a rule.
    #[error(transparent)]
    Mappings(#[from] MappingError),
    /// A protection that does not exist.
    #[error("there is no protection {bits:#x}")]
    Protection {
        /// The bits.
        bits: u64,
    },
}

impl ProcessMemory {
    /// The mappings of a worker that waits, by its own book, with what the book leaves out: the
    /// program's variables (`bounds.segments`), the stack, and the book itself. It is checked like
    /// anything else that a worker says.
    ///
    /// # Errors
    /// When the process can't be read, or its book breaks a rule.
    pub fn table(&self, bounds: &Bounds) -> Result<MappingTable, TableError> {
        let mut length = [0; 8];
        self.read_at(&mut length, TABLE_START as u64)?;
        let count = u64::from_le_bytes(length);
        let mappings_max = bounds.mappings_max;
        if count > mappings_max as u64 {
            return Err(MappingError::TooMany {
                count,
                mappings_max,
            }
            .into());
        }
        let mut bytes = vec![0; count as usize * TABLE_ENTRY_BYTES];
        self.read_at(&mut bytes, (TABLE_START + TABLE_HEADER_BYTES) as u64)?;
        let fixed = |range: Range<u64>| Mapping {
            start: range.start,
            end: range.end,
            protection: Protection::READ_WRITE,
        };
        let of = |start: usize, bytes: usize| start as u64..(start + bytes) as u64;
        let mut mappings: Vec<Mapping> = bounds.segments.iter().cloned().map(fixed).collect();
        mappings.push(fixed(of(STACK_START, STACK_BYTES)));
        mappings.push(fixed(of(TABLE_START, TABLE_BYTES)));
        for entry in bytes.chunks_exact(TABLE_ENTRY_BYTES) {
            let word = |index: usize| {
                let bytes = entry[index * 8..].first_chunk();
                u64::from_le_bytes(*bytes.expect("three words"))
            };
            let bits = word(2);
            mappings.push(Mapping {
                start: word(0),
                end: word(1),
                protection: Protection::from_bits(bits).ok_or(TableError::Protection { bits })?,
            });
        }
        Ok(MappingTable::check(mappings, bounds)?)
    }
}
