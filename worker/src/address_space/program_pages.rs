//! The program's own read-only pages, as forks see them.
//!
//! A fork copies the page table of anonymous memory only; what is mapped from a file is left to be
//! faulted in again, page by page, on the way of every run. Two things spare forks that:
//!
//! * The text, the relocated constants, and of the other constants what a run uses, are moved into
//!   anonymous huge pages where the kernel has them. A fork then copies one entry for 2 MiB, faults
//!   in none of it, and needs a five-hundredth of the translations while it runs.
//! * Where there are no huge pages: the kernel does copy the page table of a file's mapping in which a
//!   page was ever copied on write. So one byte of each segment is written with its own value, and
//!   from then on a fork gets the pages that its parent had.
//!
//! The addresses and the contents stay the same in both cases.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};

use super::layout::{PAGE, pages};
use crate::arch::{HUGE_PAGE, syscall};

unsafe extern "C" {
    static __ehdr_start: libc::Elf64_Ehdr;
}

const READ: usize = libc::PROT_READ as usize;
const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;
const READ_EXECUTE: usize = (libc::PROT_READ | libc::PROT_EXEC) as usize;

/// Makes every page of the program's variables the process's own. A page that is still the file's can
/// vanish and come back, and where it is absent it does not read as zeros, as all other memory of a
/// worker does. Called before anything in them is made read-only.
pub fn own_variables() {
    for range in initialised_variables() {
        for page in range.step_by(PAGE) {
            // SAFETY: a loaded segment that may be written; the value stays, whoever else writes.
            let byte = unsafe { AtomicU8::from_ptr(page as *mut u8) };
            // An exchange, since the compiler makes a mere read of an addition of nothing.
            let same = |byte| Some(byte);
            let written = byte.fetch_update(Ordering::Relaxed, Ordering::Relaxed, same);
            debug_assert!(written.is_ok());
        }
    }
}

/// The pages of variables that the program's file has values for.
fn initialised_variables() -> impl Iterator<Item = Range<usize>> {
    let is_relro = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_GNU_RELRO;
    let relro = program_headers().iter().find(is_relro).map(range_of);
    program_headers()
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W != 0)
        .map(|header| {
            let start = header.p_vaddr as usize & !(PAGE - 1);
            start..((header.p_vaddr + header.p_filesz) as usize).next_multiple_of(PAGE)
        })
        .filter(move |range| {
            relro
                .as_ref()
                .is_none_or(|relro| relro.start != range.start)
        })
}

/// Where the program's variables lie that are part of an image: all but the relocated constants.
pub fn variables() -> Range<usize> {
    let relro = program_headers()
        .iter()
        .find(|header| header.p_type == libc::PT_GNU_RELRO)
        .map(range_of);
    writable_segments()
        .find(|segment| {
            relro
                .as_ref()
                .is_none_or(|relro| relro.start != segment.start)
        })
        .expect("a program has variables")
}

/// The huge pages of constants that were used since they were forgotten, by their addresses.
pub fn used_constants() -> Vec<u64> {
    let constants = program_headers().iter().filter(|it| is_constants(it));
    let pages = constants.flat_map(|header| huge_pages(&range_of(header)));
    pages
        .filter(is_used)
        .map(|page| page.start as u64)
        .collect()
}

/// Drops the constants that only the start needed: what is used from here on is what forks get.
pub fn forget_used_constants() {
    for header in program_headers() {
        if is_constants(header) {
            let range = range_of(header);
            advise(&range, libc::MADV_DONTNEED as usize);
        }
    }
}

/// Lets forks inherit the program's read-only pages, of the constants those in `used`. Where the kernel
/// does not play along nothing happens, and forks are only slower.
pub fn share_with_forks(used: &[u64]) {
    for header in program_headers() {
        let range = range_of(header);
        let moved = if is_constants(header) {
            huge_pages(&range)
                .filter(|page| used.contains(&(page.start as u64)))
                .all(|page| move_to_huge_pages(page, READ).is_ok())
        } else if is_text(header) {
            move_to_huge_pages(range.clone(), READ_EXECUTE).is_ok()
        } else if header.p_type == libc::PT_GNU_RELRO {
            move_to_huge_pages(range.clone(), READ).is_ok()
        } else {
            continue;
        };
        if !moved {
            inherit(&range);
        }
    }
}

