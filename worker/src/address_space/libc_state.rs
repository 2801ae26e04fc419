//! What libc remembers of the process it was started in, and must forget.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;

use super::layout::PAGE;
use crate::arch::{SIMDUTF_IMPLEMENTATION, syscall};

unsafe extern "C" {
    static mut environ: *const *const c_char;
    // Where a static glibc keeps the addresses of the vDSO's functions; null makes it use the
    // system calls.
    static mut _dl_vdso_clock_gettime64: usize;
    static mut _dl_vdso_gettimeofday: usize;
    static mut _dl_vdso_time: usize;
    static mut _dl_vdso_getcpu: usize;
    static __ehdr_start: libc::Elf64_Ehdr;
    static __rseq_offset: isize;
    static __rseq_size: u32;
    // Where libc believes the end of `brk`'s memory to be; `malloc` here is our own.
    static mut __curbrk: usize;
}

/// An environment of our own: nothing of the machine's, and what simdutf must be told.
struct Environment([*const c_char; 2]);

// SAFETY: the pointers lead to constants.
unsafe impl Sync for Environment {}

static ENVIRONMENT: Environment = Environment([SIMDUTF_IMPLEMENTATION.as_ptr(), ptr::null()]);
static EMPTY: Environment = Environment([ptr::null(), ptr::null()]);

/// Leaves no variable at all: what had to be told was read when V8 warmed up.
pub fn empty_environment() {
    // SAFETY: nobody holds a pointer into the old environment, and no other thread is at work.
    unsafe { environ = EMPTY.0.as_ptr() };
}

/// Replaces the environment and forgets the vDSO. Called first of all, on the start thread.
pub fn forget_the_machine() {
    // SAFETY: no other thread runs yet, and nobody holds a pointer into the old environment.
    unsafe { environ = ENVIRONMENT.0.as_ptr() };
    let pointers = [
        &raw mut _dl_vdso_clock_gettime64,
        &raw mut _dl_vdso_gettimeofday,
        &raw mut _dl_vdso_time,
        &raw mut _dl_vdso_getcpu,
    ];
    for pointer in pointers {
        // SAFETY: libc's own variables, in pages that the loader made read-only; null is the value
        // that they have on a kernel without a vDSO.
        unsafe {
            let page = pointer as usize & !(PAGE - 1);
            let bytes = (pointer as usize + size_of::<usize>()).next_multiple_of(PAGE) - page;
            let writable = (libc::PROT_READ | libc::PROT_WRITE) as usize;
            syscall(libc::SYS_mprotect, [page, bytes, writable, 0, 0, 0]);
            pointer.write_volatile(0);
        }
    }
}

/// Unregisters this thread's restartable sequences: the kernel would write the number of the CPU
/// into the thread's memory whenever it moves.
pub fn unregister_rseq() {
    const UNREGISTER: usize = 1;
    const SIGNATURE: usize = 0x5305_3053;
    // SAFETY: reads glibc's constants.
    let (offset, size) = unsafe { (__rseq_offset, __rseq_size) };
    if size == 0 {
        return;
    }
    let thread: usize;
    // SAFETY: the thread pointer's first word points at itself.
    unsafe { core::arch::asm!("mov {}, fs:0", out(reg) thread, options(nostack, readonly)) };
    // SAFETY: the area that glibc registered; nothing in the worker uses restartable sequences.
    unsafe {
        syscall(
            libc::SYS_rseq,
            [
                thread.wrapping_add_signed(offset),
                32,
                UNREGISTER,
                SIGNATURE,
                0,
                0,
            ],
        );
    }
}

/// Forgets `brk`'s memory: an image is entered where there is none.
pub fn forget_brk() {
    // SAFETY: libc's own variable; null is the value that it starts with, and nobody uses `brk` after
    // the start.
    unsafe { (&raw mut __curbrk).write_volatile(0) };
}

/// What the kernel keeps for a thread is no part of an image. So the thread that is to become one gives
/// up what it registered: restartable sequences, its alternate signal stack, its list of robust locks.
pub fn forget_thread() {
    unregister_rseq();
    let none = libc::stack_t {
        ss_sp: ptr::null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    };
    // SAFETY: the kernel reads one `stack_t`; no handler runs on the stack that is given up.
    unsafe {
        syscall(
            libc::SYS_sigaltstack,
            [(&raw const none) as usize, 0, 0, 0, 0, 0],
        )
    };
    const HEAD_BYTES: usize = 24;
    // SAFETY: no list; nothing here uses such locks.
    unsafe { syscall(libc::SYS_set_robust_list, [0, HEAD_BYTES, 0, 0, 0, 0]) };
}

/// A process is not told its number: V8 writes it into its memory here and there, and it is another one
/// for each process that goes on as the same.
#[unsafe(no_mangle)]
pub extern "C" fn getpid() -> c_int {
    1
}

/// Tells an unwinder of the main program only: libc's own would walk a list that knows the vDSO of
/// the process it was started in.
///
/// # Safety
/// As in libc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dl_iterate_phdr(
    callback: Option<
        unsafe extern "C" fn(*mut libc::dl_phdr_info, libc::size_t, *mut c_void) -> c_int,
    >,
    data: *mut c_void,
) -> c_int {
    let Some(callback) = callback else { return 0 };
    // SAFETY: the linker defines the header of this program at its own address.
    unsafe {
        let elf = &raw const __ehdr_start;
        let mut info: libc::dl_phdr_info = core::mem::zeroed();
        info.dlpi_name = c"".as_ptr();
        info.dlpi_phdr = elf.cast::<u8>().add((*elf).e_phoff as usize).cast();
        info.dlpi_phnum = (*elf).e_phnum;
        info.dlpi_adds = 1;
        callback(&mut info, size_of::<libc::dl_phdr_info>(), data)
    }
}
