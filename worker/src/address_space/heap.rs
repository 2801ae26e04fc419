//! `malloc` and its family.
//!
//! A block is a header of 16 bytes and what the caller gets. Small blocks come in size classes (16
//! bytes apart up to 128, then four to a doubling), are cut from chunks of 1 MiB in the order of the
//! calls, and go back to a list of their class, last freed, first given out. Blocks over 256 KiB are
//! mappings of their own.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use super::layout::{PAGE, pages};
use super::mappings::{map_anywhere, unmap};
use crate::arch::syscall;

const HEADER: usize = size_of::<Header>();
const SMALL_MAX: usize = 256 << 10;
const CHUNK: usize = 1 << 20;
const CLASSES: usize = 64;

/// What stands before every block.
#[repr(C)]
struct Header {
    /// Where the block begins; with a large alignment that is not where the header is.
    start: usize,
    /// Its size, from `start`.
    bytes: usize,
}

struct Heap {
    free: [*mut Free; CLASSES],
    chunk: usize,
    chunk_end: usize,
}

/// A block in a list.
struct Free {
    next: *mut Free,
}

impl Heap {
    /// Where the free blocks lie, and the rest of the chunk.
    fn free_blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let free = self.free;
        let listed = (0..CLASSES).flat_map(move |class| {
            let bytes = bytes_of(class);
            let first = Some(free[class]).filter(|block| !block.is_null());
            core::iter::successors(first, |block| {
                // SAFETY: a block in a list is free and large enough for a `Free`.
                Some(unsafe { (**block).next }).filter(|block| !block.is_null())
            })
            .map(move |block| block as usize..block as usize + bytes)
        });
        listed.chain(core::iter::once(self.chunk..self.chunk_end))
    }
}

struct Global {
    heap: UnsafeCell<Heap>,
    busy: AtomicBool,
}

// SAFETY: `heap` is only touched while `busy` is held.
unsafe impl Sync for Global {}

static GLOBAL: Global = Global {
    heap: UnsafeCell::new(Heap {
        free: [ptr::null_mut(); CLASSES],
        chunk: 0,
        chunk_end: 0,
    }),
    busy: AtomicBool::new(false),
};

fn with_heap<T>(body: impl FnOnce(&mut Heap) -> T) -> T {
    while GLOBAL
        .busy
        .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        core::hint::spin_loop();
    }
    // SAFETY: `busy` makes this the only reference.
    let result = body(unsafe { &mut *GLOBAL.heap.get() });
    GLOBAL.busy.store(false, Ordering::Release);
    result
}

/// Gives up the blocks that are free now and takes new ones from a fresh chunk: free blocks lie all
/// over the heap, and each that a fork uses would be a page of its parent's to copy, while in the
/// fresh chunk they lie side by side. Pages that only held free blocks go back to the kernel.
pub fn start_afresh() {
    with_heap(|heap| {
        let read_write = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let blocks = heap.free_blocks().count();
        let list_bytes = pages(blocks * size_of::<Range<usize>>()).unwrap_or(0);
        let list = map_anywhere(list_bytes, read_write);
        if list < 0 {
            return;
        }
        // SAFETY: the mapping is fresh and large enough, and zeros are valid ranges.
        let ranges = unsafe { core::slice::from_raw_parts_mut(list as *mut Range<usize>, blocks) };
        for (range, block) in ranges.iter_mut().zip(heap.free_blocks()) {
            *range = block;
        }
        ranges.sort_unstable_by_key(|block| block.start);
        heap.free = [ptr::null_mut(); CLASSES];
        for joined in ranges.chunk_by(|block, next| block.end == next.start) {
            let start = joined[0].start.next_multiple_of(PAGE);
            let end = joined[joined.len() - 1].end & !(PAGE - 1);
            if start < end {
                // SAFETY: nothing but free blocks lies there, and nobody knows of them any more.
                unsafe {
                    let advice = libc::MADV_DONTNEED as usize;
                    syscall(libc::SYS_madvise, [start, end - start, advice, 0, 0, 0]);
                }
            }
        }
        unmap(list as usize, list_bytes);
        let start = map_anywhere(CHUNK, read_write);
        if start >= 0 {
            heap.chunk = start as usize;
            heap.chunk_end = start as usize + CHUNK;
        }
    });
}

/// Whether a block is wiped when it is freed.
static WIPES: AtomicBool = AtomicBool::new(false);

/// From here on nothing is left of what is freed: what is free is part of an image too, and can hold
/// what a script has long forgotten. It costs a little at each `free`, so only processes whose memory
/// is kept do it.
pub fn wipe_what_is_freed() {
    WIPES.store(true, Ordering::Relaxed);
}

