//! What a worker must not inherit: descriptors and the environment.

use std::ffi::c_char;

use super::sys::{self, Descriptor};
use super::{Cause, Errno};

/// The first descriptor that is not part of the protocol.
const FIRST_FOREIGN: i32 = worker_protocol::fd::ORDERS + 1;

/// How far descriptors are closed one by one where the kernel can't close a range.
const CLOSED_SINGLY_MAX: u64 = 1 << 20;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Closes every descriptor but the protocol's, puts `/dev/null` on 0, 1 and 2, and looks for
/// variables.
pub(super) fn enter() -> Result<String, Cause> {
    close_foreign()?;
    for number in 0..3 {
        null_onto(number)?;
    }
    let variables = variables().max(variables_at_start());
    if variables > 0 {
        return Err(Cause::Environment { variables });
    }
    Ok(format!("{} descriptors, 0 variables", count_descriptors()))
}

fn close_foreign() -> Result<(), Cause> {
    let first = FIRST_FOREIGN as usize;
    // SAFETY: the worker owns no descriptor from here on; nothing in it uses one after this.
    let closed = unsafe { sys::call(libc::SYS_close_range, [first, u32::MAX as usize, 0]) };
    if closed.is_ok() {
        return Ok(());
    }
    // Kernels before 5.9, or a container profile that is older than the call.
    close_singly(first)
}

fn close_singly(first: usize) -> Result<(), Cause> {
    let limit = super::rlimits::get(libc::RLIMIT_NOFILE)
        .map_err(|errno| Cause::System {
            call: "prlimit64",
            errno,
        })?
        .rlim_max
        .min(CLOSED_SINGLY_MAX);
    for number in first..limit as usize {
        // SAFETY: as for the range.
        match unsafe { sys::call(libc::SYS_close, [number]) } {
            Ok(_) | Err(Errno(libc::EBADF)) => {}
            Err(errno) => {
                return Err(Cause::System {
                    call: "close",
                    errno,
                });
            }
        }
    }
    Ok(())
}

/// Opens `/dev/null` onto `number`, unless that is what it is.
fn null_onto(number: i32) -> Result<(), Cause> {
    // SAFETY: `stat` is plain old data, for which zeros are a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `stat`.
    let known = unsafe { libc::fstat(number, &mut stat) } == 0;
    let null = libc::makedev(1, 3);
    if known && stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == null {
        return Ok(());
    }
    let file = Descriptor::open(c"/dev/null", libc::O_RDWR).map_err(|errno| Cause::System {
        call: "open /dev/null",
        errno,
    })?;
    if file.number() == number {
        // `number` was closed and the lowest one free.
        file.keep();
        return Ok(());
    }
    // SAFETY: what `number` was is given up on purpose.
    unsafe { sys::call(libc::SYS_dup3, [file.number() as usize, number as usize, 0]) }.map_err(
        |errno| Cause::System {
            call: "dup3",
            errno,
        },
    )?;
    Ok(())
}

/// How many descriptors are open, of those that a worker could have.
pub(super) fn count_descriptors() -> usize {
    (0..1024).filter(|number| is_open(*number)).count()
}

fn is_open(number: usize) -> bool {
    // SAFETY: asking for the flags of a descriptor changes nothing.
    unsafe { sys::call(libc::SYS_fcntl, [number, libc::F_GETFD as usize]) }.is_ok()
}

/// How many variables `getenv` would find.
pub(super) fn variables() -> usize {
    let mut count = 0;
    // SAFETY: `environ` is null or an array that ends in null, and no other thread changes it.
    unsafe {
        let mut variable = environ;
        while !variable.is_null() && !(*variable).is_null() {
            count += 1;
            variable = variable.add(1);
        }
    }
    count
}

/// How many variables the kernel put on the stack at the start of the program. They stay readable
/// there for every fork, whatever `environ` says, unless they were overwritten. Without /proc: 0.
fn variables_at_start() -> usize {
    let Ok(file) = Descriptor::open(c"/proc/self/environ", libc::O_RDONLY) else {
        return 0;
    };
    let mut buffer = [0; 4096];
    let (mut count, mut inside) = (0, false);
    // The kernel bounds the environment, and so this loop.
    while let Ok(length @ 1..) = file.read(&mut buffer) {
        for &byte in &buffer[..length] {
            count += usize::from(byte != 0 && !inside);
            inside = byte != 0;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor that no other test touches.
    fn at(number: usize) -> Descriptor {
        let file = Descriptor::open(c"/dev/null", libc::O_RDONLY).unwrap();
        let arguments = [file.number() as usize, number, libc::O_CLOEXEC as usize];
        // SAFETY: the number is this test's own.
        unsafe { sys::call(libc::SYS_dup3, arguments) }
            .map(Descriptor::new)
            .unwrap()
    }

    #[test]
    fn open_descriptors_are_seen() {
        let file = at(1001);
        assert!(is_open(1001) && !is_open(1002));
        drop(file);
        assert!(!is_open(1001));
    }

    #[test]
    fn descriptors_can_be_closed_one_by_one() {
        let (below, first, last) = (at(1019).keep(), at(1021).keep(), at(1023).keep());
        close_singly(1020).unwrap();
        assert!(is_open(below as usize) && !is_open(first as usize) && !is_open(last as usize));
        drop(Descriptor::new(1019));
    }

    #[test]
    fn variables_are_counted() {
        assert_eq!(variables(), std::env::vars_os().count());
        let at_start = std::fs::read("/proc/self/environ").unwrap();
        let expected = at_start
            .split(|byte| *byte == 0)
            .filter(|text| !text.is_empty())
            .count();
        assert_eq!(variables_at_start(), expected);
    }
}
