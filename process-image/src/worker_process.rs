//! A worker program driven step by step, without a node: for the build, which makes the base image, and
//! for tests and benchmarks. It blocks, and takes the worker at its word.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use worker_protocol::{
    FromWorker, Handoff, Rest, Role, Start, Step, ToWorker, ZygoteReady, decode, encode, fd,
    frame_length, from_worker, to_worker,
};

/// A process that waits for orders, or is about to.
#[derive(Debug)]
pub struct WorkerProcess {
    pid: Pid,
    channel: UnixStream,
    handoff: OwnedFd,
    orders: OwnedFd,
    layers: u32,
}

/// A process with one run, which ends with it.
#[derive(Debug)]
pub struct RunProcess {
    pid: Pid,
    channel: UnixStream,
}

/// Our end and the worker's of each of a process's sockets.
struct Sockets {
    channel: (OwnedFd, OwnedFd),
    handoff: (OwnedFd, OwnedFd),
    orders: (OwnedFd, OwnedFd),
}

impl Sockets {
    fn new() -> io::Result<Self> {
        Ok(Self {
            channel: pair(SocketType::STREAM)?,
            handoff: pair(SocketType::SEQPACKET)?,
            orders: pair(SocketType::SEQPACKET)?,
        })
    }
}

impl WorkerProcess {
    /// Starts the program and waits until it can go on.
    ///
    /// # Errors
    /// When it can't be started, or says that it can't work here.
    pub fn start(program: &Path, start: Start) -> io::Result<(Self, ZygoteReady)> {
        let sockets = Sockets::new()?;
        let theirs = [
            sockets.channel.1.as_raw_fd(),
            sockets.handoff.1.as_raw_fd(),
            sockets.orders.1.as_raw_fd(),
        ];
        let mut command = Command::new(std::path::absolute(program)?);
        command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe { command.pre_exec(move || place_descriptors(theirs)) };
        let child = command.spawn()?;
        // The other ends are the worker's alone from here on: its end is to be noticed.
        drop((sockets.channel.1, sockets.handoff.1, sockets.orders.1));
        let mut process = Self {
            pid: Pid::from_child(&child),
            channel: UnixStream::from(sockets.channel.0),
            handoff: sockets.handoff.0,
            orders: sockets.orders.0,
            layers: 0,
        };
        process.send(to_worker::Frame::Start(start))?;
        match process.receive()? {
            from_worker::Frame::ZygoteReady(ready) => {
                process.layers = ready.layers_active;
                Ok((process, ready))
            }
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn send(&mut self, frame: to_worker::Frame) -> io::Result<()> {
        send_frame(&mut self.channel, frame)
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn receive(&mut self) -> io::Result<from_worker::Frame> {
        receive_frame(&mut self.channel)
    }

    /// Forks a process for one run.
    ///
    /// # Errors
    /// When there is no such process in the end.
    pub fn fork_run(&self) -> io::Result<RunProcess> {
        let (ours, theirs) = pair(SocketType::STREAM)?;
        self.order(Role::Run, &[theirs.as_fd()])?;
        drop(theirs);
        let mut channel = UnixStream::from(ours);
        let pid = receive_ready(&mut channel)?;
        Ok(RunProcess { pid, channel })
    }

    /// Forks a process that takes frames and waits after them.
    ///
    /// # Errors
    /// When there is no such process in the end.
    pub fn fork_line(&self) -> io::Result<Self> {
        self.fork_with(Role::Line, None)
    }

    /// Forks a process that becomes the one of an image. `plan` is told its process id, when it waits
    /// for the steps.
    ///
    /// # Errors
    /// When there is no such process in the end.
    pub fn fork_into(
        &self,
        image: &File,
        plan: impl FnOnce(u32) -> io::Result<Vec<Step>>,
    ) -> io::Result<Self> {
        let mut process = self.fork_with(Role::Enter, Some(image))?;
        process.enter(plan)?;
        Ok(process)
    }

    /// Makes this process, started with [`Start::enter`], the one of an image.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn become_image(&mut self, image: &File, plan: Vec<Step>) -> io::Result<()> {
        let sockets = Sockets::new()?;
        self.hand_over(Role::Enter, &sockets, Some(image))?;
        self.channel = UnixStream::from(sockets.channel.0);
        self.handoff = sockets.handoff.0;
        self.orders = sockets.orders.0;
        // The other ends are the worker's alone from here on: its end is to be noticed.
        drop((sockets.channel.1, sockets.handoff.1, sockets.orders.1));
        receive_ready(&mut self.channel)?;
        self.enter(|_| Ok(plan))
    }

    /// Lets a forked process wait as it is, without a run.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn rest(&mut self) -> io::Result<()> {
        self.send(to_worker::Frame::Rest(Rest {}))?;
        self.resting()
    }

    fn enter(&mut self, plan: impl FnOnce(u32) -> io::Result<Vec<Step>>) -> io::Result<()> {
        self.resting()?;
        let steps = plan(self.pid())?;
        let bytes: Vec<u8> = steps.into_iter().flat_map(Step::encode).collect();
        self.channel.write_all(&bytes)?;
        self.resting()
    }

    fn resting(&mut self) -> io::Result<()> {
        match self.receive()? {
            from_worker::Frame::Resting(_) => Ok(()),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    fn fork_with(&self, role: Role, image: Option<&File>) -> io::Result<Self> {
        let sockets = Sockets::new()?;
        self.hand_over(role, &sockets, image)?;
        send(&self.orders, b"f", SendFlags::NOSIGNAL)?;
        let mut channel = UnixStream::from(sockets.channel.0);
        // The other ends are the worker's alone from here on.
        drop((sockets.channel.1, sockets.handoff.1, sockets.orders.1));
        let pid = receive_ready(&mut channel)?;
        Ok(Self {
            pid,
            channel,
            handoff: sockets.handoff.0,
            orders: sockets.orders.0,
            layers: self.layers,
        })
    }

    fn hand_over(&self, role: Role, sockets: &Sockets, image: Option<&File>) -> io::Result<()> {
        let mut descriptors = vec![
            sockets.channel.1.as_fd(),
            sockets.handoff.1.as_fd(),
            sockets.orders.1.as_fd(),
        ];
        descriptors.extend(image.map(AsFd::as_fd));
        self.hand(role, &descriptors)
    }

    fn order(&self, role: Role, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.hand(role, descriptors)?;
        send(&self.orders, b"f", SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn hand(&self, role: Role, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let handoff = Handoff {
            role,
            node_pid: std::process::id(),
            layers: self.layers,
        };
        send_handoff(&self.handoff, handoff, descriptors)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        end(self.pid);
    }
}

impl RunProcess {
    /// Sends a frame.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn send(&mut self, frame: to_worker::Frame) -> io::Result<()> {
        send_frame(&mut self.channel, frame)
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn receive(&mut self) -> io::Result<from_worker::Frame> {
        receive_frame(&mut self.channel)
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it is no child of this one.
    pub fn ended(self) -> io::Result<()> {
        waitpid(Some(self.pid), WaitOptions::empty())?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for RunProcess {
    fn drop(&mut self) {
        end(self.pid);
    }
}

/// Sends a [`Handoff`] with the descriptors that its role names.
///
/// # Errors
/// When the socket is closed or full.
pub fn send_handoff(
    socket: &OwnedFd,
    handoff: Handoff,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    assert!(
        descriptors.len() == handoff.role.descriptors(),
        "{} descriptors for {handoff:?}",
        descriptors.len()
    );
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let pushed = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    assert!(pushed, "the buffer has room for four descriptors");
    let bytes = handoff.encode();
    let parts = [IoSlice::new(&bytes)];
    sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Between fork and exec: puts channel, hand-off socket and socket of orders where the protocol wants
/// them, whatever numbers they have.
///
/// # Errors
/// When the kernel has no number left.
pub fn place_descriptors(sockets: [RawFd; 3]) -> io::Result<()> {
    /// Above every number that is given a meaning.
    const ABOVE: RawFd = 64;
    let checked = |result: RawFd| match result {
        ..0 => Err(io::Error::last_os_error()),
        _ => Ok(result),
    };
    let mut copies = [0; 3];
    for (copy, socket) in copies.iter_mut().zip(sockets) {
        // SAFETY: a plain call on a descriptor that this process has; the copy is its own.
        *copy = checked(unsafe { libc::fcntl(socket, libc::F_DUPFD_CLOEXEC, ABOVE) })?;
    }
    for (copy, place) in copies
        .into_iter()
        .zip([fd::CHANNEL, fd::HANDOFF, fd::ORDERS])
    {
        // SAFETY: as above; what has the number is not used any more after exec.
        checked(unsafe { libc::dup2(copy, place) })?;
    }
    Ok(())
}

fn end(pid: Pid) {
    // It may have ended, and been reaped, already.
    let _ = kill_process(pid, Signal::KILL);
    let _ = waitpid(Some(pid), WaitOptions::empty());
}

fn pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    // The kernel then adds the sender's process id to what is received.
    rustix::net::sockopt::set_socket_passcred(&ours, true)?;
    Ok((ours, theirs))
}

fn send_frame(channel: &mut UnixStream, frame: to_worker::Frame) -> io::Result<()> {
    channel.write_all(&encode(&ToWorker { frame: Some(frame) }))
}

fn receive_frame(channel: &mut UnixStream) -> io::Result<from_worker::Frame> {
    let mut prefix = [0; 4];
    channel.read_exact(&mut prefix)?;
    let mut body = vec![0; frame_length(prefix).map_err(io::Error::other)?];
    channel.read_exact(&mut body)?;
    let message: FromWorker = decode(&body).map_err(io::Error::other)?;
    message.frame.ok_or(io::ErrorKind::InvalidData.into())
}

/// The first frame of a forked process; the kernel adds the process id to it.
fn receive_ready(channel: &mut UnixStream) -> io::Result<Pid> {
    let mut message = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    // The frame's own bytes and no more: another may follow at once.
    let ready = encode(&FromWorker {
        frame: Some(from_worker::Frame::ChildReady(
            worker_protocol::ChildReady {},
        )),
    });
    let mut parts = [IoSliceMut::new(&mut message[..ready.len()])];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(&*channel, &mut parts, &mut ancillary, flags)?.bytes;
    let pid = ancillary.drain().find_map(|added| match added {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.pid),
        _ => None,
    });
    if message[..received] != ready {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    pid.ok_or(io::ErrorKind::InvalidData.into())
}
