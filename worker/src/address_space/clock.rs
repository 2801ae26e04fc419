//! Clocks. Everything in the worker that reads a clock comes through here.
//!
//! Monotonic time is the kernel's plus an offset, so that a process that goes on elsewhere goes on
//! in time too, and never back.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI64, Ordering};

use crate::arch::syscall;

/// Nanoseconds to add to the kernel's monotonic clocks.
static MONOTONIC_OFFSET_NS: AtomicI64 = AtomicI64::new(0);

const SECOND_NS: i64 = 1_000_000_000;

/// As in POSIX.
///
/// # Safety
/// `time` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut libc::timespec) -> c_int {
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
        let total = time.tv_sec * SECOND_NS + time.tv_nsec + offset;
        time.tv_sec = total.div_euclid(SECOND_NS);
        time.tv_nsec = total.rem_euclid(SECOND_NS);
    }
    0
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

/// Sleeps; an interruption only shortens it.
pub fn sleep_ns(nanoseconds: i64) {
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
