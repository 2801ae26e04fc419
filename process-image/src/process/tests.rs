use super::*;
use crate::testing::live::{Memory, PAGES, soon, this_process};

fn relative(memory: &Memory, set: &PageSet) -> Vec<u64> {
    set.pages().map(|page| page - memory.number(0)).collect()
}

#[test]
fn a_fork_owns_what_it_wrote() {
    let memory = Memory::new(1);
    let table = memory.table_of(0..PAGES);
    let child = memory.fork(|memory| {
        memory.write(4, 9);
        memory.write(7, 9);
        memory.advise(10, libc::MADV_DONTNEED);
    });
    let scan = child.scan(&table);
    let mut expected: Vec<u64> = (0..PAGES as u64)
        .step_by(2)
        .filter(|page| *page != 10)
        .collect();
    expected.insert(4, 7);
    assert_eq!(relative(&memory, &scan.present), expected);
    assert_eq!(relative(&memory, &scan.unshared), [4, 7]);
}

/// A page that was dropped and then only read maps the kernel's page of zeros: it is present and
/// not exclusive, like an unchanged page, but its contents are gone.
#[test]
fn a_page_that_was_dropped_and_read_is_not_there() {
    let memory = Memory::new(2);
    let child = memory.fork(|memory| {
        memory.advise(2, libc::MADV_DONTNEED);
        assert!(memory.read(2) == 0);
        // One that was never there.
        assert!(memory.read(3) == 0);
    });
    let scan = child.scan(&memory.table_of(0..6));
    assert_eq!(relative(&memory, &scan.present), [0, 4]);
    assert_eq!(relative(&memory, &scan.unshared), [0; 0]);
}

/// A page that can't be accessed keeps its contents.
#[test]
fn a_page_without_access_is_there() {
    let memory = Memory::new(3);
    let child = memory.fork(|memory| {
        memory.write(2, 5);
        memory.protect_nothing(2);
    });
    let scan = child.scan(&memory.table_of(0..6));
    assert_eq!(relative(&memory, &scan.present), [0, 2, 4]);
    let mut read = Vec::new();
    let one = [memory.number(2)].into_iter().collect();
    child
        .memory()
        .read(&one, soon(), |page, bytes| read.push((page, bytes[99])))
        .expect("a debugger reads it");
    assert_eq!(read, [(memory.number(2), 5)]);
}

/// Who looks is bound in pages and in time.
#[test]
fn limits_hold() {
    let memory = Memory::new(4);
    let table = memory.table_of(0..PAGES);
    let process = this_process();
    let pages = PAGES as u64 / 2;
    assert_eq!(
        process
            .scan(&table, pages, soon())
            .expect("it fits")
            .present
            .count(),
        pages
    );
    assert!(matches!(
        process.scan(&table, pages - 1, soon()),
        Err(ScanError::TooManyPages { .. })
    ));
    let past = Instant::now();
    assert!(matches!(
        process.scan(&table, pages, past),
        Err(ScanError::Deadline)
    ));
    let one = [memory.number(0)].into_iter().collect();
    assert!(matches!(
        process.read(&one, past, |_, _| ()),
        Err(ScanError::Deadline)
    ));
}

#[test]
fn what_is_not_mapped_can_not_be_read() {
    let nothing = [1].into_iter().collect();
    let read = this_process().read(&nothing, soon(), |_, _| ());
    assert!(matches!(read, Err(ScanError::Io(_))));
}