/// Where the program's own variables lie.
pub fn writable_segments() -> impl Iterator<Item = Range<usize>> {
    program_headers()
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W != 0)
        .map(range_of)
}

fn is_text(header: &libc::Elf64_Phdr) -> bool {
    header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0
}

fn is_constants(header: &libc::Elf64_Phdr) -> bool {
    header.p_type == libc::PT_LOAD && header.p_flags & (libc::PF_X | libc::PF_W) == 0
}

fn range_of(header: &libc::Elf64_Phdr) -> Range<usize> {
    let start = header.p_vaddr as usize & !(PAGE - 1);
    start..((header.p_vaddr + header.p_memsz) as usize).next_multiple_of(PAGE)
}

/// `range`, cut where huge pages end.
fn huge_pages(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    let first = start & !(HUGE_PAGE - 1);
    (first..end)
        .step_by(HUGE_PAGE)
        .map(move |page| page.max(start)..(page + HUGE_PAGE).min(end))
}

/// Whether any page of a range no longer than a huge page is mapped in.
fn is_used(range: &Range<usize>) -> bool {
    const ENTRY: usize = size_of::<u64>();
    const PRESENT: u8 = 1 << 7;
    let mut entries = [0; HUGE_PAGE / PAGE * ENTRY];
    let entries = &mut entries[..range.len() / PAGE * ENTRY];
    let Ok(pagemap) = File::open("/proc/self/pagemap") else {
        return false;
    };
    let offset = range.start / PAGE * ENTRY;
    pagemap.read_exact_at(entries, offset as u64).is_ok()
        && entries
            .chunks_exact(ENTRY)
            .any(|entry| entry[ENTRY - 1] & PRESENT != 0)
}

/// Makes the kernel copy the page table of `range` at a fork.
fn inherit(range: &Range<usize>) {
    let Ok(memory) = OpenOptions::new().write(true).open("/proc/self/mem") else {
        return;
    };
    // SAFETY: a byte of a loaded, readable segment.
    let byte = unsafe { (range.start as *const u8).read_volatile() };
    // A kernel that forbids it has slower forks.
    let _ = memory.write_at(&[byte], range.start as u64);
}

