use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock};
use std::thread;

use process_image::worker_process::place_descriptors;
use rustix::process::Pid;
use tokio::sync::oneshot;

use super::{Engine, StartError};

/// What a zygote is started with.
struct Order {
    engine: &'static Engine,
    sockets: [OwnedFd; 3],
    started: oneshot::Sender<Result<Pid, StartError>>,
}

static THREAD_ID: AtomicI32 = AtomicI32::new(0);

/// The kernel's number of the thread whose children all workers are, once there is one.
pub fn thread_id() -> Option<i32> {
    match THREAD_ID.load(Ordering::Relaxed) {
        0 => None,
        id => Some(id),
    }
}

static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();

/// Starts a zygote with its channel, its hand-off socket and its socket of orders.
///
/// It is done on a thread that lives as long as the node: the kernel kills a worker when the thread
/// ends that it was started from, and the threads of a runtime come and go.
pub async fn spawn(engine: &'static Engine, sockets: [OwnedFd; 3]) -> Result<Pid, StartError> {
    let (started, pid) = oneshot::channel();
    let order = Order {
        engine,
        sockets,
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
            let id = rustix::thread::gettid().as_raw_nonzero().get();
            THREAD_ID.store(id, Ordering::Relaxed);
            for order in orders {
                // A caller that gave up is told nothing; its zygote ends with its sockets.
                drop(order.started.send(start(order.engine, &order.sockets)));
            }
        })
        .expect("a thread can be started");
    Mutex::new(sender)
}

fn start(engine: &Engine, sockets: &[OwnedFd; 3]) -> Result<Pid, StartError> {
    let mut command = Command::new(engine.program().path());
    let sockets = sockets.each_ref().map(AsRawFd::as_raw_fd);
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
    unsafe { command.pre_exec(move || place_descriptors(sockets)) };
    let child = command.spawn().map_err(StartError::Spawn)?;
    Ok(Pid::from_child(&child))
}
