use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use crate::layout::PAGE;
use crate::mapping_table::MappingTable;
use crate::page_set::PageSet;

const PAGE_BYTES: u64 = PAGE as u64;
/// Regions that the kernel tells in one call.
const REGIONS: usize = 512;
/// Entries of the page map that are read at once.
const ENTRIES: u64 = 4096;
/// Entries of the page map that are read at once around pages that are there.
const WINDOW: u64 = 512;
/// Pages that are read at once.
const READ_PAGES: u64 = 64;

/// The memory of another process, read while that process waits.
///
/// Its files are opened once: a process that takes the number later is another one to them. Reading
/// asks for the rights of a debugger (`ptrace_access`): the same user, and with Yama's
/// `ptrace_scope=1` an ancestor.
#[derive(Debug)]
pub struct ProcessMemory {
    pagemap: File,
    memory: File,
}

/// Which pages a process has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Pages with contents of their own. A page that maps the kernel's page of zeros is none.
    pub present: PageSet,
    /// Those among them that may differ from the parent's: mapped by this process alone, or swapped
    /// out, when nobody can tell.
    pub unshared: PageSet,
}

/// Why a process could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The kernel refuses.
    #[error("can't read the process")]
    Io(#[from] io::Error),
    /// Pages of a file, or shared with processes that are no forks: neither is the process's own.
    #[error("the {pages} pages at {start:#x} are of a file, or shared")]
    NotPrivate {
        /// The address of the first one.
        start: u64,
        /// How many.
        pages: u64,
    },
    /// More pages than allowed.
    #[error("more than {pages_max} pages")]
    TooManyPages {
        /// The limit.
        pages_max: u64,
    },
    /// It takes too long.
    #[error("the deadline has passed")]
    Deadline,
}

/// As in `linux/fs.h`.
#[repr(C)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// As in `linux/fs.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610;
const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZERO: u64 = 1 << 5;

/// Bits of an entry of the page map.
const EXCLUSIVE: u64 = 1 << 56;
const OF_FILE: u64 = 1 << 61;
const SWAPPED: u64 = 1 << 62;
const PRESENT: u64 = 1 << 63;

/// The page map, read some entries at a time: the pages of a process lie close to each other, in many
/// short ranges.
struct Entries<'a> {
    pagemap: &'a File,
    bytes: [u8; (WINDOW * 8) as usize],
    pages: Range<u64>,
}

impl<'a> Entries<'a> {
    fn new(pagemap: &'a File) -> Self {
        Self {
            pagemap,
            bytes: [0; (WINDOW * 8) as usize],
            pages: 0..0,
        }
    }

    /// The entry of a page.
    fn of(&mut self, page: u64) -> io::Result<u64> {
        if !self.pages.contains(&page) {
            self.pages = 0..0;
            let read = self.pagemap.read_at(&mut self.bytes, page * 8)? as u64;
            if read < 8 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.pages = page..page + read / 8;
        }
        let at = (page - self.pages.start) as usize;
        Ok(u64::from_le_bytes(self.bytes.as_chunks::<8>().0[at]))
    }
}

impl ProcessMemory {
    /// Takes hold of a process's memory.
    ///
    /// # Errors
    /// When there is no such process, or it may not be read.
    pub fn open(pid: u32) -> io::Result<Self> {
        Ok(Self {
            pagemap: File::open(format!("/proc/{pid}/pagemap"))?,
            memory: File::open(format!("/proc/{pid}/mem"))?,
        })
    }

    /// Which pages there are in the mappings of `table`. What is mapped elsewhere is not looked at.
    ///
    /// An absent page counts as zeros, which holds for private anonymous memory alone: a file's page
    /// that is absent reads as the file. So all of a table's memory must be anonymous, the program's
    /// variables too.
    ///
    /// Where the kernel has no `PAGEMAP_SCAN` (Linux before 6.7) this is [`Self::scan_by_pagemap`].
    ///
    /// # Errors
    /// When the kernel refuses, when a page is of a file or shared, when there are more than
    /// `pages_max`, or past the deadline.
    pub fn scan(
        &self,
        table: &MappingTable,
        pages_max: u64,
        deadline: Instant,
    ) -> Result<Scan, ScanError> {
        let (mut scan, mut count) = (Scan::default(), 0);
        let mut entries = Entries::new(&self.pagemap);
        let mut regions = [Region::default(); REGIONS];
        for range in table.pages() {
            let mut start = range.start * PAGE_BYTES;
            let end = range.end * PAGE_BYTES;
            while start < end {
                if Instant::now() >= deadline {
                    return Err(ScanError::Deadline);
                }
                let Some((found, next)) = self.regions(start..end, &mut regions)? else {
                    return self.scan_by_pagemap(table, pages_max, deadline);
                };
                for region in found
                    .iter()
                    .filter(|region| region.categories & IS_ZERO == 0)
                {
                    let pages = region.start / PAGE_BYTES..region.end / PAGE_BYTES;
                    if region.categories & IS_FILE != 0 {
                        return Err(ScanError::NotPrivate {
                            start: region.start,
                            pages: pages.end - pages.start,
                        });
                    }
                    count += pages.end - pages.start;
                    if count > pages_max {
                        return Err(ScanError::TooManyPages { pages_max });
                    }
                    pages.clone().for_each(|page| scan.present.push(page));
                    for page in pages {
                        if entries.of(page)? & (EXCLUSIVE | SWAPPED) != 0 {
                            scan.unshared.push(page);
                        }
                    }
                }
                // The kernel goes on at least one page each time.
                start = next.max(start + PAGE_BYTES);
            }
        }
        Ok(scan)
    }

