use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long the kernel needs to take an ordinary worker apart, and more.
const SOON: Duration = Duration::from_millis(2);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody knows: it was reaped elsewhere.
    Unknown,
}

/// A child of this node: a zygote, or what one forked.
///
/// It is held by a pidfd, so a signal can never hit another process that got the same number.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    held: Held,
}

/// The numbers of all processes that somebody holds, until they are reaped.
static HELD: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// One of them.
#[derive(Debug)]
struct Held(i32);

impl Held {
    fn new(pid: Pid) -> Self {
        let pid = pid.as_raw_nonzero().get();
        held().insert(pid);
        Self(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        held().remove(&self.0);
    }
}

fn held() -> MutexGuard<'static, BTreeSet<i32>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether somebody holds the process with this number, dead or alive.
pub fn is_held(pid: Pid) -> bool {
    held().contains(&pid.as_raw_nonzero().get())
}

impl Process {
    /// Takes hold of a child that was not reaped yet.
    pub fn open(pid: Pid) -> io::Result<Self> {
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        let held = Held::new(pid);
        Ok(Self { pid, pidfd, held })
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Kills it; one that is dead already is left alone.
    pub fn kill(&self) {
        // The only failure is that it is gone.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits for its end and reaps it.
    pub async fn ended(self) -> Exit {
        let _held = self.held;
        // A process that was killed or is done ends within this time, and costs no place in the
        // reactor then.
        tokio::time::sleep(SOON).await;
        if let Some(exit) = reap(&self.pidfd) {
            return exit;
        }
        // SAFETY: the descriptor is owned here and stays open until it is dropped.
        let registered = unsafe { AsyncFd::register_with_interest(self.pidfd, Interest::READABLE) };
        let Ok(pidfd) = registered else {
            return Exit::Unknown;
        };
        loop {
            if let Some(exit) = reap(pidfd.get_ref()) {
                return exit;
            }
            match pidfd.readable().await {
                Ok(mut guard) => guard.clear_ready(),
                Err(_) => return Exit::Unknown,
            }
        }
    }
}

/// How a process has ended; nothing while it lives.
fn reap(pidfd: &OwnedFd) -> Option<Exit> {
    loop {
        match waitid(
            WaitId::PidFd(pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            Ok(None) => return None,
            Ok(Some(status)) => {
                return Some(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (_, Some(signal)) => Exit::Signal(signal),
                    _ => Exit::Unknown,
                });
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Some(Exit::Unknown),
        }
    }
}
