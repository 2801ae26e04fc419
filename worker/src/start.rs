//! From the kernel's entry to V8's thread.

use core::ffi::c_void;
use core::ptr;

use worker_protocol::{Fatal, FatalKind, Start, from_worker};

use crate::address_space::layout::{STACK_BYTES, STACK_START};
use crate::address_space::{libc_state, program_pages};
use crate::arch::syscall;
use crate::{channel, zygote};

unsafe extern "C" {
    fn pthread_attr_setstack(
        attributes: *mut libc::pthread_attr_t,
        stack: *mut c_void,
        bytes: usize,
    ) -> i32;
}

/// Enters an image, if the node says so; else starts V8's thread on a stack inside the region, with its
/// thread-local storage at the top of it, and waits. Forks copy only the thread that forks, so a child
/// never sees this one.
pub fn main() {
    libc_state::forget_the_machine();
    program_pages::own_variables();
    forget_signal_handlers();
    std::panic::set_hook(Box::new(|panic| {
        channel::send(from_worker::Frame::Fatal(Fatal {
            kind: FatalKind::Internal as i32,
            message: panic.to_string(),
        }));
        channel::exit(101);
    }));
    let start = zygote::receive_start();
    if start.enter {
        zygote::enter(&start);
    }
    let flags =
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fixed range of the region that nothing else uses.
    let mapped = unsafe {
        syscall(
            libc::SYS_mmap,
            [
                STACK_START,
                STACK_BYTES,
                protection as usize,
                flags as usize,
                usize::MAX,
                0,
            ],
        )
    };
    assert!(
        mapped == STACK_START as isize,
        "no memory for the stack: {mapped}"
    );
    // SAFETY: plain pthread calls with attributes that are initialised first; the stack is mapped
    // and used by this thread alone.
    unsafe {
        let mut attributes: libc::pthread_attr_t = core::mem::zeroed();
        let mut thread: libc::pthread_t = 0;
        let result = libc::pthread_attr_init(&mut attributes);
        assert!(result == 0, "pthread_attr_init: {result}");
        let result =
            pthread_attr_setstack(&mut attributes, STACK_START as *mut c_void, STACK_BYTES);
        assert!(result == 0, "pthread_attr_setstack: {result}");
        let argument = (&raw const start).cast_mut().cast();
        let result = libc::pthread_create(&mut thread, &attributes, v8_thread, argument);
        assert!(result == 0, "pthread_create: {result}");
        libc::pthread_join(thread, ptr::null_mut());
    }
}

/// Rust's own handlers tell a stack overflow from other faults; here a fault ends the process as the
/// kernel would have it, and no handler is part of what a process is.
fn forget_signal_handlers() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the default action takes no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

extern "C" fn v8_thread(start: *mut c_void) -> *mut c_void {
    libc_state::unregister_rseq();
    // SAFETY: the start thread gives its own `Start` and waits for this one's end.
    zygote::start_v8(unsafe { &*start.cast::<Start>() });
}
