//! The processes of one session. They are a process group: its first process leads it, its forks are
//! born into it, and the sandbox lets none leave it.

use std::io;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpgid, kill_process, setpgid, waitid};

use crate::workers::proc_file;
use crate::workers::process::is_held;

/// Makes a process the first of a group of its own.
pub fn found(pid: Pid) -> io::Result<()> {
    Ok(setpgid(Some(pid), Some(pid))?)
}

/// Kills what is in the group of `member` and held by nobody; tells whether there was anything. While it
/// looks, no fork of the group may be on its way.
///
/// A session's process must be able to fork, so one that was taken over could fork for itself. What it
/// makes are children of this node, like all workers, and in its group.
pub fn kill_unheld(member: Pid) -> io::Result<bool> {
    let group = getpgid(Some(member))?;
    let mut found = false;
    for child in children()? {
        if is_held(child) || getpgid(Some(child)) != Ok(group) {
            continue;
        }
        // One that is dead already is only reaped: it was found before, or nobody will ever hold it.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if !matches!(waitid(WaitId::Pid(child), look), Ok(Some(_))) {
            found = true;
            // It may end by itself meanwhile.
            let _ = kill_process(child, Signal::KILL);
        }
    }
    Ok(found)
}

/// The children of this process that are workers. The kernel keeps them by the thread that made the
/// first of them, and forks of a worker are children of the same thread.
fn children() -> io::Result<Vec<Pid>> {
    let Some(thread) = crate::workers::spawner::thread_id() else {
        return Ok(Vec::new());
    };
    let path = format!("/proc/self/task/{thread}/children");
    let text = proc_file::read(&path)?;
    let numbers = text.split_whitespace().filter_map(|it| it.parse().ok());
    Ok(numbers.filter_map(Pid::from_raw).collect())
}
