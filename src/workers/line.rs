use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use process_image::worker_process::send_handoff;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvmsg, send, socketpair,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use worker_protocol::{Handoff, Role};

use super::child::{Child, Forking};
use super::process::Process;

/// Before a fork that failed is ordered again.
pub const FORK_RETRY_DELAY: Duration = Duration::from_millis(20);

/// A process that waits for orders to fork, and does nothing else.
#[derive(Debug)]
pub struct Line {
    process: Process,
    orders: AsyncFd<OwnedFd>,
    handoff: OwnedFd,
    /// The layers of its sandbox, which its forks have too.
    layers: u32,
}

/// What a process that waits has to say.
#[derive(Debug)]
pub enum News {
    /// A fork failed with this `errno`; the order must be given again.
    ForkFailed(i32),
    /// It is gone.
    Ended,
}

/// The node's ends of the sockets over which a process is told to fork.
#[derive(Debug)]
pub struct LineSockets {
    handoff: OwnedFd,
    orders: OwnedFd,
}

/// A fork that was ordered and will wait for orders in its turn.
pub struct ForkingLine {
    forking: Forking,
    sockets: LineSockets,
    layers: u32,
}

/// A process that takes a frame and waits for orders after it.
pub struct LineChild {
    /// The process with its channel.
    pub child: Child,
    sockets: LineSockets,
    layers: u32,
}

impl LineSockets {
    /// Fresh ones, and the worker's ends: its hand-off socket and its socket of orders.
    pub fn pair() -> io::Result<(Self, [OwnedFd; 2])> {
        let pair = || {
            socketpair(
                AddressFamily::UNIX,
                SocketType::SEQPACKET,
                SocketFlags::CLOEXEC,
                None,
            )
        };
        let (handoff, worker_handoff) = pair()?;
        let (orders, worker_orders) = pair()?;
        for socket in [&handoff, &orders] {
            rustix::io::ioctl_fionbio(socket, true)?;
        }
        Ok((Self { handoff, orders }, [worker_handoff, worker_orders]))
    }

    /// Hands a process the descriptors of its role.
    pub fn hand(&self, handoff: Handoff, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_handoff(&self.handoff, handoff, descriptors)
    }
}

impl Line {
    /// A process that waits at the other end of these sockets.
    pub fn new(process: Process, sockets: LineSockets, layers: u32) -> io::Result<Self> {
        // SAFETY: the descriptor is owned here and stays open until it is dropped.
        let orders = unsafe { AsyncFd::register(sockets.orders) }?;
        Ok(Self {
            process,
            orders,
            handoff: sockets.handoff,
            layers,
        })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Orders a fork for one run. The child takes its end of a fresh channel from the hand-off socket,
    /// so the process that forks never reads or writes memory for it.
    pub fn fork_run(&self) -> io::Result<Forking> {
        let (forking, channel) = Forking::pair()?;
        self.hand(Role::Run, &[channel.as_fd()])?;
        self.order()?;
        Ok(forking)
    }

    /// Orders a fork that waits for orders in its turn; with an image, one that becomes it first.
    pub fn fork_line(&self, image: Option<BorrowedFd<'_>>) -> io::Result<ForkingLine> {
        let (forking, channel) = Forking::pair()?;
        let (sockets, [handoff, orders]) = LineSockets::pair()?;
        let mut descriptors = vec![channel.as_fd(), handoff.as_fd(), orders.as_fd()];
        descriptors.extend(image);
        let role = match image {
            Some(_) => Role::Enter,
            None => Role::Line,
        };
        self.hand(role, &descriptors)?;
        self.order()?;
        Ok(ForkingLine {
            forking,
            sockets,
            layers: self.layers,
        })
    }

    /// Hands over the descriptors of a fork, which is to be ordered.
    pub fn hand(&self, role: Role, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let handoff = Handoff {
            role,
            node_pid: std::process::id(),
            layers: self.layers,
        };
        send_handoff(&self.handoff, handoff, descriptors)
    }

    /// Gives the order alone, for descriptors that are handed over already.
    pub fn order(&self) -> io::Result<()> {
        send(self.orders.get_ref(), b"f", SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for the next thing that it says.
    pub async fn news(&self) -> News {
        let mut message = [0; 1];
        let received = self
            .orders
            .async_io(Interest::READABLE, |socket| {
                let mut parts = [IoSliceMut::new(&mut message)];
                let mut none = rustix::net::RecvAncillaryBuffer::default();
                Ok(recvmsg(socket, &mut parts, &mut none, RecvFlags::empty())?.bytes)
            })
            .await;
        match received {
            Ok(1) => News::ForkFailed(i32::from(message[0])),
            _ => News::Ended,
        }
    }

    /// Its process, for whoever ends it.
    pub fn into_process(self) -> Process {
        self.process
    }
}

impl ForkingLine {
    /// Waits until the process has taken its channel, without taking hold of it.
    #[cfg(test)]
    pub async fn is_ready(&self) {
        self.forking.ready_pid().await.expect("it says so");
    }

    /// The process, once it has said that it is ready.
    pub async fn ready(self) -> io::Result<LineChild> {
        Ok(LineChild {
            child: self.forking.ready(0).await?,
            sockets: self.sockets,
            layers: self.layers,
        })
    }
}

impl LineChild {
    /// The process, which waits for orders now.
    pub fn into_line(self) -> io::Result<Line> {
        Line::new(self.child.into_process(), self.sockets, self.layers)
    }
}
