use std::io;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// How often it is looked. A child that is held is reaped within milliseconds of its end, so one that
/// was dead at the last look and still is belongs to nobody.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Reaps the children of one zygote that nobody holds, until none of them is left.
///
/// A child tells its process id when it is ready. One that is killed before that (the kernel was out
/// of memory, an operator was quick) is unknown to the node, and would stay a zombie for the node's
/// life. Everything that a zygote forks is in its process group, so no other child is touched, and
/// the kernel gives the group's number to nobody else while it has a member.
pub async fn reap_orphans(group: Pid, stop: CancellationToken) {
    let mut dead_before = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_PERIOD) => {}
            () = stop.cancelled() => return,
        }
        let Ok(dead) = dead_member(group) else {
            return;
        };
        if let Some(pid) = dead.filter(|_| dead == dead_before) {
            // It may have been reaped just now: then there is nothing to do.
            let _ = waitid(
                WaitId::Pid(pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
            debug!(pid = pid.as_raw_nonzero(), "an orphan was reaped");
        }
        dead_before = dead;
    }
}

/// A child in this group that has ended and was not reaped; an error where the group has no child.
fn dead_member(group: Pid) -> io::Result<Option<Pid>> {
    // SAFETY: all zeros is a value of this plain structure.
    let mut status: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `status` is a place for the answer; the call waits for nothing and reaps nobody.
    let result = unsafe {
        libc::waitid(
            libc::P_PGID,
            group.as_raw_nonzero().get() as libc::id_t,
            &mut status,
            libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel filled in the fields of a child's end, or left them zero.
    Ok(Pid::from_raw(unsafe { status.si_pid() }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    /// A child that died unheld is gone after two looks; with it the group, and the watch.
    #[tokio::test]
    async fn the_unheld_dead_are_reaped() {
        let mut child = Command::new("true")
            .process_group(0)
            .spawn()
            .expect("true can be run");
        let group = Pid::from_child(&child);
        let watch = reap_orphans(group, CancellationToken::new());
        tokio::time::timeout(LOOK_PERIOD * 10, watch)
            .await
            .expect("the group is empty");
        let error = child.wait().expect_err("it was reaped");
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
    }

    /// One that lives is left alone, whatever the number of looks.
    #[tokio::test]
    async fn the_living_are_left_alone() {
        let mut child = Command::new("sleep")
            .arg("60")
            .process_group(0)
            .spawn()
            .expect("sleep can be run");
        let watch = reap_orphans(Pid::from_child(&child), CancellationToken::new());
        let ended = tokio::time::timeout(LOOK_PERIOD * 3, watch).await;
        assert!(ended.is_err(), "the watch ended before the group");
        assert_eq!(child.try_wait().expect("it is our child"), None);
        child.kill().expect("it can be killed");
        child.wait().expect("it can be reaped");
    }
}
