//! A run makes no process.
//!
//! The zygote's filter must let `clone` pass with the zygote's own flags, and a fork inherits it. So
//! each run gives that up for itself, before it reads its frame, in one of two ways:
//!
//! * `RLIMIT_NPROC` 0, soft and hard. The limit is a value of the process that the kernel compares
//!   with the number of the user's processes; at 0 every `clone` of this process gives `EAGAIN`, and
//!   no other process notices. One system call of less than a microsecond. Root (of the first user
//!   namespace) and holders of two capabilities are exempt from it.
//! * A second filter that kills on `clone`. It holds for everyone, and costs a run some fifteen
//!   microseconds at its start, where the kernel compiles it, and about as much again at its end.
//!
//! Which one holds here is tried by [`CloneBan::of_this_process`] in a helper process, unless the
//! user is root. The answer is kept in the zygote's filter and not in memory: it lets exactly one of
//! the two calls pass, so [`enter`] takes the first that the kernel accepts.

use super::{Errno, rlimits, seccomp, sys};

/// How a run gives up `clone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloneBan {
    /// By `RLIMIT_NPROC` 0.
    ProcessLimit,
    /// By a filter of its own.
    Filter,
}

impl CloneBan {
    /// The cheaper one of those that hold for this process, in doubt the filter.
    pub(super) fn of_this_process() -> Self {
        // SAFETY: the call has no arguments and can't fail.
        if unsafe { libc::getuid() } != 0 && process_limit_holds() {
            Self::ProcessLimit
        } else {
            Self::Filter
        }
    }

    /// For the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ProcessLimit => "process limit",
            Self::Filter => "filter",
        }
    }
}

/// In a run: no process can be made from here on.
pub(super) fn enter() -> Result<(), Errno> {
    match rlimits::set(libc::RLIMIT_NPROC, 0) {
        Ok(()) => Ok(()),
        // The zygote's filter says that the limit would not hold.
        Err(_) => seccomp::forbid_clone(),
    }
}

/// Whether `RLIMIT_NPROC` 0 stops this user from forking, tried in a child.
fn process_limit_holds() -> bool {
    match fork() {
        Ok(0) => exit(i32::from(!limit_holds_here())),
        Ok(child) => wait(child) == Some(0),
        Err(_) => false,
    }
}

/// In the helper process: a fork that works before the limit is set fails after it. Without the
/// first fork, a control group that is full would pass for the limit.
fn limit_holds_here() -> bool {
    fork_and_reap().is_ok()
        && rlimits::set(libc::RLIMIT_NPROC, 0).is_ok()
        && fork_and_reap() == Err(Errno(libc::EAGAIN))
}

fn fork_and_reap() -> Result<(), Errno> {
    let child = fork()?;
    if child == 0 {
        exit(0);
    }
    wait(child);
    Ok(())
}

/// A fork without the C library's own steps, which walk the thread list.
fn fork() -> Result<usize, Errno> {
    // SAFETY: without CLONE_VM and without a stack this is a fork. The child makes only system
    // calls, so it needs no lock that another thread may have held.
    unsafe { sys::call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0]) }
}

/// The exit code of a child that ended by itself.
fn wait(child: usize) -> Option<i32> {
    let mut status = 0_i32;
    let arguments = [child, (&raw mut status) as usize, 0, 0];
    loop {
        // SAFETY: the kernel writes one `int` into `status`.
        match unsafe { sys::call(libc::SYS_wait4, arguments) } {
            Ok(_) => return libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
            Err(Errno(libc::EINTR)) => {}
            Err(_) => return None,
        }
    }
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process at once; nothing of it is run any more.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_exempt_from_the_limit_and_others_are_not() {
        // SAFETY: no arguments, no failure.
        let root = unsafe { libc::getuid() } == 0;
        let own_namespace = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        let first_namespace = own_namespace
            .split_whitespace()
            .eq(["0", "0", "4294967295"]);
        if root {
            assert_eq!(CloneBan::of_this_process(), CloneBan::Filter);
        }
        if !root || first_namespace {
            assert_eq!(process_limit_holds(), !root);
        }
    }
}
