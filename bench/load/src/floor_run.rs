//! The worker without a node: fork, evaluate, exit, reap, one after the other.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use worker_protocol::{
    FromWorker, Limits, Run, Start, ToWorker, decode, encode, fd, frame_length, from_worker, layer,
    to_worker,
};

use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};
use crate::proc::rss_kb;

/// A bare loop over a worker program, phase by phase.
#[derive(Debug, Serialize)]
pub struct RunReport {
    code: String,
    zygote_rss_kb: Option<u64>,
    per_second: f64,
    /// From the order to the child's word that it is ready.
    fork: LatencySummary,
    /// From the frame to the result.
    evaluate: LatencySummary,
    /// From the result to the end of the process.
    exit: LatencySummary,
    /// All of it.
    whole: LatencySummary,
}

/// A worker program that was started as a node starts it.
struct Zygote {
    process: Child,
    orders: OwnedFd,
    handoff: OwnedFd,
}

/// Runs `code` in one process after the other, for that long.
pub fn run_loop(worker: &Path, code: &str, lasting: Duration) -> Result<RunReport, LoadError> {
    let zygote = Zygote::start(worker)?;
    let frame = encode(&ToWorker {
        frame: Some(to_worker::Frame::Run(Run {
            node_pid: std::process::id(),
            seed: vec![7; 32],
            code: code.to_owned(),
            limits: Some(Limits {
                heap_bytes: 64 << 20,
                array_buffer_bytes: 64 << 20,
                stack_bytes: 1 << 20,
                result_bytes: 1 << 20,
            }),
            ..Run::default()
        })),
    });
    let [mut fork, mut evaluate, mut exit, mut whole] = std::array::from_fn(|_| Latency::new());
    let started = Instant::now();
    while started.elapsed() < lasting {
        let begun = Instant::now();
        let mut channel = zygote.fork()?;
        expect(&receive(&mut channel)?, |frame| {
            matches!(frame, from_worker::Frame::ChildReady(_))
        })?;
        let ready = Instant::now();
        channel.write_all(&frame).map_err(system("send a frame"))?;
        expect(
            &receive(&mut channel)?,
            |frame| matches!(frame, from_worker::Frame::Done(done) if done.error.is_none()),
        )?;
        let done = Instant::now();
        zygote.reap()?;
        let ended = Instant::now();
        fork.record(ready - begun);
        evaluate.record(done - ready);
        exit.record(ended - done);
        whole.record(ended - begun);
    }
    let seconds = started.elapsed().as_secs_f64();
    let whole = whole.summary();
    Ok(RunReport {
        code: code.to_owned(),
        zygote_rss_kb: rss_kb(zygote.process.id()),
        per_second: whole.count as f64 / seconds,
        fork: fork.summary(),
        evaluate: evaluate.summary(),
        exit: exit.summary(),
        whole,
    })
}

impl Zygote {
    fn start(worker: &Path) -> Result<Self, LoadError> {
        let (orders, worker_orders) = pair(libc::SOCK_SEQPACKET)?;
        let (handoff, worker_handoff) = pair(libc::SOCK_SEQPACKET)?;
        let (from_orders, from_handoff) = (worker_orders.as_raw_fd(), worker_handoff.as_raw_fd());
        let worker = worker.canonicalize().map_err(system("find the worker"))?;
        let mut command = Command::new(worker);
        command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe { command.pre_exec(move || place(from_orders, from_handoff)) };
        let process = command.spawn().map_err(system("start the worker"))?;
        let zygote = Self {
            process,
            orders,
            handoff,
        };
        zygote.order(&encode(&ToWorker {
            frame: Some(to_worker::Frame::Start(Start {
                node_pid: std::process::id(),
                layers: layer::ALL,
                layers_required: false,
            })),
        }))?;
        let mut answer = vec![0; 64 << 10];
        // SAFETY: the buffer is as long as told.
        let length = unsafe {
            libc::recv(
                zygote.orders.as_raw_fd(),
                answer.as_mut_ptr().cast(),
                answer.len(),
                0,
            )
        };
        if length < 4 {
            return Err(LoadError::Worker);
        }
        let answer = decode::<FromWorker>(&answer[4..length as usize]);
        expect(&answer.map_err(|_| LoadError::Worker)?, |frame| {
            matches!(frame, from_worker::Frame::ZygoteReady(_))
        })?;
        Ok(zygote)
    }

