//! Source that is nested too deeply for a parser that recurses.
//!
//! V8's parser knows its stack; the one for TypeScript does not, and no simple measure of the source
//! tells how deep it goes. So while it works, a fault below the stack is taken for what it is: the
//! run ends with a syntax error instead of a crash. Nothing of the code has run by then.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use worker_protocol::{Done, ErrorKind, FromWorker, ScriptError, encode, fd, from_worker};

use crate::address_space::layout::STACK_START;
use crate::arch::syscall;
use crate::channel;

/// The handler can't run on the stack that is full.
const HANDLER_STACK_BYTES: usize = 16 << 10;
/// How far below the stack a single frame can reach over the page that is never mapped.
const BELOW_BYTES: usize = 0x10000;

static FRAME: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static FRAME_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Runs `body`, which may recurse without a bound.
pub fn guarded<T>(body: impl FnOnce() -> T) -> T {
    let mut frame = encode(&FromWorker {
        frame: Some(from_worker::Frame::Done(too_deep())),
    });
    FRAME_BYTES.store(frame.len(), Ordering::Relaxed);
    FRAME.store(frame.as_mut_ptr(), Ordering::Relaxed);
    let mut stack = vec![0_u8; HANDLER_STACK_BYTES];
    let handler_stack = libc::stack_t {
        ss_sp: stack.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: stack.len(),
    };
    // SAFETY: the handler's stack and the frame outlive the handler, which is taken away below.
    unsafe {
        libc::sigaltstack(&handler_stack, ptr::null_mut());
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut());
    }
    let result = body();
    // SAFETY: back to how the worker runs everything else: no handler, no other stack.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        let none = libc::stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: 0,
        };
        libc::sigaltstack(&none, ptr::null_mut());
    }
    FRAME.store(ptr::null_mut(), Ordering::Relaxed);
    result
}

fn too_deep() -> Done {
    let error = ScriptError {
        kind: ErrorKind::Syntax as i32,
        name: "SyntaxError".to_owned(),
        message: "the code is nested too deeply".to_owned(),
        ..ScriptError::default()
    };
    Done {
        error: Some(error),
        ..Done::default()
    }
}

/// Only raw system calls: the heap may be in the middle of a change.
extern "C" fn on_fault(
    signal: c_int,
    information: *const libc::siginfo_t,
    _context: *const c_void,
) {
    // SAFETY: the kernel gives a valid structure, and a fault has an address.
    let address = unsafe { (*information).si_addr() } as usize;
    if !(STACK_START - BELOW_BYTES..STACK_START).contains(&address) {
        // Another fault: it happens again when this returns, and ends the process.
        // SAFETY: the default action takes no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    let (mut at, mut rest) = (
        FRAME.load(Ordering::Relaxed) as usize,
        FRAME_BYTES.load(Ordering::Relaxed),
    );
    while rest > 0 {
        let flags = libc::MSG_NOSIGNAL as usize;
        // SAFETY: the frame is alive as long as this handler is in place.
        let sent = unsafe {
            syscall(
                libc::SYS_sendto,
                [fd::CHANNEL as usize, at, rest, flags, 0, 0],
            )
        };
        if sent <= 0 {
            break;
        }
        at += sent as usize;
        rest -= sent as usize;
    }
    channel::exit(0)
}
