//! Waiting as an image does, and becoming one.
//!
//! A process that waits in [`rest`] has all of its state in memory: the region, the program's
//! variables, and on its stack what it goes on with. So whatever process is given that memory page by
//! page, and takes the stack and the thread pointer from it, is that process ([`become_image`]).

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use worker_protocol::{STEP_BYTES, StepKind, fd};

use super::layout::{ENTRY_STACK_BYTES, ENTRY_STACK_START, PAGE, REGION_END, REGION_START};
use super::program_pages;
use crate::arch::{become_thread, on_stack, park, syscall, thread_pointer};
use crate::channel::exit;

/// The stack of the process that waits, for whoever becomes it.
static STACK_AT: AtomicUsize = AtomicUsize::new(0);

/// The thread pointer of V8's thread.
static THREAD_POINTER: AtomicUsize = AtomicUsize::new(0);

/// An encoded frame `Resting`: nothing can be encoded by a process that has just become another.
static RESTING: [u8; 6] = [2, 0, 0, 0, 0x42, 0];

/// Why a process that was to become an image ended.
const EXIT_PLAN: usize = 71;

const FORK_FLAGS: usize = (libc::CLONE_PARENT | libc::SIGCHLD) as usize;

/// Where the program's variables lie, for the checks of a plan: nothing can be looked up while it is
/// followed.
static SEGMENT_START: AtomicUsize = AtomicUsize::new(0);
static SEGMENT_END: AtomicUsize = AtomicUsize::new(0);

/// Sends `reply` and waits for orders to fork; returns in the children only, with the reply that the
/// parent sent, which is theirs to give up.
pub fn rest(reply: &[u8]) {
    THREAD_POINTER.store(thread_pointer(), Ordering::Relaxed);
    // SAFETY: this is V8's thread, no lock of libc is held, the flags share nothing, and this process
    // became no image just now.
    unsafe {
        park(
            fd::ORDERS,
            FORK_FLAGS,
            reply.as_ptr(),
            reply.len(),
            STACK_AT.as_ptr(),
            false,
        );
    }
}

/// Follows the plan on the channel, which ends in this process being the one that the image on
/// [`fd::IMAGE`] was made of. Everything that may be done about untrusted code must be done before.
pub fn become_image() -> ! {
    let segments = program_pages::variables();
    SEGMENT_START.store(segments.start, Ordering::Relaxed);
    SEGMENT_END.store(segments.end, Ordering::Relaxed);
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a range above the region, where nothing else of this program lies.
    let mapped = unsafe {
        syscall(
            libc::SYS_mmap,
            [
                ENTRY_STACK_START,
                ENTRY_STACK_BYTES,
                protection,
                flags as usize,
                usize::MAX,
                0,
            ],
        )
    };
    if mapped != ENTRY_STACK_START as isize {
        exit(EXIT_PLAN);
    }
    // SAFETY: just mapped.
    unsafe { on_stack(ENTRY_STACK_START + ENTRY_STACK_BYTES, follow_plan) }
}

/// What a step says.
#[derive(Clone, Copy)]
struct RawStep {
    kind: u32,
    start: usize,
    bytes: usize,
    value: usize,
}

/// Steps that are read at once.
const STEPS: usize = 256;

/// From here to the end nothing is called but the kernel, and nothing is used but this stack and
/// constants: all other memory is that of two processes at once.
unsafe extern "C" fn follow_plan() -> ! {
    let (segment_start, segment_end) = (
        SEGMENT_START.load(Ordering::Relaxed),
        SEGMENT_END.load(Ordering::Relaxed),
    );
    let mut buffer = MaybeUninit::<[u8; STEPS * STEP_BYTES]>::uninit();
    let at = buffer.as_mut_ptr() as usize;
    let mut filled = 0;
    // From here on only this stack changes, so the node can look at what else is there.
    let waiting = [
        fd::CHANNEL as usize,
        (&raw const RESTING) as usize,
        RESTING.len(),
        libc::MSG_NOSIGNAL as usize,
        0,
        0,
    ];
    // SAFETY: a constant of the length told.
    if unsafe { syscall(libc::SYS_sendto, waiting) } != RESTING.len() as isize {
        exit(EXIT_PLAN);
    }
    loop {
        let mut used = 0;
        while filled - used >= STEP_BYTES {
            // SAFETY: these bytes were read.
            let step = unsafe { decode((at + used) as *const u8) };
            used += STEP_BYTES;
            if step.kind == StepKind::Resume as u32 {
                // SAFETY: the plan is done, so this is the memory of a process that waited.
                unsafe { resume() }
            }
            let in_region = step.start >= REGION_START && step.start < REGION_END;
            let end = match in_region {
                true => REGION_END,
                false => segment_end,
            };
            let inside = in_region || step.start >= segment_start && step.start < segment_end;
            let fits = inside && step.bytes <= end - step.start;
            if !fits || !(step.start | step.bytes).is_multiple_of(PAGE) {
                exit(EXIT_PLAN);
            }
            // SAFETY: a range of the region or of the program's variables, none of which is used here.
            if !unsafe { follow(step) } {
                exit(EXIT_PLAN);
            }
        }
        // What is left of a step that came in parts.
        let rest = filled - used;
        for byte in 0..rest {
            // SAFETY: both lie in the buffer.
            unsafe {
                let byte_read = ((at + used + byte) as *const u8).read_volatile();
                ((at + byte) as *mut u8).write_volatile(byte_read);
            }
        }
        let room = STEPS * STEP_BYTES - rest;
        // SAFETY: the room in the buffer.
        let read = unsafe {
            syscall(
                libc::SYS_read,
                [fd::CHANNEL as usize, at + rest, room, 0, 0, 0],
            )
        };
        if read <= 0 {
            exit(EXIT_PLAN);
        }
        filled = rest + read as usize;
    }
}

