use core::arch::{asm, naked_asm};

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

/// Parks the zygote: waits for one-byte orders on the socket `orders` and forks with `clone_flags`
/// at each. Returns in the children only; ends the process when the socket ends.
///
/// The parent writes no memory at all while it is parked, neither its stack nor a buffer: an order
/// is received without being copied (`MSG_TRUNC` into no bytes). So its pages stay as they were
/// read, and every child starts from the same ones. A failed `clone` is answered by one byte, the
/// `errno`, sent from a constant.
///
/// # Safety
/// The calling thread must be the one that goes on in the children, with no lock of libc held, and
/// `clone_flags` must not share memory.
#[unsafe(naked)]
pub unsafe extern "C" fn park(orders: i32, clone_flags: usize) {
    naked_asm!(
        "push rbx",
        "push r12",
        "push r13",
        "mov ebx, edi",
        "mov r12, rsi",
        "lea r13, [rip + {bytes}]",
        // recvfrom(orders, NULL, 0, MSG_TRUNC, NULL, NULL) = the length of the message; 0 at the end.
        "2:",
        "mov eax, 45",
        "mov edi, ebx",
        "xor esi, esi",
        "xor edx, edx",
        "mov r10d, 0x20",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "syscall",
        "cmp rax, -4", // EINTR
        "je 2b",
        "test rax, rax",
        "jle 3f",
        // clone(flags, 0, 0, 0, 0): fork without libc's handlers.
        "mov eax, 56",
        "mov rdi, r12",
        "xor esi, esi",
        "xor edx, edx",
        "xor r10d, r10d",
        "xor r8d, r8d",
        "syscall",
        "test rax, rax",
        "jz 4f",
        "jns 2b",
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
        "jmp 2b",
        "3:",
        "mov eax, 231", // exit_group(0)
        "xor edi, edi",
        "syscall",
        "ud2",
        "4:",
        "pop r13",
        "pop r12",
        "pop rbx",
        "ret",
        bytes = sym BYTES,
    )
}
