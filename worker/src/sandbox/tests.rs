//! The layers' order and names, and each layer against the running kernel: alone, in a child, with
//! the answers it must give.

use worker_protocol::ProbeKind;

use super::*;
use crate::address_space::heap;

/// How a probe ended.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum End {
    /// The kernel let it pass.
    Passed,
    /// The kernel gave an error number.
    Refused(i32),
    /// The filter killed the process.
    Killed,
    /// The layer is not to be had here.
    NoLayer,
}

const FIRST_FREE_CODE: i32 = 250;

/// Puts `layers` in place in a child, as a zygote and its run would, and probes there.
fn attempt(layers: u32, kind: ProbeKind) -> End {
    // SAFETY: asks for a number.
    let node_pid = unsafe { libc::syscall(libc::SYS_getpid) } as u32;
    // Other tests allocate meanwhile: a child that took over a held lock would wait for ever.
    // SAFETY: the allocator is quiet, no other lock is used, and the child ends by `_exit`.
    let child = heap::quiet(|| unsafe { libc::fork() });
    if child == 0 {
        let code = in_child(
            &Start {
                node_pid,
                layers,
                layers_required: true,
                ..Start::default()
            },
            kind,
        );
        // SAFETY: nothing of the test harness is to run in the child.
        unsafe { libc::_exit(code) };
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: the status is written to a variable of its type.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    if libc::WIFSIGNALED(status) {
        assert_eq!(libc::WTERMSIG(status), libc::SIGSYS);
        return End::Killed;
    }
    match libc::WEXITSTATUS(status) {
        0 => End::Passed,
        FIRST_FREE_CODE => End::NoLayer,
        errno if errno < FIRST_FREE_CODE => End::Refused(errno),
        code => panic!("exit code {code}"),
    }
}

/// 0 or the error number of the probe.
fn in_child(start: &Start, kind: ProbeKind) -> i32 {
    let Ok(report) = enter_zygote(start) else {
        return FIRST_FREE_CODE;
    };
    if report.layers_active() != start.layers || enter_run(report.layers_active()).is_err() {
        return FIRST_FREE_CODE + 1;
    }
    probe(kind, start.node_pid).min(0).unsigned_abs() as i32
}

#[test]
fn seccomp_alone_kills_what_is_not_listed() {
    for kind in [
        ProbeKind::OpenFile,
        ProbeKind::CreateFile,
        ProbeKind::Connect,
        ProbeKind::Ptrace,
        ProbeKind::ReadNodeProc,
        ProbeKind::SignalNode,
        ProbeKind::Exec,
        ProbeKind::MapShared,
        ProbeKind::MemfdCreate,
        ProbeKind::RaiseLimit,
    ] {
        assert_eq!(attempt(layer::SECCOMP, kind), End::Killed, "{kind:?}");
    }
    assert_eq!(
        attempt(layer::SECCOMP, ProbeKind::Undumpable),
        End::Refused(libc::EPERM)
    );
    assert_eq!(
        attempt(layer::SECCOMP, ProbeKind::CountInherited),
        End::Passed
    );
}

#[test]
fn a_run_cannot_fork() {
    // SAFETY: no arguments, no failure.
    let root = unsafe { libc::getuid() } == 0;
    let expected = if root {
        End::Killed
    } else {
        End::Refused(libc::EAGAIN)
    };
    assert_eq!(attempt(layer::SECCOMP, ProbeKind::Fork), expected);
}

#[test]
fn landlock_alone_refuses_files_and_programs() {
    let first = attempt(layer::LANDLOCK, ProbeKind::OpenFile);
    if first == End::NoLayer {
        return; // A kernel without it; the report of a worker says so.
    }
    assert_eq!(first, End::Refused(libc::EACCES));
    for (kind, errno) in [
        (ProbeKind::CreateFile, libc::EACCES),
        (ProbeKind::ReadNodeProc, libc::EACCES),
        (ProbeKind::Exec, libc::EACCES),
        (ProbeKind::Ptrace, libc::EPERM),
    ] {
        assert_eq!(
            attempt(layer::LANDLOCK, kind),
            End::Refused(errno),
            "{kind:?}"
        );
    }
    assert_eq!(attempt(layer::LANDLOCK, ProbeKind::MapShared), End::Passed);
}

#[test]
fn without_a_layer_that_forbids_it_a_probe_passes() {
    for kind in [
        ProbeKind::OpenFile,
        ProbeKind::SignalNode,
        ProbeKind::MemfdCreate,
    ] {
        assert_eq!(attempt(layer::RLIMITS, kind), End::Passed, "{kind:?}");
    }
    assert_eq!(attempt(layer::RLIMITS, ProbeKind::Exec), End::Passed);
}

#[test]
fn every_layer_but_the_clean_start_can_be_had_together() {
    // The test program has an environment, so a clean start is not to be had in its children.
    let layers = layer::ALL & !layer::CLEAN_START & !layer::LANDLOCK;
    assert_eq!(attempt(layers, ProbeKind::CountInherited), End::Passed);
    assert_eq!(attempt(layers, ProbeKind::OpenFile), End::Killed);
    assert_eq!(
        attempt(layer::CLEAN_START, ProbeKind::OpenFile),
        End::NoLayer
    );
}

#[test]
fn limits_cannot_be_raised_again() {
    let layers = layer::RLIMITS | layer::NO_NEW_PRIVS;
    assert_eq!(
        attempt(layers, ProbeKind::RaiseLimit),
        End::Refused(libc::EPERM)
    );
}

#[test]
fn every_layer_of_the_protocol_has_one_name_and_one_step() {
    let bits = LAYERS.iter().fold(0, |bits, layer| {
        assert_eq!(layer.bit.count_ones(), 1, "{}", layer.name);
        assert_eq!(bits & layer.bit, 0, "{} shares its bit", layer.name);
        bits | layer.bit
    });
    assert_eq!(bits, layer::ALL);
    let mut names: Vec<_> = LAYERS.iter().map(|layer| layer.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), LAYERS.len());
}

#[test]
fn the_filter_comes_last() {
    assert_eq!(LAYERS[LAYERS.len() - 1].bit, layer::SECCOMP);
}

#[test]
fn only_active_layers_are_counted_as_such() {
    let mut report = Report(Vec::new());
    report.push("thp_off", Ok(String::new()));
    report.push(
        "landlock",
        Err(Cause::System {
            call: "landlock",
            errno: Errno(38),
        }),
    );
    report.push("seccomp", Ok("x".to_owned()));
    assert_eq!(report.layers_active(), layer::SECCOMP);
    assert_eq!(
        report.0[1].detail,
        "landlock: Function not implemented (errno 38)"
    );
}

#[test]
fn without_layers_nothing_is_done() {
    let start = Start {
        node_pid: 1,
        layers: 0,
        layers_required: true,
        ..Start::default()
    };
    assert!(enter_zygote(&start).expect("nothing can fail").0.is_empty());
}

#[test]
fn an_unknown_layer_is_an_error_only_where_all_are_required() {
    let start = Start {
        node_pid: 1,
        layers: 1 << 20,
        layers_required: true,
        ..Start::default()
    };
    assert_eq!(
        enter_zygote(&start).unwrap_err(),
        Error::UnknownLayers { bits: 1 << 20 }
    );
    let report = enter_zygote(&Start {
        layers_required: false,
        ..start
    })
    .unwrap();
    assert!(!report.0[0].active);
}
