//! Real processes: forks of the test program that change what they inherited and wait.

use std::time::{Duration, Instant};

use super::bounds;
use crate::layout::{PAGE, REGION_START};
use crate::{Mapping, MappingTable, ProcessMemory, Protection, Scan};

/// Pages that each test has to itself.
pub const PAGES: usize = 64;

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Memory of the test's own, at a fixed place of the region, with something in every even page.
pub struct Memory {
    pub start: u64,
}

impl Memory {
    pub fn new(slot: u64) -> Self {
        let start = REGION_START + slot * 2 * (PAGES * PAGE) as u64;
        let memory = Self { start };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: addresses that nothing else in the test program uses.
        let mapped = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(start as *mut _, PAGES * PAGE, protection, flags, -1, 0)
        };
        assert!(
            mapped as u64 == start,
            "{}",
            std::io::Error::last_os_error()
        );
        (0..PAGES)
            .step_by(2)
            .for_each(|page| memory.write(page, page as u8 + 1));
        memory
    }

    pub fn address(&self, page: usize) -> u64 {
        self.start + (page * PAGE) as u64
    }

    pub fn number(&self, page: usize) -> u64 {
        self.address(page) / PAGE as u64
    }

    /// Writes one byte in the middle of a page.
    pub fn write(&self, page: usize, byte: u8) {
        // SAFETY: the page is mapped and this test's own.
        unsafe { ((self.address(page) + 99) as *mut u8).write_volatile(byte) };
    }

    pub fn read(&self, page: usize) -> u8 {
        // SAFETY: the page is mapped and this test's own.
        unsafe { ((self.address(page) + 99) as *const u8).read_volatile() }
    }

    pub fn advise(&self, page: usize, advice: i32) -> i32 {
        // SAFETY: the page is this test's own.
        unsafe { libc::madvise(self.address(page) as *mut _, PAGE, advice) }
    }

    pub fn protect_nothing(&self, page: usize) {
        // SAFETY: the page is this test's own.
        unsafe { libc::mprotect(self.address(page) as *mut _, PAGE, libc::PROT_NONE) };
    }

    pub fn unmap(&self, page: usize) {
        // SAFETY: the page is this test's own.
        unsafe { libc::munmap(self.address(page) as *mut _, PAGE) };
    }

    /// One mapping of these pages, that may be read and written.
    pub fn table_of(&self, pages: std::ops::Range<usize>) -> MappingTable {
        self.table(std::slice::from_ref(&pages))
    }

    /// The pages of these numbers, in mappings that may be read and written.
    pub fn table(&self, ranges: &[std::ops::Range<usize>]) -> MappingTable {
        let mapping = |range: &std::ops::Range<usize>| Mapping {
            start: self.address(range.start),
            end: self.address(range.end),
            protection: Protection::READ_WRITE,
        };
        let mappings = ranges.iter().map(mapping).collect();
        MappingTable::check(mappings, &bounds()).expect("good mappings")
    }

    /// A fork that has done `work` and waits.
    pub fn fork(&self, work: impl FnOnce(&Self)) -> Forked {
        let mut ends = [0; 2];
        // SAFETY: the array has room for two descriptors.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        // SAFETY: the child makes system calls and writes to memory of its own, nothing that takes a
        // lock which another thread may have held.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: as above.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            work(self);
            loop {
                // SAFETY: as above; one byte of a constant.
                unsafe {
                    libc::write(ends[1], [1_u8].as_ptr().cast(), 1);
                    libc::pause();
                }
            }
        }
        assert!(pid > 0);
        let mut byte = [0_u8];
        // SAFETY: one byte into an array of one, then descriptors that nobody else has.
        let read = unsafe {
            let read = libc::read(ends[0], byte.as_mut_ptr().cast(), 1);
            libc::close(ends[0]);
            libc::close(ends[1]);
            read
        };
        assert_eq!(read, 1);
        Forked { pid }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this test's own memory.
        unsafe { libc::munmap(self.start as *mut _, PAGES * PAGE) };
    }
}

/// A process that ends with this value.
pub struct Forked {
    pid: i32,
}

impl Forked {
    pub fn memory(&self) -> ProcessMemory {
        ProcessMemory::open(self.pid as u32).expect("a child can be read")
    }

    pub fn scan(&self, table: &MappingTable) -> Scan {
        self.memory()
            .scan(table, 1000, soon())
            .expect("a child can be read")
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // SAFETY: a child that was not reaped yet.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// The test program itself, whose memory is as it was when it forked.
pub fn this_process() -> ProcessMemory {
    ProcessMemory::open(std::process::id()).expect("its own memory")
}