/// Puts an anonymous copy of `range` in its place, if it can be had in huge pages: in small ones it
/// would be worse than the file. The linker leaves holes between the segments (`build.rs`), so that a
/// huge page at the end of one has room.
fn move_to_huge_pages(range: Range<usize>, protection: usize) -> Result<(), isize> {
    const ANYWHERE: usize =
        (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    let target = range.start & !(HUGE_PAGE - 1);
    let bytes = range.end.next_multiple_of(HUGE_PAGE) - target;
    let has_neighbours = program_headers().iter().any(|header| {
        let other = range_of(header);
        let inside = other.start < range.end && range.start < other.end;
        header.p_type == libc::PT_LOAD
            && !inside
            && other.start < target + bytes
            && target < other.end
    });
    if has_neighbours {
        return Err(-(libc::EEXIST as isize));
    }
    let reserved = bytes + HUGE_PAGE;
    let reservation = call(
        libc::SYS_mmap,
        [0, reserved, READ_WRITE, ANYWHERE, usize::MAX, 0],
    )?;
    let copy = reservation.next_multiple_of(HUGE_PAGE);
    // SAFETY: the target is the range's own huge pages, where nothing else lies.
    let moved = unsafe { fill_and_move(&range, copy, bytes, protection) };
    // What was moved away is not there any more, which is no error.
    call(libc::SYS_munmap, [reservation, reserved, 0, 0, 0, 0])?;
    moved
}

/// # Safety
/// `copy` is a mapping of `bytes` that is the caller's own, and nothing but `range` lies in the huge
/// pages of `range`.
unsafe fn fill_and_move(
    range: &Range<usize>,
    copy: usize,
    bytes: usize,
    protection: usize,
) -> Result<(), isize> {
    const MADV_COLLAPSE: usize = 25;
    let target = range.start & !(HUGE_PAGE - 1);
    let copied = copy..copy + bytes;
    // A kernel without huge pages refuses this, and the next advice too.
    advise(&copied, libc::MADV_HUGEPAGE as usize);
    // SAFETY: both are mapped, as long as told, and do not overlap.
    unsafe {
        let to = (copy + range.start - target) as *mut u8;
        core::ptr::copy_nonoverlapping(range.start as *const u8, to, range.len());
    }
    if !advise(&copied, MADV_COLLAPSE) {
        return Err(-(libc::EAGAIN as isize));
    }
    call(libc::SYS_mprotect, [copy, bytes, protection, 0, 0, 0])?;
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
    call(libc::SYS_mremap, [copy, bytes, bytes, flags, target, 0]).map(drop)
}

fn advise(range: &Range<usize>, advice: usize) -> bool {
    let bytes = pages(range.len()).unwrap_or(0);
    call(libc::SYS_madvise, [range.start, bytes, advice, 0, 0, 0]).is_ok()
}

fn call(number: i64, arguments: [usize; 6]) -> Result<usize, isize> {
    // SAFETY: the callers change only mappings of their own, and drop or replace pages of the program
    // only where the same bytes come back.
    match unsafe { syscall(number, arguments) } {
        failed if failed < 0 => Err(failed),
        result => Ok(result as usize),
    }
}

fn program_headers() -> &'static [libc::Elf64_Phdr] {
    // SAFETY: the linker puts the header of this program, and the table it points to, in a segment
    // that is loaded.
    unsafe {
        let elf = &raw const __ehdr_start;
        let table = elf.cast::<u8>().add((*elf).e_phoff as usize).cast();
        core::slice::from_raw_parts(table, (*elf).e_phnum as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each read-only segment: where it is, how it may be used, and a sum of its bytes.
    fn read_only_segments() -> Vec<(Range<usize>, String, u64)> {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
        let protection_at = |address: usize| {
            let line = maps.lines().find(|line| {
                let (range, _) = line.split_once(' ').expect("a range first");
                let (start, end) = range.split_once('-').expect("two ends");
                let hexadecimal = |end| usize::from_str_radix(end, 16).expect("a number");
                (hexadecimal(start)..hexadecimal(end)).contains(&address)
            });
            let line = line.expect("mapped");
            line.split(' ').nth(1).expect("the protection").to_owned()
        };
        program_headers()
            .iter()
            .filter(|header| {
                is_text(header) || is_constants(header) || header.p_type == libc::PT_GNU_RELRO
            })
            .map(|header| {
                let range = range_of(header);
                // SAFETY: a loaded, readable segment that nobody writes.
                let bytes =
                    unsafe { core::slice::from_raw_parts(range.start as *const u8, range.len()) };
                let sum = bytes.iter().fold(0_u64, |sum, byte| {
                    sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
                });
                let protection = protection_at(range.start);
                (range, protection, sum)
            })
            .collect()
    }

    #[test]
    fn the_program_stays_what_and_where_it_was() {
        let before = read_only_segments();
        assert!(before.iter().any(|(_, protection, _)| protection == "r-xp"));
        // The other threads of the test program go on running in it meanwhile.
        forget_used_constants();
        share_with_forks(&used_constants());
        assert_eq!(read_only_segments(), before);
    }

    #[test]
    fn no_page_of_the_variables_is_the_files() {
        const PRESENT: u64 = 1 << 63;
        const OF_A_FILE: u64 = 1 << 61;
        own_variables();
        let pagemap = File::open("/proc/self/pagemap").expect("readable");
        let mut pages = 0;
        for page in initialised_variables().flat_map(|range| range.step_by(PAGE)) {
            let mut entry = [0; size_of::<u64>()];
            let offset = page / PAGE * entry.len();
            pagemap
                .read_exact_at(&mut entry, offset as u64)
                .expect("mapped");
            let entry = u64::from_ne_bytes(entry);
            assert_eq!(entry & (PRESENT | OF_A_FILE), PRESENT, "{page:#x}");
            pages += 1;
        }
        assert!(pages > 1);
    }

    #[test]
    fn a_range_is_cut_where_huge_pages_end() {
        let range = HUGE_PAGE - PAGE..3 * HUGE_PAGE + PAGE;
        let cut: Vec<_> = huge_pages(&range).collect();
        assert_eq!(
            cut,
            [
                HUGE_PAGE - PAGE..HUGE_PAGE,
                HUGE_PAGE..2 * HUGE_PAGE,
                2 * HUGE_PAGE..3 * HUGE_PAGE,
                3 * HUGE_PAGE..3 * HUGE_PAGE + PAGE
            ]
        );
    }
}
