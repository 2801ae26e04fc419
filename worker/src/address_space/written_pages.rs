//! The pages that every run writes.
//!
//! After a fork the first write to a page is a fault and a copy, some sixty times in even the
//! smallest run, and always in the same pages. A child that waits for its frame has the time to do
//! them all at once. Which pages they are is learned from a helper process that runs something small
//! and then looks at what it no longer shares.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use super::layout::{PAGE, STACK_BYTES, STACK_START};
use super::{mappings, program_pages};
use crate::arch::syscall;

/// The most ranges that are kept; a small run writes about forty.
const RANGES_MAX: usize = 256;

/// How much of the page map is read at once.
const ENTRIES: usize = 512;
const ENTRY: usize = size_of::<u64>();

/// Set for a page that is mapped, and mapped by this process alone.
const PRESENT: u64 = 1 << 63;
const EXCLUSIVE: u64 = 1 << 56;

/// Ranges of pages, in ascending order.
#[derive(Default)]
pub struct WrittenPages(Vec<Range<usize>>);

impl WrittenPages {
    /// What `run` writes, tried in a helper process. None where the kernel does not tell.
    pub fn of(run: impl FnOnce()) -> Self {
        let Ok((mut ours, mut theirs)) = pipe() else {
            return Self::default();
        };
        let child = fork();
        if child == 0 {
            run();
            let pages = Self::scan();
            let bytes: Vec<u8> = pages
                .0
                .iter()
                .flat_map(|range| [range.start.to_ne_bytes(), range.end.to_ne_bytes()])
                .flatten()
                .collect();
            let code = usize::from(theirs.write_all(&bytes).is_err());
            crate::channel::exit(code);
        }
        drop(theirs);
        let mut bytes = Vec::new();
        let read = ours.read_to_end(&mut bytes);
        if child > 0 {
            let child = child as usize;
            // SAFETY: reaps the helper; nothing is written.
            unsafe { syscall(libc::SYS_wait4, [child, 0, 0, 0, 0, 0]) };
        }
        if read.is_err() {
            return Self::default();
        }
        let words: Vec<usize> = bytes
            .chunks_exact(ENTRY)
            .map(|word| usize::from_ne_bytes(word.try_into().expect("as long as a word")))
            .collect();
        Self(words.chunks_exact(2).map(|ends| ends[0]..ends[1]).collect())
    }

    /// In a fork: makes the pages this process's own, all at once.
    pub fn fetch(&self) {
        for range in &self.0 {
            let advice = libc::MADV_POPULATE_WRITE as usize;
            // SAFETY: what the pages hold stays; ranges that are gone are refused.
            let result = unsafe {
                syscall(
                    libc::SYS_madvise,
                    [range.start, range.len(), advice, 0, 0, 0],
                )
            };
            // A kernel that does not know the advice does not learn it meanwhile.
            if result < 0 {
                return;
            }
        }
    }

    /// The writable pages that this process shares with no other.
    fn scan() -> Self {
        let mut found = Self(Vec::with_capacity(RANGES_MAX));
        let Ok(pagemap) = File::open("/proc/self/pagemap") else {
            return found;
        };
        for range in program_pages::writable_segments() {
            found.add_exclusive(&pagemap, range);
        }
        found.add_exclusive(&pagemap, STACK_START..STACK_START + STACK_BYTES);
        // Nothing is allocated while the table is held: `found` has its room already.
        mappings::for_each_writable(|range| found.add_exclusive(&pagemap, range));
        found
    }

    fn add_exclusive(&mut self, pagemap: &File, range: Range<usize>) {
        let mut buffer = [0; ENTRIES * ENTRY];
        for start in range.clone().step_by(ENTRIES * PAGE) {
            let pages = (range.end.min(start + ENTRIES * PAGE) - start) / PAGE;
            let entries = &mut buffer[..pages * ENTRY];
            let offset = start / PAGE * ENTRY;
            if pagemap.read_exact_at(entries, offset as u64).is_err() {
                return;
            }
            for (index, entry) in entries.chunks_exact(ENTRY).enumerate() {
                let entry = u64::from_ne_bytes(entry.try_into().expect("as long as an entry"));
                if entry & (PRESENT | EXCLUSIVE) == PRESENT | EXCLUSIVE {
                    self.add(start + index * PAGE);
                }
            }
        }
    }

    fn add(&mut self, page: usize) {
        let full = self.0.len() == RANGES_MAX;
        match self.0.last_mut() {
            Some(last) if last.end == page => last.end += PAGE,
            _ if full => {}
            _ => self.0.push(page..page + PAGE),
        }
    }
}

fn fork() -> isize {
    // SAFETY: without CLONE_VM this is a fork, of the one thread that is at work; no lock is held.
    let fork = || unsafe { syscall(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]) };
    // In a test program there are other threads, which may be inside the allocator.
    #[cfg(test)]
    return super::heap::quiet(fork);
    #[cfg(not(test))]
    fork()
}

fn pipe() -> std::io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors, which are new and nobody else's.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address_space::mappings::{map_anywhere, unmap};

    const PAGES: usize = 16;

    fn pages_of(start: usize, found: &WrittenPages) -> Vec<usize> {
        (0..PAGES)
            .filter(|page| {
                let address = start + page * PAGE;
                found.0.iter().any(|range| range.contains(&address))
            })
            .collect()
    }

    fn write(start: usize, page: usize) {
        // SAFETY: a page of the test's own mapping.
        unsafe { ((start + page * PAGE) as *mut u8).write_volatile(7) };
    }

    #[test]
    fn what_a_run_writes_is_found_and_fetched_before_it_writes() {
        let start = map_anywhere(PAGES * PAGE, (libc::PROT_READ | libc::PROT_WRITE) as usize);
        assert!(start > 0);
        let start = start as usize;
        // Present before the fork, so only a write makes them the child's own.
        (0..PAGES).for_each(|page| write(start, page));
        let written = WrittenPages::of(|| [3, 4, 11].iter().for_each(|page| write(start, *page)));
        assert_eq!(pages_of(start, &written), [3, 4, 11]);

        let fetched = WrittenPages::of(|| written.fetch());
        assert_eq!(pages_of(start, &fetched), [3, 4, 11]);
        let untouched = WrittenPages::of(|| {});
        assert_eq!(pages_of(start, &untouched), [0; 0]);
        unmap(start, PAGES * PAGE);
    }

    #[test]
    fn ranges_grow_over_neighbours_and_stop_at_the_bound() {
        let mut found = WrittenPages(Vec::with_capacity(RANGES_MAX));
        found.add(PAGE);
        found.add(2 * PAGE);
        assert_eq!(found.0.len(), 1);
        for page in 0..2 * RANGES_MAX {
            found.add((4 + 2 * page) * PAGE);
        }
        assert_eq!(found.0.len(), RANGES_MAX);
        let last = found.0[RANGES_MAX - 1].end;
        found.add(last);
        assert_eq!(found.0[RANGES_MAX - 1].end, last + PAGE);
    }
}
