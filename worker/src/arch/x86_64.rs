use core::arch::{asm, naked_asm};

use worker_protocol::fd;
use worker_protocol::layout::{ENTRY_STACK_BYTES, ENTRY_STACK_START};

/// What a CPU must have: the instructions of x86-64-v3 that V8 and simdutf are pinned to.
pub const BASELINE: &str = "x86-64-v3";

/// What one entry of the second level of the page table maps.
pub const HUGE_PAGE: usize = 2 << 20;

/// V8's flags that pin the code it makes to [`BASELINE`], whatever this CPU can do beyond it.
pub const V8_BASELINE_FLAGS: &str = "--no-enable-avx-vnni --no-enable-avx-vnni-int8 --mcpu=generic --no-intel-jcc-erratum-mitigation";

/// The name by which simdutf knows its implementation for [`BASELINE`].
pub const SIMDUTF_IMPLEMENTATION: &core::ffi::CStr = c"SIMDUTF_FORCE_IMPLEMENTATION=haswell";

/// The parts of [`BASELINE`] that this CPU lacks.
pub fn missing_features() -> Vec<&'static str> {
    let mut missing = Vec::new();
    macro_rules! need {
        ($($name:tt),*) => { $(if !std::arch::is_x86_feature_detected!($name) { missing.push($name) })* };
    }
    need!(
        "sse4.2", "popcnt", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"
    );
    missing
}

/// What V8 finds on a CPU of [`BASELINE`] and no more, as its own bits
/// (`v8::internal::CpuFeatures::supported_`).
const V8_FEATURES: u32 = 0x33e7f;
/// One bit that has no flag: shadow stacks, which V8 heeds only where the system has turned them on.
const V8_SHADOW_STACKS: u32 = 1 << 16;

unsafe extern "C" {
    #[link_name = "_ZN2v88internal11CpuFeatures10supported_E"]
    static V8_SUPPORTED: u32;
    #[link_name = "_ZN7simdutf25get_active_implementationEv"]
    fn simdutf_active() -> *const *const SimdutfImplementation;
}

/// The beginning of simdutf's `implementation`.
#[repr(C)]
struct SimdutfImplementation {
    methods: usize,
    name: *const core::ffi::c_char,
}

/// Whether V8 and simdutf chose their code for [`BASELINE`] and nothing beyond it; else what they chose
/// instead. Both keep their choice for ever, and so would every image.
pub fn check_choices() -> Result<(), String> {
    // SAFETY: V8 writes the variable when it starts, and never again.
    let features = unsafe { (&raw const V8_SUPPORTED).read_volatile() };
    if features & !V8_SHADOW_STACKS != V8_FEATURES & !V8_SHADOW_STACKS {
        return Err(format!(
            "V8 uses features {features:#x} of this CPU, not {V8_FEATURES:#x}"
        ));
    }
    // SAFETY: the function gives a static pointer to one of simdutf's own constant objects, which begin
    // with their methods and their name.
    let name = unsafe { core::ffi::CStr::from_ptr((**simdutf_active()).name) };
    let wanted = SIMDUTF_IMPLEMENTATION
        .to_bytes()
        .rsplit(|it| *it == b'=')
        .next();
    if Some(name.to_bytes()) != wanted {
        return Err(format!(
            "simdutf uses {name:?}, not {SIMDUTF_IMPLEMENTATION:?}"
        ));
    }
    Ok(())
}

/// A raw system call: no `errno`, no cancellation, nothing cached by libc. Gives the result or a
/// negated `errno`.
///
/// # Safety
/// The kernel must be allowed to do what the call says with the memory that the arguments name.
#[inline(always)]
pub unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the registers are those of the Linux system call convention; the caller answers for
    // the call itself.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// All byte values: the park routine answers with a pointer into it, so that it need not write.
static BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut index = 0;
    while index < 256 {
        bytes[index] = index as u8;
        index += 1;
    }
    bytes
};

