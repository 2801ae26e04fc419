//! The filter, run by an interpreter: what the kernel would say to each call.

use std::collections::HashMap;

use super::*;

const BANS: [CloneBan; 2] = [CloneBan::ProcessLimit, CloneBan::Filter];

/// Runs a program as the kernel does; panics on what the kernel would refuse to load.
fn run(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> Verdict {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(arch.to_ne_bytes());
    data.extend(0_u64.to_ne_bytes());
    data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
    let (mut accumulator, mut at) = (0_u32, 0_usize);
    loop {
        let step = program[at];
        at += 1;
        let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
        match u32::from(step.code) {
            code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                let offset = step.k as usize;
                let word = data[offset..offset + 4].try_into().unwrap();
                accumulator = u32::from_ne_bytes(word);
            }
            code if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => accumulator &= step.k,
            code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                at += jump(accumulator == step.k);
            }
            code if code == libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K => {
                at += jump(accumulator > step.k);
            }
            code if code == libc::BPF_RET | libc::BPF_K => {
                return match step.k & libc::SECCOMP_RET_ACTION_FULL {
                    libc::SECCOMP_RET_ALLOW => Verdict::Allow,
                    libc::SECCOMP_RET_ERRNO => {
                        Verdict::Refuse((step.k & libc::SECCOMP_RET_DATA) as i32)
                    }
                    libc::SECCOMP_RET_KILL_PROCESS => Verdict::Kill,
                    other => panic!("action {other:#x}"),
                };
            }
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn ask(ban: CloneBan, number: libc::c_long, arguments: [u64; 6]) -> Verdict {
    run(
        &zygote_program(ban),
        arch::AUDIT_ARCH,
        number as u32,
        arguments,
    )
}

fn mmap(protection: libc::c_int, flags: u64) -> Verdict {
    ask(
        CloneBan::Filter,
        libc::SYS_mmap,
        [0, 4096, protection as u64, flags, u64::MAX, 0],
    )
}

fn errno(number: i32) -> Verdict {
    Verdict::Refuse(number)
}

#[test]
fn the_list_is_sorted_and_names_each_call_once() {
    for rules in [arch::RULES, arch::BAN_BY_FILTER, arch::BAN_BY_PROCESS_LIMIT] {
        for pair in rules.windows(2) {
            assert!(
                pair[0].number < pair[1].number,
                "{} {}",
                pair[0].name,
                pair[1].name
            );
        }
    }
    let mut names = HashMap::new();
    for rule in arch::RULES.iter().chain(arch::BAN_BY_FILTER) {
        assert_eq!(names.insert(rule.name, rule.number), None, "{}", rule.name);
    }
}

#[test]
fn each_call_without_conditions_gets_its_verdict() {
    for ban in BANS {
        for rule in arch::RULES {
            if rule.cases.is_empty() {
                assert_eq!(
                    ask(ban, rule.number, [0; 6]),
                    rule.otherwise,
                    "{}",
                    rule.name
                );
            }
        }
    }
}

#[test]
fn what_is_not_in_the_list_is_killed() {
    for ban in BANS {
        let program = zygote_program(ban);
        let ban_rules = match ban {
            CloneBan::ProcessLimit => arch::BAN_BY_PROCESS_LIMIT,
            CloneBan::Filter => arch::BAN_BY_FILTER,
        };
        let listed = |number: u32| {
            arch::RULES
                .iter()
                .chain(ban_rules)
                .any(|rule| rule.number as u32 == number)
        };
        let numbers = (0..2048).chain([u32::MAX, 1 << 31, arch::NUMBER_MAX]);
        for number in numbers.filter(|number| !listed(*number)) {
            let answer = run(&program, arch::AUDIT_ARCH, number, [0; 6]);
            assert_eq!(answer, Verdict::Kill, "call {number}");
        }
    }
}

#[test]
fn the_dangerous_ones_are_killed_by_name() {
    let calls = [
        libc::SYS_open,
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_clone3,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_memfd_create,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_setrlimit,
        libc::SYS_pkey_mprotect,
        libc::SYS_shmget,
    ];
    for ban in BANS {
        for call in calls {
            assert_eq!(ask(ban, call, [0; 6]), Verdict::Kill, "call {call}");
        }
    }
}

#[test]
fn other_tables_of_calls_are_killed() {
    const AUDIT_ARCH_I386: u32 = 0x4000_0003;
    const X32: u32 = 1 << 30;
    for rule in arch::RULES {
        let program = zygote_program(CloneBan::Filter);
        let number = rule.number as u32;
        assert_eq!(
            run(&program, AUDIT_ARCH_I386, number, [0; 6]),
            Verdict::Kill
        );
        assert_eq!(
            run(&program, arch::AUDIT_ARCH, number | X32, [0; 6]),
            Verdict::Kill
        );
    }
}

#[test]
fn only_private_anonymous_memory_can_be_mapped() {
    let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    for free in [
        0,
        libc::MAP_FIXED,
        libc::MAP_FIXED_NOREPLACE,
        libc::MAP_NORESERVE | libc::MAP_FIXED,
        libc::MAP_POPULATE,
        libc::MAP_STACK,
    ] {
        assert_eq!(
            mmap(all, private | free as u64),
            Verdict::Allow,
            "{free:#x}"
        );
    }
    for flags in [
        libc::MAP_PRIVATE,
        libc::MAP_ANONYMOUS,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        libc::MAP_SHARED_VALIDATE | libc::MAP_ANONYMOUS,
        libc::MAP_SHARED,
    ] {
        assert_eq!(mmap(all, flags as u64), Verdict::Kill, "{flags:#x}");
    }
    for extra in [
        libc::MAP_HUGETLB,
        libc::MAP_GROWSDOWN,
        libc::MAP_LOCKED,
        libc::MAP_32BIT,
    ] {
        assert_eq!(
            mmap(all, private | extra as u64),
            Verdict::Kill,
            "{extra:#x}"
        );
    }
    assert_eq!(mmap(all, private | 1 << 32), Verdict::Kill, "upper half");
    assert_eq!(mmap(all | 8, private), Verdict::Kill, "unknown protection");
}

#[test]
fn protections_are_read_write_execute() {
    let ask = |bits| {
        ask(
            CloneBan::Filter,
            libc::SYS_mprotect,
            [0, 4096, bits, 0, 0, 0],
        )
    };
    assert_eq!(ask(7), Verdict::Allow);
    assert_eq!(ask(0), Verdict::Allow);
    assert_eq!(ask(libc::PROT_GROWSDOWN as u64), Verdict::Kill);
    assert_eq!(ask(1 << 40), Verdict::Kill);
}

#[test]
fn clone_is_the_exact_fork_of_the_zygote() {
    let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as u64;
    for ban in BANS {
        let ask = |flags, stack| ask(ban, libc::SYS_clone, [flags, stack, 0, 0, 0, 0]);
        assert_eq!(ask(flags, 0), Verdict::Allow);
        assert_eq!(ask(flags, 1 << 33), Verdict::Kill);
        assert_eq!(ask(flags, 4096), Verdict::Kill);
        assert_eq!(ask(libc::SIGCHLD as u64, 0), Verdict::Kill);
        assert_eq!(ask(flags | 1 << 33, 0), Verdict::Kill);
        for extra in [
            libc::CLONE_VM,
            libc::CLONE_THREAD,
            libc::CLONE_NEWUSER,
            libc::CLONE_PTRACE,
        ] {
            assert_eq!(ask(flags | extra as u64, 0), Verdict::Kill, "{extra:#x}");
        }
    }
}

#[test]
fn prctl_only_arms_the_parent_death_signal() {
    let ask = |option: libc::c_int, argument| {
        ask(
            CloneBan::ProcessLimit,
            libc::SYS_prctl,
            [option as u64, argument, 0, 0, 0, 0],
        )
    };
    assert_eq!(ask(libc::PR_SET_PDEATHSIG, 9), Verdict::Allow);
    assert_eq!(ask(libc::PR_SET_PDEATHSIG, 0), errno(libc::EPERM));
    assert_eq!(ask(libc::PR_SET_PDEATHSIG, 15), errno(libc::EPERM));
    assert_eq!(ask(libc::PR_SET_DUMPABLE, 0), errno(libc::EPERM));
    assert_eq!(ask(libc::PR_SET_DUMPABLE, 9), errno(libc::EPERM));
    assert_eq!(ask(libc::PR_SET_SECCOMP, 2), errno(libc::EPERM));
}

#[test]
fn futexes_wait_and_wake() {
    let ask = |op: libc::c_int| {
        ask(
            CloneBan::Filter,
            libc::SYS_futex,
            [0, op as u64, 0, 0, 0, 0],
        )
    };
    let private = libc::FUTEX_PRIVATE_FLAG;
    for op in [
        libc::FUTEX_WAIT,
        libc::FUTEX_WAKE,
        libc::FUTEX_WAIT_BITSET,
        libc::FUTEX_WAKE_BITSET,
    ] {
        assert_eq!(ask(op), Verdict::Allow);
        assert_eq!(
            ask(op | private | libc::FUTEX_CLOCK_REALTIME),
            Verdict::Allow
        );
    }
    for op in [
        libc::FUTEX_LOCK_PI,
        libc::FUTEX_CMP_REQUEUE_PI,
        libc::FUTEX_FD,
    ] {
        assert_eq!(ask(op | private), Verdict::Kill);
    }
}

#[test]
fn advice_that_leaves_pages_to_chance_is_refused() {
    let ask = |advice: libc::c_int| {
        ask(
            CloneBan::Filter,
            libc::SYS_madvise,
            [0, 4096, advice as u64, 0, 0, 0],
        )
    };
    assert_eq!(ask(libc::MADV_DONTNEED), Verdict::Allow);
    assert_eq!(ask(libc::MADV_POPULATE_WRITE), Verdict::Allow);
    let refused = [
        libc::MADV_FREE,
        libc::MADV_MERGEABLE,
        libc::MADV_HUGEPAGE,
        libc::MADV_DONTFORK,
        100,
    ];
    for advice in refused {
        assert_eq!(ask(advice), errno(libc::EINVAL), "{advice}");
    }
}

#[test]
fn limits_are_read_and_only_the_process_limit_is_set() {
    let ask = |ban, pid, resource: u32, new| {
        ask(
            ban,
            libc::SYS_prlimit64,
            [pid, resource.into(), new, 4096, 0, 0],
        )
    };
    for ban in BANS {
        assert_eq!(ask(ban, 0, libc::RLIMIT_NOFILE, 0), Verdict::Allow);
    }
    let limit = CloneBan::ProcessLimit;
    assert_eq!(ask(limit, 0, libc::RLIMIT_NPROC, 4096), Verdict::Allow);
    assert_eq!(ask(limit, 0, libc::RLIMIT_NOFILE, 4096), Verdict::Kill);
    assert_eq!(ask(limit, 0, libc::RLIMIT_NOFILE, 1 << 32), Verdict::Kill);
    assert_eq!(ask(limit, 1, libc::RLIMIT_NPROC, 4096), Verdict::Kill);
    assert_eq!(ask(limit, 1, libc::RLIMIT_NOFILE, 0), Verdict::Kill);
    // A run notices by this that it needs a filter of its own.
    let filter = CloneBan::Filter;
    assert_eq!(ask(filter, 0, libc::RLIMIT_NPROC, 4096), errno(libc::EPERM));
    assert_eq!(ask(filter, 0, libc::RLIMIT_NOFILE, 4096), Verdict::Kill);
}

#[test]
fn further_filters_only_where_runs_need_them() {
    let ask = |ban, flags| ask(ban, libc::SYS_seccomp, [1, flags, 4096, 0, 0, 0]);
    assert_eq!(ask(CloneBan::Filter, 0), Verdict::Allow);
    assert_eq!(
        ask(CloneBan::Filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
        Verdict::Kill
    );
    assert_eq!(ask(CloneBan::ProcessLimit, 0), Verdict::Kill);
}
