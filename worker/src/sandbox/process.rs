//! The layers that are one or two system calls each.

use super::sys::{self, Descriptor};
use super::{Cause, Errno, Error};

/// What `oom_score_adj` is set to: the first to go when memory is short.
const OOM_SCORE: i64 = 1000;

/// Turns transparent huge pages off. They make images larger, and some kernels only guess which of
/// their pages a process owns alone.
pub(super) fn huge_pages_off() -> Result<String, Cause> {
    sys::prctl(libc::PR_SET_THP_DISABLE, 1).map_err(|errno| Cause::System {
        call: "prctl(PR_SET_THP_DISABLE)",
        errno,
    })?;
    Ok(String::new())
}

/// Makes memory pressure kill workers before the node.
pub(super) fn raise_oom_score() -> Result<String, Cause> {
    let failed = |call| move |errno| Cause::System { call, errno };
    let file = Descriptor::open(c"/proc/self/oom_score_adj", libc::O_RDWR)
        .map_err(failed("open /proc/self/oom_score_adj"))?;
    file.write(OOM_SCORE.to_string().as_bytes())
        .map_err(failed("write oom_score_adj"))?;
    let mut answer = [0; 16];
    // A descriptor of its own: the first one's position is behind what was written.
    let file = Descriptor::open(c"/proc/self/oom_score_adj", libc::O_RDONLY)
        .map_err(failed("open /proc/self/oom_score_adj"))?;
    let length = file
        .read(&mut answer)
        .map_err(failed("read oom_score_adj"))?;
    let found = std::str::from_utf8(&answer[..length])
        .ok()
        .and_then(|text| text.trim().parse().ok());
    match found {
        Some(OOM_SCORE) => Ok(OOM_SCORE.to_string()),
        other => Err(Cause::NotTaken {
            what: "oom_score_adj",
            found: other.unwrap_or(i64::MIN),
        }),
    }
}

/// Arms the signal that ends this process when its parent does.
pub(super) fn arm_parent_death() -> Result<(), Errno> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize).map(drop)
}

/// [`arm_parent_death`] as a layer.
pub(super) fn die_with_parent() -> Result<String, Cause> {
    arm_parent_death().map_err(|errno| Cause::System {
        call: "prctl(PR_SET_PDEATHSIG)",
        errno,
    })?;
    Ok("SIGKILL".to_owned())
}

/// Whether the parent is the node.
pub(super) fn check_parent(node_pid: u32) -> Result<(), Error> {
    // SAFETY: the call has no arguments and can't fail.
    let parent_pid = unsafe { libc::getppid() } as u32;
    if parent_pid == node_pid {
        Ok(())
    } else {
        Err(Error::Orphan {
            node_pid,
            parent_pid,
        })
    }
}

/// No program that is executed from here on gets more than this process has. Landlock and seccomp
/// ask for it from a process without privileges.
pub(super) fn no_new_privs() -> Result<String, Cause> {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(|errno| Cause::System {
        call: "prctl(PR_SET_NO_NEW_PRIVS)",
        errno,
    })?;
    Ok(String::new())
}

/// Gives up every capability, for nodes that run as root. Only the calling thread's, so only the V8
/// thread's and its forks'. Capabilities that get fewer leave the process dumpable.
pub(super) fn drop_capabilities() -> Result<String, Cause> {
    /// `_LINUX_CAPABILITY_VERSION_3`, and 0 for the calling thread.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    /// Two words each of effective, permitted and inheritable ones.
    const NONE: [u32; 6] = [0; 6];
    // The kernel writes into the header when it does not know the version.
    let mut header = HEADER;
    let arguments = [header.as_mut_ptr() as usize, NONE.as_ptr() as usize];
    // SAFETY: header and data have the sizes of version 3 and outlive the call.
    unsafe { sys::call(libc::SYS_capset, arguments) }.map_err(|errno| Cause::System {
        call: "capset",
        errno,
    })?;
    Ok("none left".to_owned())
}