/// Waits: sends `reply` over the channel, then forks with `clone_flags` at each one-byte order on the
/// socket `orders`. Returns in the children only; ends the process when a socket ends.
///
/// From the last byte of the reply on the process writes no memory at all, neither its stack nor a
/// buffer: an order is received without being copied (`MSG_TRUNC` into no bytes). So a node that has
/// read the reply can read the process too, and every child starts from the same pages. A failed
/// `clone` is answered by one byte, the `errno`, sent from a constant.
///
/// Everything that a process needs to go on from here is on its stack, and the stack's address in
/// `stack_at`. So with `entered`, a process that has just become an image takes the stack from there
/// and goes on as the process that the image was made of; the stack that it used meanwhile is
/// unmapped, and `reply` must be a constant.
///
/// # Safety
/// The calling thread must be the one that goes on in the children, with no lock of libc held, and
/// `clone_flags` must not share memory. With `entered`, the memory must be that of a process that
/// waited here, and the calling stack the one at `ENTRY_STACK_START`.
#[unsafe(naked)]
pub unsafe extern "C" fn park(
    orders: i32,
    clone_flags: usize,
    reply: *const u8,
    reply_bytes: usize,
    stack_at: *mut usize,
    entered: bool,
) {
    naked_asm!(
        "test r9b, r9b",
        "jnz 2f",
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [r8], rsp",
        "2:",
        "mov rsp, [r8]",
        "mov ebx, edi",
        "mov r12, rsi",
        "lea r13, [rip + {bytes}]",
        "mov r14, rdx",
        "mov r15, rcx",
        "test r9b, r9b",
        "jz 3f",
        // munmap(ENTRY_STACK_START, ENTRY_STACK_BYTES)
        "mov eax, 11",
        "movabs rdi, {entry_stack}",
        "mov esi, {entry_stack_bytes}",
        "syscall",
        // sendto(CHANNEL, reply, reply_bytes, MSG_NOSIGNAL, NULL, 0) until all of it is gone.
        "3:",
        "test r15, r15",
        "jz 4f",
        "mov eax, 44",
        "mov edi, {channel}",
        "mov rsi, r14",
        "mov rdx, r15",
        "mov r10d, 0x4000",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "syscall",
        "cmp rax, -4", // EINTR
        "je 3b",
        "test rax, rax",
        "jle 5f",
        "add r14, rax",
        "sub r15, rax",
        "jmp 3b",
        // recvfrom(orders, NULL, 0, MSG_TRUNC, NULL, NULL) = the length of the message; 0 at the end.
        "4:",
        "mov eax, 45",
        "mov edi, ebx",
        "xor esi, esi",
        "xor edx, edx",
        "mov r10d, 0x20",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "syscall",
        "cmp rax, -4", // EINTR
        "je 4b",
        "test rax, rax",
        "jle 5f",
        // clone(flags, 0, 0, 0, 0): fork without libc's handlers.
        "mov eax, 56",
        "mov rdi, r12",
        "xor esi, esi",
        "xor edx, edx",
        "xor r10d, r10d",
        "xor r8d, r8d",
        "syscall",
        "test rax, rax",
        "jz 6f",
        "jns 4b",
        // sendto(orders, &BYTES[errno], 1, MSG_NOSIGNAL, NULL, 0)
        "neg rax",
        "lea rsi, [r13 + rax]",
        "mov eax, 44",
        "mov edi, ebx",
        "mov edx, 1",
        "mov r10d, 0x4000",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "syscall",
        "jmp 4b",
        "5:",
        "mov eax, 231", // exit_group(0)
        "xor edi, edi",
        "syscall",
        "ud2",
        // What the vector registers held is no part of an image, and V8 saves them to the stack unasked.
        "6:",
        "vzeroall",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        bytes = sym BYTES,
        channel = const fd::CHANNEL,
        entry_stack = const ENTRY_STACK_START,
        entry_stack_bytes = const ENTRY_STACK_BYTES,
    )
}

/// The control words of floating point that a program starts with.
static MXCSR_DEFAULT: u32 = 0x1f80;
static CONTROL_WORD_DEFAULT: u16 = 0x037f;

/// Calls `body` on another stack, whose end is `stack_end`.
///
/// # Safety
/// The stack must be mapped and nobody else's.
#[unsafe(naked)]
pub unsafe extern "C" fn on_stack(stack_end: usize, body: unsafe extern "C" fn() -> !) -> ! {
    naked_asm!("mov rsp, rdi", "xor ebp, ebp", "call rsi", "ud2")
}

/// The thread pointer: where the thread's own storage is.
pub fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: the first word of the thread's own storage points at itself.
    unsafe { asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly)) };
    pointer
}

/// Puts back what the kernel and the CPU keep for a thread that is to be the one of an image: the
/// thread pointer, and the control words of floating point as a program starts with them.
///
/// # Safety
/// `thread_pointer` must be that of the thread whose memory this is. Nothing that was read from the
/// thread's own storage before may be used after.
pub unsafe fn become_thread(thread_pointer: usize) -> bool {
    const ARCH_SET_FS: usize = 0x1002;
    // SAFETY: the caller's promise; the control words are the architecture's own defaults.
    unsafe {
        asm!(
            "ldmxcsr [{}]",
            "fldcw [{}]",
            in(reg) &raw const MXCSR_DEFAULT,
            in(reg) &raw const CONTROL_WORD_DEFAULT,
            options(nostack, readonly)
        );
        syscall(
            libc::SYS_arch_prctl,
            [ARCH_SET_FS, thread_pointer, 0, 0, 0, 0],
        ) == 0
    }
}