/// Runs `body` while no other thread is inside the allocator. A fork copies one thread and all
/// locks; where there is a second thread, as in a test program, this is how to fork.
#[cfg(test)]
pub fn quiet<T>(body: impl FnOnce() -> T) -> T {
    with_heap(|_| super::mappings::quiet(body))
}

/// The class of a block of `bytes`, and the size of that class.
const fn class_of(bytes: usize) -> (usize, usize) {
    if bytes <= 128 {
        let class = bytes.div_ceil(16);
        return (class, class * 16);
    }
    // `doubling` is the power of two below `bytes`; the class is one of four steps above it.
    let doubling = usize::BITS as usize - 1 - (bytes - 1).leading_zeros() as usize;
    let step = 1 << (doubling - 2);
    let steps = (bytes - (1 << doubling)).div_ceil(step);
    (
        9 + (doubling - 7) * 4 + (steps - 1),
        (1 << doubling) + steps * step,
    )
}

/// The size of the blocks of a class.
const fn bytes_of(class: usize) -> usize {
    if class < 9 {
        return class * 16;
    }
    let (doubling, steps) = (7 + (class - 9) / 4, (class - 9) % 4 + 1);
    (1 << doubling) + steps * (1 << (doubling - 2))
}

const _: () = {
    assert!(class_of(SMALL_MAX).0 < CLASSES);
    let mut bytes = 16;
    while bytes <= SMALL_MAX {
        let (class, rounded) = class_of(bytes);
        assert!(bytes_of(class) == rounded);
        bytes += 16;
    }
};

/// A block of at least `bytes`: its start and size.
fn take(bytes: usize) -> Option<(usize, usize)> {
    if bytes > SMALL_MAX {
        let bytes = pages(bytes)?;
        let start = map_anywhere(bytes, (libc::PROT_READ | libc::PROT_WRITE) as usize);
        return if start < 0 {
            None
        } else {
            Some((start as usize, bytes))
        };
    }
    let (class, bytes) = class_of(bytes);
    with_heap(|heap| {
        let first = heap.free[class];
        if !first.is_null() {
            // SAFETY: blocks in the list are free and large enough for a `Free`.
            heap.free[class] = unsafe { (*first).next };
            return Some((first as usize, bytes));
        }
        if heap.chunk + bytes > heap.chunk_end {
            let start = map_anywhere(CHUNK, (libc::PROT_READ | libc::PROT_WRITE) as usize);
            if start < 0 {
                return None;
            }
            // Chunks that follow one another are used as one; a rest before a gap stays unused.
            if heap.chunk_end != start as usize {
                heap.chunk = start as usize;
            }
            heap.chunk_end = start as usize + CHUNK;
        }
        let start = heap.chunk;
        heap.chunk += bytes;
        Some((start, bytes))
    })
}

fn allocate(bytes: usize, alignment: usize) -> *mut c_void {
    let padding = if alignment > 16 { alignment } else { 0 };
    let block = bytes.checked_add(HEADER + padding).and_then(take);
    let Some((start, capacity)) = block else {
        // SAFETY: the thread's own errno.
        unsafe { *libc::__errno_location() = libc::ENOMEM };
        return ptr::null_mut();
    };
    let mut payload = start + HEADER;
    if padding > 0 {
        payload = payload.next_multiple_of(alignment);
    }
    // SAFETY: the block has room for the header before the payload, and both are ours.
    unsafe {
        ((payload - HEADER) as *mut Header).write(Header {
            start,
            bytes: capacity,
        })
    };
    payload as *mut c_void
}

/// # Safety
/// `payload` came from [`allocate`] and was not freed.
unsafe fn header(payload: *mut c_void) -> Header {
    // SAFETY: every block has its header right before the payload.
    unsafe { ((payload as usize - HEADER) as *const Header).read() }
}

/// As in C.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(bytes: usize) -> *mut c_void {
    allocate(bytes, 16)
}

/// As in C.
///
/// # Safety
/// `payload` is null or a live block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(payload: *mut c_void) {
    if payload.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    let Header { start, bytes } = unsafe { header(payload) };
    if bytes > SMALL_MAX {
        let unmapped = unmap(start, bytes);
        debug_assert!(unmapped == 0);
        return;
    }
    let (class, _) = class_of(bytes);
    if WIPES.load(Ordering::Relaxed) {
        // SAFETY: the whole block is free now.
        unsafe { ptr::write_bytes(start as *mut u8, 0, bytes) };
    }
    with_heap(|heap| {
        let block = start as *mut Free;
        // SAFETY: the block is free now and large enough.
        unsafe {
            block.write(Free {
                next: heap.free[class],
            })
        };
        heap.free[class] = block;
    });
}

