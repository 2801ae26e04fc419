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
    let scan =
        |pages: std::ops::Range<usize>| this_process().scan(&memory.table_of(pages), 1000, soon());
    let refused = |page: usize| {
        let found = scan(page..page + 1);
        let Err(ScanError::NotPrivate { start, pages: 1 }) = found else {
            panic!("{found:?}");
        };
        assert_eq!(start, memory.address(page));
    };
    // Nobody looked at them yet: the kernel has nothing to tell.
    assert!(scan(2..5).is_ok());
    memory.read(2);
    refused(2);
    memory.write(4, 1);
    refused(4);
    // Once written, a private page of a file is the process's own.
    memory.write(2, 1);
    let found = scan(2..3).expect("private");
    assert_eq!(relative(&memory, &found.present), [2]);
}
