//! `mmap` and its relatives, as this program and V8 see them.
//!
//! The addresses come from the [`table`](super::table), the kernel only confirms them; hints are
//! not looked at, because V8 draws them at random. All mappings are private, anonymous and not
//! reserved: equal neighbours then merge in the kernel as they do in the table.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::layout::{
    ARENA_START, PAGE, REGION_END, REGION_START, TABLE_BYTES, TABLE_ENTRIES_MAX,
    TABLE_HEADER_BYTES, TABLE_START, pages,
};
use super::table::{Entry, Refused, Table};
use crate::arch::syscall;

/// What stands before the table's entries, for the node to read.
#[repr(C)]
pub struct TableHeader {
    length: usize,
}

/// Whether the table's memory is there yet, and whether somebody is at it.
struct State {
    started: AtomicBool,
    busy: AtomicBool,
}

static STATE: State = State {
    started: AtomicBool::new(false),
    busy: AtomicBool::new(false),
};

/// How often the table had no entry left: that is a limit of its own, not a lack of memory.
static ENTRIES_REFUSED: AtomicU64 = AtomicU64::new(0);

const PRIVATE: usize =
    (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED) as usize;

/// Runs `body` with the table. The start thread may still be in `pthread_create` when V8's thread
/// makes its first mapping, so there is a lock, though nobody ever waits long at it.
fn with_table<T>(body: impl FnOnce(&mut Table<'_>) -> T) -> T {
    while STATE
        .busy
        .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        core::hint::spin_loop();
    }
    if !STATE.started.load(Ordering::Relaxed) {
        // SAFETY: a fixed mapping at an address that nothing else in this program uses.
        let mapped = unsafe {
            kernel_map(
                TABLE_START,
                TABLE_BYTES,
                (libc::PROT_READ | libc::PROT_WRITE) as usize,
            )
        };
        if mapped < 0 {
            // SAFETY: ends the process; without a table there is nothing to go on with.
            unsafe { syscall(libc::SYS_exit_group, [70, 0, 0, 0, 0, 0]) };
        }
        STATE.started.store(true, Ordering::Relaxed);
    }
    let first = TABLE_START + TABLE_HEADER_BYTES;
    // SAFETY: the memory was mapped above, a header and entries of zeros are valid, and the lock makes
    // these the only references.
    let (header, entries) = unsafe {
        (
            &mut *(TABLE_START as *mut TableHeader),
            core::slice::from_raw_parts_mut(first as *mut Entry, TABLE_ENTRIES_MAX),
        )
    };
    let result = body(&mut Table::new(entries, &mut header.length));
    STATE.busy.store(false, Ordering::Release);
    result
}

/// Runs `body` while no other thread is inside the table.
#[cfg(test)]
pub fn quiet<T>(body: impl FnOnce() -> T) -> T {
    with_table(|_| body())
}

/// Calls `body` with each writable mapping. It must not allocate: the table is held meanwhile.
pub fn for_each_writable(mut body: impl FnMut(core::ops::Range<usize>)) {
    with_table(|table| {
        for entry in table.entries() {
            if entry.protection & libc::PROT_WRITE as usize != 0 {
                body(entry.start..entry.end);
            }
        }
    });
}

/// Whether a mapping was ever refused because the table was full.
pub fn ran_out_of_entries() -> bool {
    ENTRIES_REFUSED.load(Ordering::Relaxed) > 0
}

/// # Safety
/// As for `mmap` with `MAP_FIXED`: what lies in the range is lost.
unsafe fn kernel_map(start: usize, bytes: usize, protection: usize) -> isize {
    // SAFETY: the caller owns the range.
    unsafe {
        syscall(
            libc::SYS_mmap,
            [start, bytes, protection, PRIVATE, usize::MAX, 0],
        )
    }
}

