//! What is small and says that it is large.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use process_image::layout::{PAGE, REGION_START};
use process_image::{
    Delta, DeltaError, DeltaLimits, ImageError, ImageHeader, Malformed, MappingError, PageSetError,
};

use crate::fuzz::{bounds, forge};

const MIB: usize = 1 << 20;
const REGION_PAGE: u64 = REGION_START / PAGE as u64;

/// The most bytes of the bodies here, and the most pages.
const LIMITS: DeltaLimits = DeltaLimits {
    body_bytes_max: 32 << 20,
    pages_max: 64,
};

/// The most memory that what a header or a body says of its tables may take, whatever the limits.
const TABLES_BYTES: usize = 80 * MIB;

/// The system's allocator, with a count for each thread. What zstd takes for itself is not in it:
/// that is the same for each body.
struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn add(bytes: usize) {
    let now = NOW.get().wrapping_add(bytes);
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

fn subtract(bytes: usize) {
    // What another thread allocated can be freed here.
    NOW.set(NOW.get().saturating_sub(bytes));
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        subtract(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // It may have both for a while.
        add(bytes);
        subtract(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives, when it takes little memory and time.
fn bounded<T>(bytes_max: usize, work: impl FnOnce() -> T) -> T {
    let (before, start) = (NOW.get(), Instant::now());
    PEAK.set(before);
    let result = work();
    let (peak, time) = (PEAK.get() - before, start.elapsed());
    assert!(peak <= bytes_max, "{peak} bytes, more than {bytes_max}");
    assert!(time < Duration::from_secs(10), "{time:?}");
    result
}

fn decode(bytes: &[u8], bytes_max: usize) -> Result<Delta, DeltaError> {
    bounded(bytes_max, || Delta::decode(bytes, &LIMITS, &bounds()))
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|it| forge::number(*it)).collect()
}

fn compressed(bytes: usize) -> Vec<u8> {
    zstd::bulk::compress(&vec![0; bytes], 1).expect("room")
}

#[test]
fn memory_is_counted() {
    let large = bounded(3 * MIB, || vec![1_u8; 2 * MIB]);
    assert!(large.iter().all(|byte| *byte == 1));
}

#[test]
#[should_panic(expected = "2097152 bytes, more than 1048576")]
fn memory_is_bounded() {
    bounded(MIB, || vec![1_u8; 2 * MIB]);
}

#[test]
fn a_body_over_the_limit_is_not_unpacked() {
    let max = LIMITS.body_bytes_max;
    let packed = compressed(256 * MIB);
    assert!(packed.len() < 64 << 10);
    for body_bytes in [max + 1, 256 << 20, 1 << 60, u64::MAX] {
        let too_large = DeltaError::TooLarge {
            body_bytes,
            body_bytes_max: max,
        };
        let found = decode(&forge::delta_of(body_bytes, &packed), 4096);
        assert_eq!(found, Err(too_large));
    }
    // It says that it is small.
    for body_bytes in [0, 1, 4096, max] {
        let found = decode(&forge::delta_of(body_bytes, &packed), max as usize + 4096);
        assert_eq!(found, Err(DeltaError::Compression));
    }
}

#[test]
fn a_body_shorter_than_it_says_takes_no_more_than_the_limit() {
    let max = LIMITS.body_bytes_max;
    for bytes in [0, 1, 4096, MIB] {
        let found = decode(
            &forge::delta_of(max, &compressed(bytes)),
            max as usize + 4096,
        );
        assert_eq!(found, Err(DeltaError::Compression));
    }
    for packed in [&[][..], &[0], &[0xff; 64], b"mcpv8dlt"] {
        let found = decode(&forge::delta_of(max, packed), max as usize + 4096);
        assert_eq!(found, Err(DeltaError::Compression));
    }
}

/// zstd's own header says how long its contents are, and how much of them it has to remember.
#[test]
fn a_frame_that_lies_takes_no_more_than_the_limit() {
    let max = LIMITS.body_bytes_max;
    for window in [0, 0x58, 0xa8, 0xff] {
        for contents in [0, 1, max, max + 1, 1 << 60, u64::MAX] {
            // Magic, a descriptor (contents in eight bytes, no single segment), the window, the
            // length; then one last block of a byte 32 MiB times, as the block says.
            let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xc0, window];
            frame.extend(contents.to_le_bytes());
            frame.extend([0x03, 0xff, 0xff, 0]);
            let found = decode(&forge::delta_of(max, &frame), max as usize + 4096);
            assert_eq!(found, Err(DeltaError::Compression));
        }
    }
    // Many frames one after the other, and frames to be skipped.
    let many = compressed(MIB).repeat(1000);
    let found = decode(&forge::delta_of(max, &many), max as usize + 4096);
    assert_eq!(found, Err(DeltaError::Compression));
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(100_000);
    let found = decode(&forge::delta_of(max, &skipped), max as usize + 4096);
    assert_eq!(found, Err(DeltaError::Compression));
}

/// Counts that no file can keep, in front of nothing and in front of as many bytes as there may be.
#[test]
fn counts_of_a_delta_are_not_believed() {
    let max = LIMITS.body_bytes_max as usize;
    for room in [0, max - 64] {
        let found = |table: &[u64]| {
            let mut body = numbers(table);
            body.resize(body.len() + room, 1);
            decode(&forge::delta(&body), max + TABLES_BYTES).expect_err("a bomb")
        };
        for count in [1 << 32, 1 << 60, u64::MAX] {
            let removed = found(&[count]);
            let truncated = DeltaError::Malformed(Malformed::Truncated);
            let many = matches!(removed, DeltaError::NoSuchMapping { mappings: 1024, .. });
            assert!(many || removed == truncated, "{removed:?}");
            let added = found(&[0, count]);
            let many = matches!(
                added,
                DeltaError::Mappings(MappingError::TooMany {
                    mappings_max: 1024,
                    ..
                })
            );
            assert!(many, "{added:?}");
            let dropped = found(&[0, 0, count]);
            let truncated = DeltaError::Pages(PageSetError::Malformed(Malformed::Truncated));
            assert_eq!(dropped, truncated);
            let changed = found(&[0, 0, 0, count]);
            let many = DeltaError::Pages(PageSetError::TooMany { pages_max: 64 });
            assert_eq!(changed, if room == 0 { truncated } else { many });
        }
        // One range of so many pages.
        for count in [65, 1 << 35, 1 << 60, u64::MAX] {
            let changed = found(&[0, 0, 0, 1, REGION_PAGE, count]);
            let many = DeltaError::Pages(PageSetError::TooMany { pages_max: 64 });
            let outside = DeltaError::Pages(PageSetError::Outside { index: 0 });
            assert_eq!(changed, if count < 1 << 36 { many } else { outside });
        }
    }
}

/// Ranges take eight times as much memory as they take in a body, and almost nothing in a file.
#[test]
fn a_body_of_ranges_alone_is_refused() {
    let max = LIMITS.body_bytes_max as usize;
    let ranges = max as u64 / 2 - 4;
    let mut body = numbers(&[0, 0, ranges]);
    body.resize(body.len() + 2 * ranges as usize, 1);
    body.extend(numbers(&[0]));
    assert!(body.len() <= max);
    let bytes = forge::delta(&body);
    assert!(bytes.len() < 8 << 10, "{}", bytes.len());
    let truncated = DeltaError::Pages(PageSetError::Malformed(Malformed::Truncated));
    assert_eq!(decode(&bytes, max + TABLES_BYTES), Err(truncated));
}

/// As many dropped pages as an address space has, in a few bytes: nobody goes through them one by
/// one.
#[test]
fn a_range_of_all_pages_is_quick() {
    let body = numbers(&[0, 0, 1, 0, 1 << 36, 0]);
    let delta = decode(&forge::delta(&body), MIB).expect("good numbers");
    let (table, present) = crate::fuzz::parent();
    let found = bounded(MIB, || delta.apply(&table, &present, &bounds()));
    assert_eq!(found, Err(DeltaError::NotDroppable { page: 0 }));
}

/// The largest header there may be, full of what takes most memory.
#[test]
fn a_header_of_ranges_alone_takes_bounded_memory() {
    let read = |tables: &[u8], pages_max| {
        let image = forge::image(tables, &[]);
        bounded(TABLES_BYTES, || {
            ImageHeader::read(&mut image.as_slice(), &bounds(), pages_max)
        })
    };
    let room = 4 * MIB - 4096;
    let ranges = room as u64 / 2;
    let mut tables = numbers(&[1, REGION_PAGE, 1 << 31, 3, ranges, REGION_PAGE, 1]);
    tables.resize(tables.len() + 2 * (ranges as usize - 1), 1);
    let header = read(&tables, u64::MAX).expect("a good header");
    assert_eq!(header.present().count(), ranges);
    let found = read(&tables, 64).expect_err("too many");
    let many = PageSetError::TooMany { pages_max: 64 };
    assert!(matches!(found, ImageError::Pages(error) if error == many));
    for count in [1 << 32, 1 << 60, u64::MAX] {
        let mut tables = numbers(&[0, count]);
        tables.resize(room, 1);
        let found = read(&tables, u64::MAX).expect_err("a bomb");
        let truncated = PageSetError::Malformed(Malformed::Truncated);
        assert!(matches!(found, ImageError::Pages(error) if error == truncated));
        let found = read(&numbers(&[count]), u64::MAX).expect_err("a bomb");
        assert!(matches!(
            found,
            ImageError::Mappings(MappingError::TooMany { .. })
        ));
    }
}

/// A header that says it is large is not given room beyond the largest that there may be.
#[test]
fn lengths_of_a_header_are_not_believed() {
    let good = forge::image(&[0, 0], &[]);
    for (pages, tables) in [
        (1024, (4 << 20) - 152),
        (1025, 4 << 20),
        (1 << 31, (1 << 43) - 152),
        (u32::MAX, u64::MAX),
    ] {
        let mut image = good.clone();
        image[forge::HEADER_PAGES_AT..][..4].copy_from_slice(&u32::to_le_bytes(pages));
        image[forge::TABLES_BYTES_AT..][..8].copy_from_slice(&u64::to_le_bytes(tables));
        let found = bounded(5 * MIB, || {
            ImageHeader::read(&mut image.as_slice(), &bounds(), 64)
        });
        let length = matches!(found, Err(ImageError::HeaderLength));
        let cut = matches!(found, Err(ImageError::Io(_)));
        assert!(if pages == 1024 { cut } else { length }, "{found:?}");
    }
}