    fn order(&self, message: &[u8]) -> Result<(), LoadError> {
        // SAFETY: the message is as long as told.
        let sent = unsafe {
            libc::send(
                self.orders.as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                libc::MSG_NOSIGNAL,
            )
        };
        checked(sent, "send an order").map(drop)
    }

    fn fork(&self) -> Result<UnixStream, LoadError> {
        #[repr(C, align(8))]
        struct Control([u8; 24]);
        let (ours, theirs) = pair(libc::SOCK_STREAM)?;
        let mut byte = [0_u8; 1];
        let mut part = libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut control = Control([0; 24]);
        // SAFETY: an all-zero header is valid; its pointers lead to live buffers of the sizes told,
        // and the control buffer has room for one descriptor.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as usize;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
            libc::CMSG_DATA(header)
                .cast::<RawFd>()
                .write_unaligned(theirs.as_raw_fd());
            libc::sendmsg(
                self.handoff.as_raw_fd(),
                &raw const message,
                libc::MSG_NOSIGNAL,
            )
        };
        checked(sent, "hand a channel over")?;
        self.order(b"f")?;
        Ok(UnixStream::from(ours))
    }

    /// Waits for the end of the one child that is not the zygote.
    fn reap(&self) -> Result<(), LoadError> {
        let mut status = 0;
        // SAFETY: `status` lives until the call returns.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        let pid = checked(pid as isize, "reap")?;
        if pid as u32 == self.process.id() || !libc::WIFEXITED(status) {
            return Err(LoadError::Worker);
        }
        Ok(())
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It may be gone already; then there is only the reaping left.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn receive(channel: &mut UnixStream) -> Result<FromWorker, LoadError> {
    let mut prefix = [0; 4];
    let read = system("read from a worker");
    channel.read_exact(&mut prefix).map_err(&read)?;
    let length = frame_length(prefix).map_err(|_| LoadError::Worker)?;
    let mut body = vec![0; length];
    channel.read_exact(&mut body).map_err(&read)?;
    decode(&body).map_err(|_| LoadError::Worker)
}

fn expect(
    message: &FromWorker,
    right: impl FnOnce(&from_worker::Frame) -> bool,
) -> Result<(), LoadError> {
    match &message.frame {
        Some(frame) if right(frame) => Ok(()),
        _ => Err(LoadError::Worker),
    }
}

fn pair(kind: i32) -> Result<(OwnedFd, OwnedFd), LoadError> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors, which are new and nobody else's.
    unsafe {
        let result = libc::socketpair(
            libc::AF_UNIX,
            kind | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        );
        checked(result as isize, "make a socket")?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Puts the sockets where the protocol wants them, whatever numbers they have.
fn place(orders: RawFd, handoff: RawFd) -> io::Result<()> {
    // SAFETY: plain calls on descriptors that this process has.
    let results = unsafe {
        let orders = libc::fcntl(orders, libc::F_DUPFD_CLOEXEC, 64);
        let handoff = libc::fcntl(handoff, libc::F_DUPFD_CLOEXEC, 64);
        [
            orders,
            handoff,
            libc::dup2(orders, fd::ORDERS),
            libc::dup2(handoff, fd::HANDOFF),
        ]
    };
    if results.iter().any(|result| *result < 0) {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn checked(result: isize, what: &'static str) -> Result<isize, LoadError> {
    if result < 0 {
        Err(system(what)(io::Error::last_os_error()))
    } else {
        Ok(result)
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> LoadError {
    move |source| LoadError::System { what, source }
}
