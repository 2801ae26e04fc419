//! The filter: a list of the system calls that may be made, each with the arguments it may have.
//!
//! The program is a straight line: architecture, number, then one block for each call of the list in
//! the order of their numbers, and at its end the kill. Each block ends in a verdict, so a block can
//! be read alone. For calls without conditions the kernel remembers the verdict in a bitmap and does
//! not run the program at all.

#[cfg(target_arch = "x86_64")]
#[path = "seccomp/x86_64.rs"]
mod arch;
#[cfg(not(target_arch = "x86_64"))]
compile_error!("the sandbox has a list of system calls for x86_64 only");

mod program;

use libc::sock_filter;

use super::clone_ban::CloneBan;
use super::{Cause, Errno, process, sys};
use program::Program;

/// A system call that does not always kill.
pub(super) struct Rule {
    /// Its number.
    pub number: libc::c_long,
    /// Its name, for tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "the list's tests name it"))]
    pub name: &'static str,
    /// The cases, of which the first that holds decides.
    pub cases: &'static [Case],
    /// What happens when none holds.
    pub otherwise: Verdict,
}

/// What happens when all of some arguments are as described.
pub(super) struct Case {
    /// The arguments.
    pub arguments: &'static [Argument],
    /// What happens.
    pub verdict: Verdict,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is made.
    Allow,
    /// It gives this error number.
    Refuse(i32),
    /// It ends the process.
    Kill,
}

/// A condition on one argument: `argument & mask == value`.
pub(super) struct Argument {
    /// Which argument, from 0.
    pub index: u8,
    /// How much of it the kernel looks at.
    pub width: Width,
    /// The bits that count.
    pub mask: u64,
    /// What they must be.
    pub value: u64,
}

/// How much of an argument the kernel looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// An `int`: the upper half is not looked at.
    Int,
    /// All of it.
    Long,
}

/// Lays the filter over every thread of the zygote.
pub(super) fn enter() -> Result<String, Cause> {
    process::no_new_privs()?;
    let ban = CloneBan::of_this_process();
    let program = zygote_program(ban);
    match install(&program, libc::SECCOMP_FILTER_FLAG_TSYNC) {
        Ok(0) => Ok(format!(
            "{} instructions, clone ban by {}",
            program.len(),
            ban.name()
        )),
        Ok(tid) => Err(Cause::Thread { tid }),
        Err(errno) => Err(Cause::System {
            call: "seccomp",
            errno,
        }),
    }
}

/// Lays a second filter over this process, which kills on `clone` and on further filters.
pub(super) fn forbid_clone() -> Result<(), Errno> {
    // The zygote's filter, which stays in force, has checked the architecture.
    static PROGRAM: [sock_filter; 5] = [
        program::LOAD_NUMBER,
        program::jump_if_equal(libc::SYS_clone as u32, 1, 0),
        program::jump_if_equal(libc::SYS_seccomp as u32, 0, 1),
        program::end(Verdict::Kill),
        program::end(Verdict::Allow),
    ];
    install(&PROGRAM, 0).map(drop)
}

fn zygote_program(ban: CloneBan) -> Vec<sock_filter> {
    let ban_rules = match ban {
        CloneBan::ProcessLimit => arch::BAN_BY_PROCESS_LIMIT,
        CloneBan::Filter => arch::BAN_BY_FILTER,
    };
    let mut program = Program::new(arch::AUDIT_ARCH, arch::NUMBER_MAX);
    // The few rules that differ come after the list, so that the list stays one.
    for rule in arch::RULES.iter().chain(ban_rules) {
        program.rule(rule);
    }
    program.finish()
}

fn install(program: &[sock_filter], flags: libc::c_ulong) -> Result<usize, Errno> {
    let program = libc::sock_fprog {
        len: program.len() as u16,
        // The kernel copies the program and does not write to it.
        filter: program.as_ptr().cast_mut(),
    };
    let operation = libc::SECCOMP_SET_MODE_FILTER as usize;
    let arguments = [operation, flags as usize, (&raw const program) as usize];
    // SAFETY: `program` and what it points to outlive the call and have the length that is given.
    unsafe { sys::call(libc::SYS_seccomp, arguments) }
}

#[cfg(test)]
mod tests;
