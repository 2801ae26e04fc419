//! Clocks. Everything in the worker that reads a clock comes through here.
//!
//! Monotonic time is the kernel's plus an offset. It stands still while a process waits between two
//! runs ([`pause`], [`resume`]), so that one that goes on elsewhere, or years later, goes on in time
//! too, and never back. The wall clock is the kernel's.
//!
//! A run can ask for a virtual clock instead: then both go on by one step with each reading.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI64, Ordering};

use crate::arch::syscall;

/// Nanoseconds to add to the kernel's monotonic clocks.
static MONOTONIC_OFFSET_NS: AtomicI64 = AtomicI64::new(0);

/// Monotonic time when the process began to wait, in nanoseconds.
static PAUSED_NS: AtomicI64 = AtomicI64::new(0);

/// The step of the virtual clock; 0 is the real one.
static VIRTUAL_STEP_NS: AtomicI64 = AtomicI64::new(0);

/// What the virtual clock reads next as wall-clock time,
static VIRTUAL_REALTIME_NS: AtomicI64 = AtomicI64::new(0);
/// and as monotonic time.
static VIRTUAL_MONOTONIC_NS: AtomicI64 = AtomicI64::new(0);

const SECOND_NS: i64 = 1_000_000_000;

/// As in POSIX.
///
/// # Safety
/// `time` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut libc::timespec) -> c_int {
    let step = VIRTUAL_STEP_NS.load(Ordering::Relaxed);
    if step != 0 {
        let clock = match clock {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => &VIRTUAL_REALTIME_NS,
            _ => &VIRTUAL_MONOTONIC_NS,
        };
        // SAFETY: the caller's promise.
        unsafe { *time = timespec(clock.fetch_add(step, Ordering::Relaxed)) };
        return 0;
    }
    // SAFETY: the kernel writes one timespec.
    let result = unsafe {
        syscall(
            libc::SYS_clock_gettime,
            [clock as usize, time as usize, 0, 0, 0, 0],
        )
    };
    if result < 0 {
        // SAFETY: the thread's own errno.
        unsafe { *libc::__errno_location() = (-result) as c_int };
        return -1;
    }
    let offset = MONOTONIC_OFFSET_NS.load(Ordering::Relaxed);
    let monotonic = matches!(
        clock,
        libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_BOOTTIME
    );
    if monotonic && offset != 0 {
        // SAFETY: just written by the kernel.
        let time = unsafe { &mut *time };
        *time = timespec(time.tv_sec * SECOND_NS + time.tv_nsec + offset);
    }
    0
}

fn timespec(nanoseconds: i64) -> libc::timespec {
    libc::timespec {
        tv_sec: nanoseconds.div_euclid(SECOND_NS),
        tv_nsec: nanoseconds.rem_euclid(SECOND_NS),
    }
}

/// Monotonic time stands still from here on. The last thing that a process does before it waits.
pub fn pause() {
    // Read once more than needed with a virtual clock, so that it does not matter which one it was.
    PAUSED_NS.store(monotonic_ns(), Ordering::Relaxed);
    VIRTUAL_STEP_NS.store(0, Ordering::Relaxed);
}

/// Monotonic time goes on from where it was paused, wherever that was; by the virtual clock, if there
/// is to be one.
pub fn resume(virtual_clock: Option<worker_protocol::VirtualClock>) {
    let paused = PAUSED_NS.load(Ordering::Relaxed);
    if let Some(clock) = virtual_clock {
        VIRTUAL_REALTIME_NS.store(clock.realtime_ns, Ordering::Relaxed);
        VIRTUAL_MONOTONIC_NS.store(paused, Ordering::Relaxed);
        VIRTUAL_STEP_NS.store(clock.step_ns.max(1), Ordering::Relaxed);
        return;
    }
    MONOTONIC_OFFSET_NS.store(0, Ordering::Relaxed);
    MONOTONIC_OFFSET_NS.store(paused - monotonic_ns(), Ordering::Relaxed);
}

/// As in POSIX; the zone is not looked at.
///
/// # Safety
/// `time` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut libc::timeval, _zone: *mut c_void) -> c_int {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` may be written.
    if unsafe { clock_gettime(libc::CLOCK_REALTIME, &mut now) } != 0 {
        return -1;
    }
    if !time.is_null() {
        // SAFETY: the caller's promise.
        unsafe {
            *time = libc::timeval {
                tv_sec: now.tv_sec,
                tv_usec: now.tv_nsec / 1000,
            }
        };
    }
    0
}

/// As in C.
///
/// # Safety
/// `result` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(result: *mut libc::time_t) -> libc::time_t {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` may be written.
    if unsafe { clock_gettime(libc::CLOCK_REALTIME, &mut now) } != 0 {
        return -1;
    }
    if !result.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *result = now.tv_sec };
    }
    now.tv_sec
}

fn read(clock: c_int) -> (i64, i64) {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` may be written.
    let result = unsafe { clock_gettime(clock, &mut now) };
    assert!(result == 0, "the kernel lacks clock {clock}");
    (now.tv_sec, now.tv_nsec)
}

/// Monotonic time, in nanoseconds.
pub fn monotonic_ns() -> i64 {
    let (seconds, nanoseconds) = read(libc::CLOCK_MONOTONIC);
    seconds * SECOND_NS + nanoseconds
}

/// Wall-clock time, in nanoseconds since 1970.
pub fn realtime_ns() -> i64 {
    let (seconds, nanoseconds) = read(libc::CLOCK_REALTIME);
    seconds * SECOND_NS + nanoseconds
}

/// Sleeps; an interruption only shortens it. A virtual clock goes on instead.
pub fn sleep_ns(nanoseconds: i64) {
    if VIRTUAL_STEP_NS.load(Ordering::Relaxed) != 0 {
        VIRTUAL_REALTIME_NS.fetch_add(nanoseconds, Ordering::Relaxed);
        VIRTUAL_MONOTONIC_NS.fetch_add(nanoseconds, Ordering::Relaxed);
        return;
    }
    let request = libc::timespec {
        tv_sec: nanoseconds / SECOND_NS,
        tv_nsec: nanoseconds % SECOND_NS,
    };
    // SAFETY: the kernel reads one timespec.
    unsafe {
        syscall(
            libc::SYS_nanosleep,
            [&raw const request as usize, 0, 0, 0, 0, 0],
        )
    };
}
