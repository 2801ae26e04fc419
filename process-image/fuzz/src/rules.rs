use std::ops::Range;

use process_image::layout::{PAGE, REGION_END, REGION_START};
use process_image::{Bounds, Delta, ImageHeader, Mapping, PageSet};
use worker_protocol::{Step, StepKind};

const PAGE_BYTES: u64 = PAGE as u64;

/// Where a byte of a worker's memory may lie.
fn is_owned(bytes: &Range<u64>, bounds: &Bounds) -> bool {
    let region = REGION_START..REGION_END;
    let mut owned = bounds.segments.iter().chain([&region]);
    owned.any(|range| bytes.start >= range.start && bytes.end <= range.end)
}

fn is_whole(bytes: &Range<u64>) -> bool {
    let ends = [bytes.start, bytes.end];
    bytes.start < bytes.end && ends.iter().all(|it| it.is_multiple_of(PAGE_BYTES))
}

/// Memory that can be written and executed is code.
fn check_protection(bits: u64, bytes: &Range<u64>, bounds: &Bounds) {
    assert!(bits <= 7, "there is no protection {bits}");
    let is_code = bytes.start >= bounds.code.start && bytes.end <= bounds.code.end;
    assert!(
        bits & 2 == 0 || bits & 4 == 0 || is_code,
        "{bytes:x?} can be written and executed"
    );
}

/// Few, whole pages, sorted, disjoint, the worker's own, and only code both writable and
/// executable.
pub fn mappings(mappings: &[Mapping], bounds: &Bounds) {
    assert!(mappings.len() <= bounds.mappings_max);
    for mapping in mappings {
        let bytes = mapping.start..mapping.end;
        assert!(is_whole(&bytes), "{bytes:x?} are no pages");
        assert!(is_owned(&bytes, bounds), "{bytes:x?} is not the worker's");
        check_protection(mapping.protection.bits(), &bytes, bounds);
    }
    for pair in mappings.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:x?} overlap");
    }
}

/// Ranges that are sorted, not empty, with gaps, and not too many pages.
pub fn pages(pages: &PageSet, pages_max: u64) {
    let mut count = 0_u64;
    for range in pages.ranges() {
        assert!(range.start < range.end, "{range:x?} is empty");
        count = count.checked_add(range.end - range.start).expect("a count");
    }
    for pair in pages.ranges().windows(2) {
        assert!(pair[0].end < pair[1].start, "{pair:x?} are one range");
    }
    assert!(count <= pages_max, "{count} pages");
    assert_eq!(pages.count(), count);
}

/// Each page lies in a mapping.
pub fn mapped(mappings: &[Mapping], pages: &PageSet) {
    for page in pages.pages() {
        let address = page * PAGE_BYTES;
        let mut holders = mappings.iter();
        assert!(
            holders.any(|it| it.start <= address && address < it.end),
            "page {page:#x} is not mapped"
        );
    }
}

/// The pages stand in the file one after the other, from the end of the header on.
pub fn offsets(header: &ImageHeader, header_bytes: u64) {
    assert!(header_bytes.is_multiple_of(PAGE_BYTES));
    let mut next = header_bytes;
    for page in header.present().pages() {
        assert_eq!(header.offset_of(page), Some(next), "page {page:#x}");
        next += PAGE_BYTES;
    }
    assert_eq!(header.file_bytes(), next);
}

/// Each step of a plan stays in what the worker owns and in the file.
pub fn steps(header: &ImageHeader, steps: &[Step], bounds: &Bounds) {
    let (last, steps) = steps.split_last().expect("a last step");
    assert_eq!(
        (last.kind, last.start, last.bytes),
        (StepKind::Resume, 0, 0)
    );
    for step in steps {
        let end = step.start.checked_add(step.bytes).expect("an address");
        let bytes = step.start..end;
        assert!(is_whole(&bytes), "{step:x?} is not of pages");
        assert!(is_owned(&bytes, bounds), "{step:x?} is not the worker's");
        match step.kind {
            StepKind::Map | StepKind::Protect => check_protection(step.value, &bytes, bounds),
            StepKind::Read => {
                let end = step.value.checked_add(step.bytes).expect("an offset");
                assert!(step.value >= PAGE_BYTES && step.value.is_multiple_of(PAGE_BYTES));
                assert!(end <= header.file_bytes(), "{step:x?} is past the file");
            }
            StepKind::Unmap | StepKind::Drop => assert_eq!(step.value, 0),
            StepKind::Resume => panic!("in the middle"),
        }
    }
}

/// A plan for a program that was just started: followed from nothing, it leads to the image's
/// mappings, and what it reads can be written by then.
pub fn plan_of_a_program(header: &ImageHeader, plan: &[Step], bounds: &Bounds) {
    steps(header, plan, bounds);
    let mut made: Vec<(Range<u64>, u64)> = Vec::new();
    let mut read = 0;
    for (index, step) in plan.iter().enumerate() {
        let bytes = step.start..step.start + step.bytes;
        match step.kind {
            StepKind::Unmap => assert_eq!((index, bytes), (0, REGION_START..REGION_END)),
            StepKind::Map => made.push((bytes, step.value)),
            StepKind::Protect => {
                let mut same = made.iter_mut().filter(|(range, _)| *range == bytes);
                same.next().expect("a mapping").1 = step.value;
            }
            StepKind::Read => {
                read += step.bytes / PAGE_BYTES;
                for address in bytes.step_by(PAGE) {
                    let mut holders = made.iter().filter(|(range, _)| range.contains(&address));
                    assert_eq!(holders.next().map(|(_, bits)| *bits), Some(3), "{step:x?}");
                }
            }
            StepKind::Drop => panic!("there is nothing to drop"),
            StepKind::Resume => {}
        }
    }
    assert_eq!(read, header.present().count());
    let wanted = header.table().mappings().iter();
    let wanted = wanted.map(|it| (it.start..it.end, it.protection.bits()));
    assert!(made.into_iter().eq(wanted), "other mappings");
}

/// What a delta says for itself, whatever its parent.
pub fn delta(delta: &Delta, bounds: &Bounds, pages_max: u64) {
    pages(&delta.changed, pages_max);
    pages(&delta.dropped, u64::MAX);
    assert_eq!(delta.xor.len() as u64, delta.changed.count() * PAGE_BYTES);
    assert_eq!(delta.pages().count() as u64, delta.changed.count());
    assert!(delta.table.removed.is_sorted_by(|one, next| one < next));
    assert!(delta.table.removed.len() <= bounds.mappings_max);
    assert!(delta.table.added.len() <= bounds.mappings_max);
}

/// The pages after a delta are those before it, without the dropped ones and with the changed ones.
pub fn successor(delta: &Delta, before: &PageSet, after: &PageSet) {
    for page in delta.dropped.pages() {
        assert!(before.contains(page) && !after.contains(page), "{page:#x}");
    }
    for page in delta.changed.pages() {
        assert!(after.contains(page), "{page:#x}");
    }
    for page in before.difference(&delta.dropped).pages() {
        assert!(after.contains(page), "{page:#x}");
    }
    let known = before.union(&delta.changed);
    assert!(after.pages().all(|page| known.contains(page)));
}
