//! The list for x86_64.
//!
//! | calls | why |
//! |---|---|
//! | `read` `pread64` `write` `writev` `recvfrom` `recvmsg` `sendto` `sendmsg` `close` `dup3` `poll` `ppoll` | the channels; only descriptors that the node gave exist, and none can be made but by `dup3` and from a message of the node |
//! | `fcntl` | `F_GETFD`, `F_GETFL`; not `F_SETOWN` and `F_SETSIG`, which send signals |
//! | `mmap` | private anonymous memory, also executable (V8 compiles); never shared, a file, huge pages, a growing stack, below 4 GB by flag |
//! | `mprotect` `munmap` | V8's pages; no other bit of protection than read, write, execute |
//! | `madvise` | what gives pages back, fetches them, or is only about core files. `MADV_FREE` is refused: it leaves it to chance when a page becomes zero, and V8 then uses `MADV_DONTNEED`; so are merging across processes, huge pages, fork behaviour |
//! | `mremap` `brk` | refused: the worker's allocator uses neither, a C library goes on without |
//! | `futex` | wait and wake; not priority inheritance, which nothing here uses and where kernel bugs were. Also without the private flag: `pthread_join` of the start thread waits that way, and all memory is private |
//! | `clock_gettime` `clock_getres` `gettimeofday` `time` `clock_nanosleep` `nanosleep` `restart_syscall` | clocks; direct calls where an image has no vDSO. `restart_syscall` is how the kernel goes on with an interrupted wait |
//! | `getrandom` | `crypto` |
//! | `getpid` `getppid` `sched_yield` | the node's check of the parent; spinning locks |
//! | `gettid` | refused: the C++ runtime writes the answer into its guards, and so into every image, where it would differ from process to process |
//! | `rt_sigaction` `rt_sigprocmask` `rt_sigreturn` `sigaltstack` | handlers of the process itself |
//! | `set_robust_list` `rseq` `arch_prctl` | a thread's own registrations, set again when an image is entered; only FS of `arch_prctl` |
//! | `clone` | the zygote's fork: `CLONE_PARENT` and `SIGCHLD`, no stack. Runs give it up, see `clone_ban` |
//! | `prctl` | arming the parent-death signal with SIGKILL. All else is refused, dumpable and other signals (also none) among it |
//! | `prlimit64` | reading own limits; and in one of two lists process limit 0. `getrlimit` is the old form of the first |
//! | `seccomp` | one more filter without flags, in the other list |
//! | `exit` `exit_group` | the end |
//! | `tgkill` | refused, since it could aim at other processes: `abort` then ends by a trap |
//! | `ioctl` `fstat` `newfstatat` `sched_getaffinity` `getcpu` `sysinfo` `membarrier` `pkey_alloc` | refused: C library and V8 ask and go on without an answer |
//!
//! All else kills: files (`open*`), sockets, `execve*`, `fork`, `vfork`, `clone3`, `kill`, `ptrace`,
//! `process_vm_*`, `pidfd_*`, `memfd_create`, `userfaultfd`, `io_uring_*`, `bpf`, `perf_event_open`,
//! `keyctl`, `unshare`, `setns`, `pkey_mprotect`, System V IPC, timers, and what kernels will add.

use libc::{EACCES, EINVAL, ENOMEM, ENOSYS, ENOTTY, EPERM};

use super::Verdict::{Kill, Refuse};
use super::{Argument, Case, Rule, Verdict, Width};

/// `AUDIT_ARCH_X86_64`: little endian, 64 bits, machine 62.
pub(super) const AUDIT_ARCH: u32 = 0xc000_003e;

/// Bit 30 chooses the x32 table; all else of the upper half is no call at all.
pub(super) const NUMBER_MAX: u32 = 0x3fff_ffff;

/// What the zygote forks with.
const FORK_FLAGS: u64 = (libc::CLONE_PARENT | libc::SIGCHLD) as u64;

const MMAP_FLAGS_NEEDED: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
const MMAP_FLAGS_FREE: u64 = (libc::MAP_FIXED
    | libc::MAP_FIXED_NOREPLACE
    | libc::MAP_NORESERVE
    | libc::MAP_POPULATE
    | libc::MAP_STACK) as u64;