/// # Safety
/// A whole step must be there.
#[inline(always)]
unsafe fn decode(at: *const u8) -> RawStep {
    // SAFETY: the caller's promise.
    unsafe {
        RawStep {
            kind: at.cast::<u32>().read_unaligned(),
            start: at.add(8).cast::<usize>().read_unaligned(),
            bytes: at.add(16).cast::<usize>().read_unaligned(),
            value: at.add(24).cast::<usize>().read_unaligned(),
        }
    }
}

/// # Safety
/// Nothing in the range may be in use.
#[inline(always)]
unsafe fn follow(step: RawStep) -> bool {
    const FRESH: usize =
        (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED) as usize;
    let RawStep {
        kind,
        start,
        bytes,
        value,
    } = step;
    // SAFETY: the caller's promise, whatever the step does with the range.
    unsafe {
        if kind == StepKind::Unmap as u32 {
            syscall(libc::SYS_munmap, [start, bytes, 0, 0, 0, 0]) == 0
        } else if kind == StepKind::Map as u32 {
            let arguments = [start, bytes, value, FRESH, usize::MAX, 0];
            syscall(libc::SYS_mmap, arguments) == start as isize
        } else if kind == StepKind::Drop as u32 {
            let advice = libc::MADV_DONTNEED as usize;
            syscall(libc::SYS_madvise, [start, bytes, advice, 0, 0, 0]) == 0
        } else if kind == StepKind::Protect as u32 {
            syscall(libc::SYS_mprotect, [start, bytes, value, 0, 0, 0]) == 0
        } else if kind == StepKind::Read as u32 {
            // All pages at once instead of a fault for each; a kernel that does not know this does it
            // page by page.
            let advice = libc::MADV_POPULATE_WRITE as usize;
            syscall(libc::SYS_madvise, [start, bytes, advice, 0, 0, 0]);
            let mut done = 0;
            while done < bytes {
                let image = fd::IMAGE as usize;
                let rest = [image, start + done, bytes - done, value + done, 0, 0];
                let read = syscall(libc::SYS_pread64, rest);
                if read <= 0 {
                    return false;
                }
                done += read as usize;
            }
            true
        } else {
            false
        }
    }
}

/// # Safety
/// The memory must be that of a process that waited in [`rest`].
unsafe fn resume() -> ! {
    // SAFETY: a plain descriptor; the image is not needed any more.
    unsafe { syscall(libc::SYS_close, [fd::IMAGE as usize, 0, 0, 0, 0, 0]) };
    let thread = THREAD_POINTER.load(Ordering::Relaxed);
    // SAFETY: the thread whose memory this is; nothing of the old thread's storage is used after.
    if !unsafe { become_thread(thread) } {
        exit(EXIT_PLAN);
    }
    // SAFETY: as this function's own; the calling stack is the one for entering.
    unsafe {
        park(
            fd::ORDERS,
            FORK_FLAGS,
            RESTING.as_ptr(),
            RESTING.len(),
            STACK_AT.as_ptr(),
            true,
        );
    }
    // SAFETY: `park` returns with the stack of the image, never here.
    unsafe { core::hint::unreachable_unchecked() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_the_frame() {
        let frame = worker_protocol::FromWorker {
            frame: Some(worker_protocol::from_worker::Frame::Resting(
                worker_protocol::Resting {},
            )),
        };
        assert_eq!(worker_protocol::encode(&frame), RESTING);
    }
}
