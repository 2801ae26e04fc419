//! Resource limits: hard limits that every fork inherits.
//!
//! `RLIMIT_NPROC` is not among them, because it counts all processes of the user, and the zygote
//! must fork; see [`super::clone_ban`] for the one use it has. `RLIMIT_AS` would refuse the address
//! space that V8 only reserves; memory is bounded elsewhere. The stack stays as it is.

use super::{Cause, Errno, sys};

/// How many descriptors can be open at once.
pub(super) const DESCRIPTORS_MAX: u64 = 16;

/// Resource, name, limit.
const LIMITS: [(u32, &str, u64); 6] = [
    // A core file would hold other runs' code and data as far as the zygote has seen them.
    (libc::RLIMIT_CORE, "core", 0),
    // Regular files only: sockets and /dev/null are not counted.
    (libc::RLIMIT_FSIZE, "fsize", 0),
    (libc::RLIMIT_NOFILE, "nofile", DESCRIPTORS_MAX),
    (libc::RLIMIT_MEMLOCK, "memlock", 0),
    (libc::RLIMIT_MSGQUEUE, "msgqueue", 0),
    // Queued signals and POSIX timers. Signals by kill(2) and of the kernel itself need none.
    (libc::RLIMIT_SIGPENDING, "sigpending", 0),
];

/// Sets the limits.
pub(super) fn enter() -> Result<String, Cause> {
    let mut detail = String::with_capacity(80);
    for (resource, name, value) in LIMITS {
        let failed = |errno| Cause::System {
            call: "prlimit64",
            errno,
        };
        // A limit that is lower already stays: raising it takes a privilege.
        let value = value.min(get(resource).map_err(failed)?.rlim_max);
        set(resource, value).map_err(failed)?;
        if !detail.is_empty() {
            detail.push(' ');
        }
        detail.push_str(name);
        detail.push('=');
        detail.push_str(&value.to_string());
    }
    Ok(detail)
}

/// The limits of this process for one resource.
pub(super) fn get(resource: u32) -> Result<libc::rlimit64, Errno> {
    let mut found = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let arguments = [0, resource as usize, 0, (&raw mut found) as usize];
    // SAFETY: the kernel writes one `rlimit64`, which `found` is.
    unsafe { sys::call(libc::SYS_prlimit64, arguments) }?;
    Ok(found)
}

/// Sets soft and hard limit of this process for one resource.
pub(super) fn set(resource: u32, value: u64) -> Result<(), Errno> {
    let wanted = libc::rlimit64 {
        rlim_cur: value,
        rlim_max: value,
    };
    let arguments = [0, resource as usize, (&raw const wanted) as usize, 0];
    // SAFETY: the kernel reads one `rlimit64`, which `wanted` is.
    unsafe { sys::call(libc::SYS_prlimit64, arguments) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_the_kernel_keeps() {
        // The core limit of the test program: nothing else in it depends on that.
        let before = get(libc::RLIMIT_CORE).unwrap();
        set(libc::RLIMIT_CORE, before.rlim_max.min(4096)).unwrap();
        let after = get(libc::RLIMIT_CORE).unwrap();
        assert_eq!(after.rlim_cur, before.rlim_max.min(4096));
        assert_eq!(after.rlim_max, after.rlim_cur);
    }

    #[test]
    fn a_run_has_room_for_its_descriptors() {
        let needed = worker_protocol::fd::IMAGE as u64 + 5;
        assert!(DESCRIPTORS_MAX > needed);
    }
}