/// A page of a file that nobody wrote to, and one that is shared with others: what is absent there
/// would not read as zeros, so such memory is no part of any state.
#[test]
fn pages_of_files_and_shared_ones_are_refused() {
    let memory = Memory::new(5);
    let map = |page: usize, flags: i32, file: i32| {
        // SAFETY: replaces pages of this test's own.
        let mapped = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = flags | libc::MAP_FIXED;
            libc::mmap(
                memory.address(page) as *mut _,
                PAGE,
                protection,
                flags,
                file,
                0,
            )
        };
        assert_eq!(mapped as u64, memory.address(page));
    };
    let program = File::open("/proc/self/exe").expect("this program");
    map(2, libc::MAP_PRIVATE, program.as_raw_fd());
    map(4, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
    let scans = |pages: std::ops::Range<usize>| {
        let (process, table) = (this_process(), memory.table_of(pages));
        [
            process.scan(&table, 1000, soon()),
            process.scan_by_pagemap(&table, 1000, soon()),
        ]
    };
    let refused = |page: usize| {
        for found in scans(page..page + 1) {
            let Err(ScanError::NotPrivate { start, pages: 1 }) = found else {
                panic!("{found:?}");
            };
            assert_eq!(start, memory.address(page));
        }
    };
    // Nobody looked at them yet: the kernel has nothing to tell.
    assert!(scans(2..5).iter().all(Result::is_ok));
    memory.read(2);
    refused(2);
    memory.write(4, 1);
    refused(4);
    // Once written, a private page of a file is the process's own.
    memory.write(2, 1);
    for found in scans(2..3) {
        assert_eq!(relative(&memory, &found.expect("private").present), [2]);
    }
}

/// The same by the page map alone. What is shared and all zeros is left out there: see
/// [`what_only_one_of_both_tells`].
fn scanned_twice(memory: &ProcessMemory, table: &MappingTable) -> Scan {
    let scan = memory.scan(table, 1000, soon()).expect("it can be read");
    let fallback = memory.scan_by_pagemap(table, 1000, soon());
    assert_eq!(fallback.expect("it can be read"), scan);
    scan
}

/// Rule 1 without `PAGEMAP_SCAN`: everything that can happen to a page is told the same.
#[test]
fn the_page_map_alone_tells_the_same() {
    let memory = Memory::new(12);
    let child = memory.fork(|memory| {
        // Written, the same bytes again, new, new and zeros, made all zeros.
        memory.write(0, 9);
        memory.write(2, 3);
        memory.write(5, 1);
        memory.write(7, 0);
        memory.write(14, 0);
        // Dropped, dropped and read, dropped and written, never there and read.
        memory.advise(8, libc::MADV_DONTNEED);
        memory.advise(10, libc::MADV_DONTNEED);
        memory.read(10);
        memory.advise(12, libc::MADV_DONTNEED);
        memory.write(12, 1);
        memory.read(17);
        // Without access, one of them changed, and gone.
        memory.protect_nothing(20);
        memory.write(22, 1);
        memory.protect_nothing(22);
        memory.unmap(24);
    });
    let mut present: Vec<u64> = (0..PAGES as u64)
        .filter(|page| page % 2 == 0 && ![8, 10, 24].contains(page))
        .chain([5, 7])
        .collect();
    present.sort_unstable();
    // All of it, and with a hole where a page is gone.
    for table in [
        memory.table_of(0..PAGES),
        memory.table(&[0..24, 25..40, 40..PAGES]),
    ] {
        let scan = scanned_twice(&child.memory(), &table);
        assert_eq!(relative(&memory, &scan.present), present);
        assert_eq!(
            relative(&memory, &scan.unshared),
            [0, 2, 5, 7, 12, 14, 22],
            "its own"
        );
    }
    // What is mapped and not in the table is not looked at.
    let scan = scanned_twice(&child.memory(), &memory.table(&[4..6, 10..15]));
    assert_eq!(relative(&memory, &scan.present), [4, 5, 12, 14]);
    assert_eq!(relative(&memory, &scan.unshared), [5, 12, 14]);
}

/// Two hundred random changes, in ten forks.
#[test]
fn the_page_map_alone_tells_the_same_of_random_changes() {
    let memory = Memory::new(14);
    let mut random = crate::testing::Random(0x2127_599b_f432_5c37);
    println!("seed {:#x}", random.0);
    for _ in 0..10 {
        // Made here: a fork must not allocate.
        let changes: [(u64, usize); 20] =
            std::array::from_fn(|_| (random.below(4), random.below(PAGES as u64) as usize));
        let child = memory.fork(|memory| {
            for (kind, page) in changes {
                match kind {
                    0 => drop(memory.advise(page, libc::MADV_DONTNEED)),
                    1 => drop(memory.read(page)),
                    2 => memory.write(page, 1),
                    _ => memory.write(page, 0),
                }
            }
        });
        scanned_twice(&child.memory(), &memory.table_of(0..PAGES));
    }
}