/// As in C.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else {
        // SAFETY: the thread's own errno.
        unsafe { *libc::__errno_location() = libc::ENOMEM };
        return ptr::null_mut();
    };
    let payload = allocate(bytes, 16);
    // A mapping of its own is fresh from the kernel and zero already.
    if !payload.is_null() && bytes + HEADER <= SMALL_MAX {
        // SAFETY: the block has at least `bytes`.
        unsafe { ptr::write_bytes(payload.cast::<u8>(), 0, bytes) };
    }
    payload
}

/// As in C.
///
/// # Safety
/// `payload` is null or a live block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(payload: *mut c_void, bytes: usize) -> *mut c_void {
    if payload.is_null() {
        return malloc(bytes);
    }
    // SAFETY: the caller's promise.
    let usable = unsafe { malloc_usable_size(payload) };
    if bytes <= usable && bytes >= usable / 2 {
        return payload;
    }
    let moved = malloc(bytes);
    if !moved.is_null() {
        // SAFETY: both blocks have at least that many bytes and are not the same.
        unsafe {
            ptr::copy_nonoverlapping(payload.cast::<u8>(), moved.cast::<u8>(), usable.min(bytes));
            free(payload);
        }
    }
    moved
}

/// How many bytes of a block the caller may use.
///
/// # Safety
/// `payload` is null or a live block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(payload: *mut c_void) -> usize {
    if payload.is_null() {
        return 0;
    }
    // SAFETY: the caller's promise.
    let Header { start, bytes } = unsafe { header(payload) };
    start + bytes - payload as usize
}

/// As in C.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(alignment: usize, bytes: usize) -> *mut c_void {
    allocate(bytes, alignment)
}

/// As in C.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(alignment: usize, bytes: usize) -> *mut c_void {
    allocate(bytes, alignment)
}

/// As in C.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(bytes: usize) -> *mut c_void {
    allocate(bytes, super::layout::PAGE)
}

/// As in C.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(bytes: usize) -> *mut c_void {
    pages(bytes).map_or(ptr::null_mut(), |bytes| valloc(bytes))
}

/// As in POSIX.
///
/// # Safety
/// `result` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    result: *mut *mut c_void,
    alignment: usize,
    bytes: usize,
) -> c_int {
    let payload = allocate(bytes, alignment);
    if payload.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *result = payload };
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_grow_and_hold_what_they_are_asked_for() {
        let mut last = (0, 0);
        for bytes in 1..=SMALL_MAX {
            let (class, size) = class_of(bytes);
            assert!(
                size >= bytes && size % 16 == 0,
                "{bytes} bytes in a class of {size}"
            );
            assert!(
                size < bytes + bytes / 4 + 16,
                "{bytes} bytes in a class of {size}"
            );
            assert!(class < CLASSES);
            assert!(class == last.0 && size == last.1 || class > last.0 && size > last.1);
            assert_eq!(class_of(size), (class, size), "a class holds its own size");
            last = (class, size);
        }
    }

    /// Which whole pages of a block the kernel still holds.
    fn present_pages(block: *mut c_void, bytes: usize) -> usize {
        let start = (block as usize).next_multiple_of(PAGE);
        let count = (block as usize + bytes - start) / PAGE;
        let mut entries = vec![0; count * 8];
        let pagemap = std::fs::File::open("/proc/self/pagemap").expect("readable");
        let offset = (start / PAGE * 8) as u64;
        std::os::unix::fs::FileExt::read_exact_at(&pagemap, &mut entries, offset).expect("there");
        entries.chunks(8).filter(|entry| entry[7] >> 7 == 1).count()
    }

    #[test]
    fn a_fresh_start_gives_free_pages_back_and_leaves_used_blocks_alone() {
        // A class that no other test uses.
        const BYTES: usize = 200 << 10;
        // SAFETY: each block is written inside its size, freed once, and not used after.
        unsafe {
            let freed = malloc(BYTES);
            let used = malloc(BYTES);
            freed.cast::<u8>().write_bytes(1, BYTES);
            used.cast::<u8>().write_bytes(2, BYTES);
            assert!(present_pages(freed, BYTES) > 40);
            free(freed);
            start_afresh();
            assert_eq!(present_pages(freed, BYTES), 0);
            let used_bytes = core::slice::from_raw_parts(used.cast::<u8>(), BYTES);
            assert!(used_bytes.iter().all(|byte| *byte == 2));
            let next = malloc(BYTES);
            assert_ne!(next, freed, "nobody knows of the block any more");
            free(next);
            free(used);
        }
    }
}
