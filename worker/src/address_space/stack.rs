//! The stack of V8's thread, below what is in use.

use super::layout::{PAGE, STACK_BYTES, STACK_START};
use crate::arch::syscall;

/// What is kept below the caller's frame: this function's own frames and the kernel's red zone.
const KEPT_BYTES: usize = 4 * PAGE;

/// Gives the pages below the stack in use back to the kernel. What calls left there is nobody's: it
/// would only be copied to every fork, and written into every image.
pub fn drop_unused() {
    let here = 0_u8;
    let end = ((&raw const here) as usize - KEPT_BYTES) & !(PAGE - 1);
    assert!(
        (STACK_START..STACK_START + STACK_BYTES).contains(&end),
        "only V8's thread may give up its stack"
    );
    let bytes = end - STACK_START;
    // SAFETY: the range is part of this thread's stack, and below every frame that is alive.
    unsafe {
        let advice = libc::MADV_DONTNEED as usize;
        syscall(libc::SYS_madvise, [STACK_START, bytes, advice, 0, 0, 0]);
    }
}