const PROTECTIONS: u64 = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64;
/// Not an operation but how it waits.
const FUTEX_MODIFIERS: u64 = (libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u64;

const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;

const fn allow(number: libc::c_long, name: &'static str) -> Rule {
    Rule {
        number,
        name,
        cases: &[],
        otherwise: Verdict::Allow,
    }
}

const fn refuse(number: libc::c_long, name: &'static str, errno: i32) -> Rule {
    Rule {
        number,
        name,
        cases: &[],
        otherwise: Refuse(errno),
    }
}

const fn when(
    number: libc::c_long,
    name: &'static str,
    cases: &'static [Case],
    otherwise: Verdict,
) -> Rule {
    Rule {
        number,
        name,
        cases,
        otherwise,
    }
}

/// Allowed with these arguments.
const fn with(arguments: &'static [Argument]) -> Case {
    Case {
        arguments,
        verdict: Verdict::Allow,
    }
}

const fn int(index: u8, value: u64) -> Argument {
    int_but(index, 0, value)
}

/// An `int` that is `value` apart from the bits `free`.
const fn int_but(index: u8, free: u64, value: u64) -> Argument {
    Argument {
        index,
        width: Width::Int,
        mask: !free,
        value,
    }
}

const fn long(index: u8, value: u64) -> Argument {
    long_but(index, 0, value)
}

/// A whole argument that is `value` apart from the bits `free`.
const fn long_but(index: u8, free: u64, value: u64) -> Argument {
    Argument {
        index,
        width: Width::Long,
        mask: !free,
        value,
    }
}

/// The list, in the order of the numbers.
pub(super) const RULES: &[Rule] = &[
    allow(libc::SYS_read, "read"),
    allow(libc::SYS_write, "write"),
    allow(libc::SYS_close, "close"),
    refuse(libc::SYS_fstat, "fstat", EACCES),
    allow(libc::SYS_poll, "poll"),
    when(
        libc::SYS_mmap,
        "mmap",
        &[with(&[
            long_but(2, PROTECTIONS, 0),
            long_but(3, MMAP_FLAGS_FREE, MMAP_FLAGS_NEEDED),
        ])],
        Kill,
    ),
    when(
        libc::SYS_mprotect,
        "mprotect",
        &[with(&[long_but(2, PROTECTIONS, 0)])],
        Kill,
    ),
    allow(libc::SYS_munmap, "munmap"),
    refuse(libc::SYS_brk, "brk", ENOMEM),
    allow(libc::SYS_rt_sigaction, "rt_sigaction"),
    allow(libc::SYS_rt_sigprocmask, "rt_sigprocmask"),
    allow(libc::SYS_rt_sigreturn, "rt_sigreturn"),
    refuse(libc::SYS_ioctl, "ioctl", ENOTTY),
    // An image is entered from its descriptor.
    allow(libc::SYS_pread64, "pread64"),
    allow(libc::SYS_writev, "writev"),
    allow(libc::SYS_sched_yield, "sched_yield"),
    refuse(libc::SYS_mremap, "mremap", ENOSYS),
    when(
        libc::SYS_madvise,
        "madvise",
        &[
            with(&[int(2, libc::MADV_DONTNEED as u64)]),
            with(&[int(2, libc::MADV_NORMAL as u64)]),
            with(&[int(2, libc::MADV_WILLNEED as u64)]),
            with(&[int(2, libc::MADV_NOHUGEPAGE as u64)]),
            with(&[int(2, libc::MADV_DONTDUMP as u64)]),
            with(&[int(2, libc::MADV_DODUMP as u64)]),
            with(&[int(2, libc::MADV_POPULATE_READ as u64)]),
            with(&[int(2, libc::MADV_POPULATE_WRITE as u64)]),
        ],
        Refuse(EINVAL),
    ),
    allow(libc::SYS_nanosleep, "nanosleep"),
    allow(libc::SYS_getpid, "getpid"),
    allow(libc::SYS_sendto, "sendto"),
    allow(libc::SYS_recvfrom, "recvfrom"),
    allow(libc::SYS_sendmsg, "sendmsg"),
    allow(libc::SYS_recvmsg, "recvmsg"),
    when(
        libc::SYS_clone,
        "clone",
        &[with(&[long(0, FORK_FLAGS), long(1, 0)])],
        Kill,
    ),
    allow(libc::SYS_exit, "exit"),
    when(
        libc::SYS_fcntl,
        "fcntl",
        &[
            with(&[int(1, libc::F_GETFD as u64)]),
            with(&[int(1, libc::F_GETFL as u64)]),
        ],
        Refuse(EPERM),
    ),
    allow(libc::SYS_gettimeofday, "gettimeofday"),
    allow(libc::SYS_getrlimit, "getrlimit"),
    refuse(libc::SYS_sysinfo, "sysinfo", ENOSYS),
    allow(libc::SYS_getppid, "getppid"),
    allow(libc::SYS_sigaltstack, "sigaltstack"),
    when(
        libc::SYS_prctl,
        "prctl",
        &[with(&[
            int(0, libc::PR_SET_PDEATHSIG as u64),
            long(1, libc::SIGKILL as u64),
        ])],
        Refuse(EPERM),
    ),
    when(
        libc::SYS_arch_prctl,
        "arch_prctl",
        &[with(&[int(0, ARCH_SET_FS)]), with(&[int(0, ARCH_GET_FS)])],
        Refuse(EPERM),
    ),
    refuse(libc::SYS_gettid, "gettid", ENOSYS),
    allow(libc::SYS_time, "time"),
    when(
        libc::SYS_futex,
        "futex",
        &[
            with(&[int_but(1, FUTEX_MODIFIERS, libc::FUTEX_WAIT as u64)]),
            with(&[int_but(1, FUTEX_MODIFIERS, libc::FUTEX_WAKE as u64)]),
            with(&[int_but(1, FUTEX_MODIFIERS, libc::FUTEX_WAIT_BITSET as u64)]),
            with(&[int_but(1, FUTEX_MODIFIERS, libc::FUTEX_WAKE_BITSET as u64)]),
        ],
        Kill,
    ),
    refuse(libc::SYS_sched_getaffinity, "sched_getaffinity", ENOSYS),
    allow(libc::SYS_restart_syscall, "restart_syscall"),
    allow(libc::SYS_clock_gettime, "clock_gettime"),
    allow(libc::SYS_clock_getres, "clock_getres"),
    allow(libc::SYS_clock_nanosleep, "clock_nanosleep"),
    allow(libc::SYS_exit_group, "exit_group"),
    refuse(libc::SYS_tgkill, "tgkill", EPERM),
    refuse(libc::SYS_newfstatat, "newfstatat", EACCES),
    allow(libc::SYS_ppoll, "ppoll"),
    allow(libc::SYS_set_robust_list, "set_robust_list"),
    allow(libc::SYS_dup3, "dup3"),
    refuse(libc::SYS_getcpu, "getcpu", ENOSYS),
    allow(libc::SYS_getrandom, "getrandom"),
    refuse(libc::SYS_membarrier, "membarrier", ENOSYS),
    refuse(libc::SYS_pkey_alloc, "pkey_alloc", ENOSYS),
    allow(libc::SYS_rseq, "rseq"),
];

/// Reading limits: of the process itself (0), setting nothing (a null pointer).
const READ_LIMITS: &[Argument] = &[int(0, 0), long(2, 0)];
/// Setting the process limit: the kernel lets it only be lowered.
const SET_PROCESS_LIMIT: &[Argument] = &[int(0, 0), int(1, libc::RLIMIT_NPROC as u64)];

/// Where the process limit takes `clone` from a run.
pub(super) const BAN_BY_PROCESS_LIMIT: &[Rule] = &[when(
    libc::SYS_prlimit64,
    "prlimit64",
    &[with(READ_LIMITS), with(SET_PROCESS_LIMIT)],
    Kill,
)];

/// Where a second filter does: the attempt to set the limit fails softly, so that a run notices.
pub(super) const BAN_BY_FILTER: &[Rule] = &[
    when(
        libc::SYS_prlimit64,
        "prlimit64",
        &[
            with(READ_LIMITS),
            Case {
                arguments: SET_PROCESS_LIMIT,
                verdict: Refuse(EPERM),
            },
        ],
        Kill,
    ),
    when(
        libc::SYS_seccomp,
        "seccomp",
        &[with(&[
            int(0, libc::SECCOMP_SET_MODE_FILTER as u64),
            int(1, 0),
        ])],
        Kill,
    ),
];