/// Rule 2: a page that was changed and then swapped out has no sign of being the process's own.
#[test]
fn a_page_that_was_swapped_out_is_unshared() {
    let memory = Memory::new(15);
    let child = memory.fork(|memory| {
        memory.write(4, 9);
        memory.write(7, 9);
        memory.advise(4, libc::MADV_PAGEOUT);
        memory.advise(7, libc::MADV_PAGEOUT);
    });
    let theirs = child.memory();
    let mut entry = [0; 8];
    let at = memory.number(4) * 8;
    let read = theirs.pagemap.read_exact_at(&mut entry, at);
    read.expect("a child can be read");
    let is_swapped = u64::from_le_bytes(entry) & SWAPPED != 0;
    println!("swapped out: {is_swapped}");
    let scan = scanned_twice(&theirs, &memory.table_of(0..10));
    assert_eq!(relative(&memory, &scan.present), [0, 2, 4, 6, 7, 8]);
    assert_eq!(relative(&memory, &scan.unshared), [4, 7]);
    let mut found = Vec::new();
    let read = theirs.read(&scan.unshared, soon(), |_, bytes| found.push(bytes[99]));
    read.expect("a child can be read");
    assert_eq!(found, [9, 9]);
}

/// A page that a process guards against itself looks like one that was swapped out, whatever it
/// holds in its parent, and nobody can read it: an error, not an unchanged page.
#[test]
fn a_guarded_page_is_unshared_and_can_not_be_read() {
    const MADV_GUARD_INSTALL: i32 = 102;
    let memory = Memory::new(18);
    if memory.advise(PAGES - 1, MADV_GUARD_INSTALL) != 0 {
        println!("not on this kernel: before Linux 6.13");
        return;
    }
    let child = memory.fork(|memory| {
        memory.advise(4, MADV_GUARD_INSTALL);
    });
    let scan = scanned_twice(&child.memory(), &memory.table_of(0..8));
    assert_eq!(relative(&memory, &scan.present), [0, 2, 4, 6]);
    assert_eq!(relative(&memory, &scan.unshared), [4]);
    let read = child.memory().read(&scan.unshared, soon(), |_, _| ());
    assert!(matches!(read, Err(ScanError::Io(_))), "{read:?}");
}

/// A page of zeros that was written by the parent is there to `PAGEMAP_SCAN`, and to the page map,
/// which can't tell it from the kernel's own, it is not. Both are the same state.
#[test]
fn what_only_one_of_both_tells() {
    let memory = Memory::new(16);
    memory.write(3, 0);
    let child = memory.fork(|_| ());
    let (theirs, table) = (child.memory(), memory.table_of(0..6));
    let scan = child.scan(&table);
    assert_eq!(relative(&memory, &scan.present), [0, 2, 3, 4]);
    let fallback = theirs.scan_by_pagemap(&table, 1000, soon());
    let fallback = fallback.expect("a child can be read");
    assert_eq!(relative(&memory, &fallback.present), [0, 2, 4]);
    assert_eq!(fallback.unshared, scan.unshared);
}

#[test]
fn limits_hold_for_the_page_map() {
    let memory = Memory::new(17);
    let table = memory.table_of(0..PAGES);
    let pages = PAGES as u64 / 2;
    let child = memory.fork(|memory| {
        memory.write(2, 9);
        memory.advise(4, libc::MADV_DONTNEED);
        memory.read(4);
    });
    let theirs = child.memory();
    let scan = |pages_max, deadline| theirs.scan_by_pagemap(&table, pages_max, deadline);
    // A page that may be the kernel's page of zeros has to be read, so it counts.
    let found = scan(pages, soon()).expect("it fits");
    assert_eq!(found.present.count(), pages - 1);
    for pages_max in [0, 1, pages - 1] {
        let found = scan(pages_max, soon());
        let refused =
            matches!(found, Err(ScanError::TooManyPages { pages_max: it }) if it == pages_max);
        assert!(refused, "{found:?}");
    }
    assert!(matches!(
        scan(pages, Instant::now()),
        Err(ScanError::Deadline)
    ));
}
