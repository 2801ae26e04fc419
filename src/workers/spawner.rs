use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock};
use std::thread;

use rustix::process::Pid;
use tokio::sync::oneshot;
use worker_protocol::fd;

use super::StartError;
use super::program;

/// What a zygote is started with.
struct Order {
    orders: OwnedFd,
    handoff: OwnedFd,
    started: oneshot::Sender<Result<Pid, StartError>>,
}

static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();

/// Starts a zygote with its two sockets.
///
/// It is done on a thread that lives as long as the node: the kernel kills a worker when the thread
/// ends that it was started from, and the threads of a runtime come and go.
pub async fn spawn(orders: OwnedFd, handoff: OwnedFd) -> Result<Pid, StartError> {
    let (started, pid) = oneshot::channel();
    let order = Order {
        orders,
        handoff,
        started,
    };
    let sent = {
        let spawner = SPAWNER.get_or_init(start_thread);
        let spawner = spawner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        spawner.send(order).is_ok()
    };
    if !sent {
        return Err(StartError::Ended);
    }
    pid.await.map_err(|_| StartError::Ended)?
}

fn start_thread() -> Mutex<mpsc::Sender<Order>> {
    let (sender, orders) = mpsc::channel::<Order>();
    thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for order in orders {
                // A caller that gave up is told nothing; its zygote ends with its sockets.
                drop(order.started.send(start(&order.orders, &order.handoff)));
            }
        })
        .expect("a thread can be started");
    Mutex::new(sender)
}

fn start(orders: &OwnedFd, handoff: &OwnedFd) -> Result<Pid, StartError> {
    let mut command = Command::new(program::path().map_err(StartError::Program)?);
    let (orders, handoff) = (orders.as_raw_fd(), handoff.as_raw_fd());
    command
        .arg0("mcp-v8-worker")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own: a signal from the terminal is for the node, which drains.
        .process_group(0);
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe { command.pre_exec(move || place(orders, handoff)) };
    let child = command.spawn().map_err(StartError::Spawn)?;
    Ok(Pid::from_child(&child))
}

/// Puts the sockets where the protocol wants them, whatever numbers they have.
fn place(orders: RawFd, handoff: RawFd) -> io::Result<()> {
    /// Above every number that is given a meaning.
    const ABOVE: RawFd = 64;
    // SAFETY: plain calls on descriptors that this process has; the copies are its own.
    unsafe {
        let orders = checked(libc::fcntl(orders, libc::F_DUPFD_CLOEXEC, ABOVE))?;
        let handoff = checked(libc::fcntl(handoff, libc::F_DUPFD_CLOEXEC, ABOVE))?;
        checked(libc::dup2(orders, fd::ORDERS))?;
        checked(libc::dup2(handoff, fd::HANDOFF))?;
    }
    Ok(())
}

fn checked(result: RawFd) -> io::Result<RawFd> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