/// Whether one more change of any kind is sure to fit.
fn has_room(table: &Table<'_>) -> bool {
    let room = table.entries().len() + 2 <= TABLE_ENTRIES_MAX;
    if !room {
        ENTRIES_REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    room
}

/// Maps `bytes` (rounded up to pages) at the lowest free address; gives the address or a negated
/// `errno`.
pub fn map_anywhere(bytes: usize, protection: usize) -> isize {
    let Some(bytes) = pages(bytes).filter(|bytes| *bytes > 0) else {
        return -(libc::EINVAL as isize);
    };
    with_table(|table| {
        if !has_room(table) {
            return -(libc::ENOMEM as isize);
        }
        let Ok(start) = table.find(bytes) else {
            return -(libc::ENOMEM as isize);
        };
        // SAFETY: the table says that the range is free.
        let mapped = unsafe { kernel_map(start, bytes, protection) };
        if mapped >= 0 {
            table
                .map(start, start + bytes, protection)
                .expect("a free gap and room for it");
        }
        mapped
    })
}

fn map_fixed(start: usize, bytes: usize, protection: usize, replace: bool) -> isize {
    let Some(bytes) = pages(bytes).filter(|bytes| *bytes > 0) else {
        return -(libc::EINVAL as isize);
    };
    let in_arena = (ARENA_START..=REGION_END).contains(&start) && REGION_END - start >= bytes;
    if !in_arena || !start.is_multiple_of(PAGE) {
        return -(libc::ENOMEM as isize);
    }
    with_table(|table| {
        if !has_room(table) {
            return -(libc::ENOMEM as isize);
        }
        if !replace && !table.is_free(start, start + bytes) {
            return -(libc::EEXIST as isize);
        }
        // SAFETY: inside the arena, where the caller of `MAP_FIXED` answers for what it replaces.
        let mapped = unsafe { kernel_map(start, bytes, protection) };
        if mapped >= 0 {
            table
                .map(start, start + bytes, protection)
                .expect("checked range and room");
        }
        mapped
    })
}

/// Unmaps a range of the arena; gives 0 or a negated `errno`.
pub fn unmap(start: usize, bytes: usize) -> isize {
    let Some(bytes) = pages(bytes).filter(|bytes| *bytes > 0) else {
        return -(libc::EINVAL as isize);
    };
    with_table(|table| {
        let end = start.wrapping_add(bytes);
        match table.unmap(start, end) {
            // SAFETY: the range lies in the arena and its owner gives it up.
            Ok(()) => unsafe { syscall(libc::SYS_munmap, [start, bytes, 0, 0, 0, 0]) },
            Err(Refused::Entries) => {
                ENTRIES_REFUSED.fetch_add(1, Ordering::Relaxed);
                -(libc::ENOMEM as isize)
            }
            Err(_) => -(libc::EINVAL as isize),
        }
    })
}

fn protect(start: usize, bytes: usize, protection: usize) -> isize {
    let Some(bytes) = pages(bytes) else {
        return -(libc::EINVAL as isize);
    };
    if bytes == 0 {
        return 0;
    }
    if !(REGION_START..REGION_END).contains(&start) {
        // The program's own variables stay writable: the table, and so an image, does not know them.
        return -(libc::EACCES as isize);
    }
    with_table(|table| {
        if !has_room(table) {
            return -(libc::ENOMEM as isize);
        }
        // SAFETY: changes a protection only.
        let changed = unsafe { syscall(libc::SYS_mprotect, [start, bytes, protection, 0, 0, 0]) };
        if changed == 0 {
            // The kernel agreed, so the range was mapped throughout; the table must know it as well.
            table
                .protect(start, start + bytes, protection)
                .expect("the table mirrors the kernel");
        }
        changed
    })
}

/// Turns a raw result into what a C caller expects.
fn with_errno(result: isize) -> Result<usize, ()> {
    if result < 0 {
        // SAFETY: the thread's own errno.
        unsafe { *libc::__errno_location() = (-result) as c_int };
        Err(())
    } else {
        Ok(result as usize)
    }
}

/// As in POSIX, but only for private anonymous memory; hints are not looked at.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    _descriptor: c_int,
    _offset: i64,
) -> *mut c_void {
    let result = if flags & libc::MAP_ANONYMOUS == 0 || flags & libc::MAP_PRIVATE == 0 {
        -(libc::ENODEV as isize)
    } else if flags & libc::MAP_FIXED_NOREPLACE != 0 {
        map_fixed(address as usize, bytes, protection as usize, false)
    } else if flags & libc::MAP_FIXED != 0 {
        map_fixed(address as usize, bytes, protection as usize, true)
    } else {
        map_anywhere(bytes, protection as usize)
    };
    with_errno(result).map_or(libc::MAP_FAILED, |start| start as *mut c_void)
}

/// The same as [`mmap`].
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: the caller's promise is passed on.
    unsafe { mmap(address, bytes, protection, flags, descriptor, offset) }
}

/// As in POSIX, inside the arena.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, bytes: usize) -> c_int {
    with_errno(unmap(address as usize, bytes)).map_or(-1, |_| 0)
}

/// As in POSIX.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mprotect(address: *mut c_void, bytes: usize, protection: c_int) -> c_int {
    with_errno(protect(address as usize, bytes, protection as usize)).map_or(-1, |_| 0)
}

/// There is no moving of mappings; V8 and libc have another way when this fails.
///
/// # Safety
/// Nothing is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mremap(
    _address: *mut c_void,
    _old_bytes: usize,
    _new_bytes: usize,
    _flags: c_int,
) -> *mut c_void {
    with_errno(-(libc::ENOSYS as isize)).map_or(libc::MAP_FAILED, |_| ptr::null_mut())
}

/// As on Linux, but pages are dropped at once instead of lazily (`MADV_FREE` would leave it to the
/// kernel what a page holds), and a fork always gets all of them.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn madvise(address: *mut c_void, bytes: usize, advice: c_int) -> c_int {
    let advice = match advice {
        libc::MADV_FREE | libc::MADV_DONTNEED => libc::MADV_DONTNEED,
        _ => return 0,
    };
    // SAFETY: the caller gives up the contents of these pages.
    let result = unsafe {
        syscall(
            libc::SYS_madvise,
            [address as usize, bytes, advice as usize, 0, 0, 0],
        )
    };
    with_errno(result).map_or(-1, |_| 0)
}

/// As in POSIX.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_madvise(
    _address: *mut c_void,
    _bytes: usize,
    _advice: c_int,
) -> c_int {
    0
}

/// There are no protection keys: they differ from machine to machine.
#[unsafe(no_mangle)]
pub extern "C" fn pkey_alloc(_flags: u32, _rights: u32) -> c_int {
    with_errno(-(libc::ENOSPC as isize)).map_or(-1, |_| 0)
}
