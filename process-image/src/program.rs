use std::ops::Range;

use crate::layout::PAGE;

const PAGE_BYTES: u64 = PAGE as u64;
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 56;
const PT_LOAD: u32 = 1;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PF_W: u32 = 2;

/// One entry of a program's header.
struct Segment {
    kind: u32,
    flags: u32,
    start: u64,
    bytes: u64,
}

/// Where a worker program's variables lie, in whole pages: its writable segment, without the one that
/// holds relocated constants. Those differ from one CPU to another and are never part of an image.
///
/// Nothing for what is no such program.
pub fn variables(program: &[u8]) -> Option<Range<u64>> {
    let segments = segments(program)?;
    let relro = segments.iter().find(|it| it.kind == PT_GNU_RELRO);
    let mut writable = segments.iter().filter(|it| {
        let is_relro = relro.is_some_and(|relro| relro.start == it.start);
        it.kind == PT_LOAD && it.flags & PF_W != 0 && !is_relro
    });
    let (segment, None) = (writable.next()?, writable.next()) else {
        return None;
    };
    let start = segment.start & !(PAGE_BYTES - 1);
    let end = segment.start.checked_add(segment.bytes)?;
    Some(start..end.checked_next_multiple_of(PAGE_BYTES)?)
}

fn segments(program: &[u8]) -> Option<Vec<Segment>> {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01";
    let header = program.first_chunk::<HEADER_BYTES>()?;
    if !header.starts_with(MAGIC) {
        return None;
    }
    let table = usize::try_from(u64_at(header, 32)?).ok()?;
    let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
    let entries = program.get(table..)?.get(..count * ENTRY_BYTES)?;
    entries
        .chunks_exact(ENTRY_BYTES)
        .map(|entry| {
            Some(Segment {
                kind: u32_at(entry, 0)?,
                flags: u32_at(entry, 4)?,
                start: u64_at(entry, 16)?,
                bytes: u64_at(entry, 40)?,
            })
        })
        .collect()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|it| u32::from_le_bytes(*it))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|it| u64::from_le_bytes(*it))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with these segments: kind, flags, start, length.
    fn program(segments: &[(u32, u32, u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = HEADER_BYTES as u8;
        bytes[56] = segments.len() as u8;
        for (kind, flags, start, length) in segments {
            let mut entry = [0; ENTRY_BYTES];
            entry[..4].copy_from_slice(&kind.to_le_bytes());
            entry[4..8].copy_from_slice(&flags.to_le_bytes());
            entry[16..24].copy_from_slice(&start.to_le_bytes());
            entry[40..48].copy_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    #[test]
    fn variables_are_the_writable_segment_that_is_not_relocated_constants() {
        let text = (PT_LOAD, 5, 0x20_0000, 0x1000);
        let constants = (PT_LOAD, 6, 0x37_0010, 0x8000);
        let relro = (PT_GNU_RELRO, 4, 0x37_0010, 0x8000);
        let data = (PT_LOAD, 6, 0x39_0010, 0x4a5f0);
        let whole = program(&[text, constants, data, relro]);
        assert_eq!(variables(&whole), Some(0x39_0000..0x3d_b000));
        assert_eq!(variables(&program(&[text])), None);
        assert_eq!(variables(&program(&[constants, data])), None);
        for length in 0..whole.len() {
            assert_eq!(variables(&whole[..length]), None, "{length} bytes of it");
        }
        assert_eq!(variables(&[0; 200]), None);
    }
}