    /// The same as [`Self::scan`] with the page map alone, on any kernel.
    ///
    /// The page map does not tell the kernel's page of zeros from a page that is shared with the
    /// parent, and a process that gave a page up and then only read it has one where its parent has
    /// data. So each page that is not the process's own is read, and those of zeros count as not there:
    /// this costs as much as copying the process. Whatever is read counts against `pages_max`.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn scan_by_pagemap(
        &self,
        table: &MappingTable,
        pages_max: u64,
        deadline: Instant,
    ) -> Result<Scan, ScanError> {
        let (mut there, mut shared, mut unshared) =
            (PageSet::new(), PageSet::new(), PageSet::new());
        let mut count = 0;
        let mut entries = vec![0; (ENTRIES * 8) as usize];
        for range in table.pages() {
            let mut start = range.start;
            while start < range.end {
                if Instant::now() >= deadline {
                    return Err(ScanError::Deadline);
                }
                let block = (range.end - start).min(ENTRIES);
                let bytes = &mut entries[..(block * 8) as usize];
                self.pagemap.read_exact_at(bytes, start * 8)?;
                for (page, entry) in (start..).zip(bytes.as_chunks::<8>().0) {
                    let entry = u64::from_le_bytes(*entry);
                    if entry & (PRESENT | SWAPPED) == 0 {
                        continue;
                    }
                    if entry & OF_FILE != 0 {
                        let start = page * PAGE_BYTES;
                        return Err(ScanError::NotPrivate { start, pages: 1 });
                    }
                    count += 1;
                    if count > pages_max {
                        return Err(ScanError::TooManyPages { pages_max });
                    }
                    there.push(page);
                    match entry & (EXCLUSIVE | SWAPPED) {
                        0 => shared.push(page),
                        _ => unshared.push(page),
                    }
                }
                start += block;
            }
        }
        let mut zeros = PageSet::new();
        self.read(&shared, deadline, |page, bytes| {
            if *bytes == [0; PAGE] {
                zeros.push(page);
            }
        })?;
        Ok(Scan {
            present: there.difference(&zeros),
            unshared,
        })
    }

    /// The regions with pages, as many as fit, and where to go on; nothing where the kernel lacks the
    /// call.
    fn regions<'a>(
        &self,
        range: Range<u64>,
        regions: &'a mut [Region; REGIONS],
    ) -> Result<Option<(&'a [Region], u64)>, ScanError> {
        let mut arguments = ScanArguments {
            size: size_of::<ScanArguments>() as u64,
            flags: 0,
            start: range.start,
            end: range.end,
            walk_end: 0,
            regions: regions.as_mut_ptr() as u64,
            regions_len: REGIONS as u64,
            max_pages: 0,
            category_inverted: 0,
            category_mask: 0,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_FILE | IS_PRESENT | IS_SWAPPED | IS_ZERO,
        };
        // SAFETY: the kernel reads and writes one `pm_scan_arg` and at most `regions_len` regions,
        // and both live until the call returns.
        let found =
            unsafe { libc::ioctl(self.pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut arguments) };
        if found < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOTTY) => Ok(None),
                _ => Err(error.into()),
            };
        }
        Ok(Some((&regions[..found as usize], arguments.walk_end)))
    }

    /// Reads bytes from an address on.
    pub(crate) fn read_at(&self, bytes: &mut [u8], address: u64) -> io::Result<()> {
        self.memory.read_exact_at(bytes, address)
    }

    /// Reads pages, ascending, and gives each with its number.
    ///
    /// # Errors
    /// When one can't be read, or past the deadline.
    pub fn read(
        &self,
        pages: &PageSet,
        deadline: Instant,
        mut each: impl FnMut(u64, &[u8; PAGE]),
    ) -> Result<(), ScanError> {
        let mut buffer = [0; READ_PAGES as usize * PAGE];
        for range in pages.ranges() {
            let mut start = range.start;
            while start < range.end {
                if Instant::now() >= deadline {
                    return Err(ScanError::Deadline);
                }
                let count = (range.end - start).min(READ_PAGES);
                let bytes = &mut buffer[..count as usize * PAGE];
                self.memory.read_exact_at(bytes, start * PAGE_BYTES)?;
                for (page, bytes) in (start..).zip(bytes.as_chunks().0) {
                    each(page, bytes);
                }
                start += count;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
