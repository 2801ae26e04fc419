use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recvmsg, send, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use worker_protocol::{
    FromWorker, PROTOCOL_VERSION, Start, ToWorker, ZygoteReady, decode, encode, from_worker,
    to_worker,
};

use super::child::Forking;
use super::process::Process;
use super::{Options, SandboxMode, StartError, spawner};

/// How long a zygote may take to start V8 and warm up. A loaded machine needs seconds, not more.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The warm process from which all runs are forked.
#[derive(Debug)]
pub struct Zygote {
    process: Process,
    orders: AsyncFd<OwnedFd>,
    handoff: OwnedFd,
    ready: ZygoteReady,
}

/// What a zygote has to say once it works.
#[derive(Debug)]
pub enum News {
    /// A fork failed with this `errno`; the order must be given again.
    ForkFailed(i32),
    /// It is gone.
    Ended,
}

impl Zygote {
    /// Starts a zygote and waits until it is warm and locked in.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let pair = || {
            socketpair(
                AddressFamily::UNIX,
                SocketType::SEQPACKET,
                SocketFlags::CLOEXEC,
                None,
            )
            .map_err(|errno| StartError::Socket(errno.into()))
        };
        let (orders, worker_orders) = pair()?;
        let (handoff, worker_handoff) = pair()?;
        for socket in [&orders, &handoff] {
            rustix::io::ioctl_fionbio(socket, true)
                .map_err(|errno| StartError::Socket(errno.into()))?;
        }
        let pid = spawner::spawn(worker_orders, worker_handoff).await?;
        let process = Process::open(pid).map_err(StartError::Spawn)?;
        // SAFETY: the descriptor is owned here and stays open until it is dropped.
        let orders = unsafe { AsyncFd::register(orders) }
            .map_err(|error| StartError::Socket(error.into()))?;
        let layers = match options.sandbox {
            SandboxMode::Off => 0,
            SandboxMode::Require | SandboxMode::Auto => options.layers,
        };
        let layers_required = options.sandbox == SandboxMode::Require;
        let start = Start {
            node_pid: std::process::id(),
            layers,
            layers_required,
        };
        let frame = encode(&ToWorker {
            frame: Some(to_worker::Frame::Start(start)),
        });
        let sent = send(orders.get_ref(), &frame, SendFlags::NOSIGNAL);
        let answer = match sent {
            Ok(_) => tokio::time::timeout(START_TIMEOUT, receive(&orders)).await,
            Err(errno) => Ok(Err(errno.into())),
        };
        let checked = match answer {
            Ok(Ok(message)) => check(&message),
            Ok(Err(error)) => Err(StartError::Socket(error)),
            Err(_) => Err(StartError::TimedOut {
                waited: START_TIMEOUT,
            }),
        };
        match checked {
            Ok(ready) => Ok(Self {
                process,
                orders,
                handoff,
                ready,
            }),
            Err(error) => {
                process.kill();
                process.ended().await;
                Err(error)
            }
        }
    }

    /// What it said of itself.
    pub fn ready(&self) -> &ZygoteReady {
        &self.ready
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Orders a fork. The child takes its end of a fresh channel from the hand-off socket, so the
    /// zygote itself never reads or writes memory for it.
    pub fn fork(&self) -> io::Result<Forking> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_socket_passcred(&ours, true)?;
        // The child reads and writes without looking at readiness.
        rustix::io::ioctl_fionbio(&theirs, false)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [theirs.as_fd()];
        let pushed = ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        assert!(pushed, "the buffer has room for one descriptor");
        let byte = [IoSlice::new(b"c")];
        sendmsg(&self.handoff, &byte, &mut ancillary, SendFlags::NOSIGNAL)?;
        self.order()?;
        Forking::new(ours)
    }

    /// Gives the order alone, for a channel that is handed over already.
    pub fn order(&self) -> io::Result<()> {
        send(self.orders.get_ref(), b"f", SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for the next thing that it says.
    pub async fn news(&self) -> News {
        match receive(&self.orders).await {
            Ok(message) if message.len() == 1 => News::ForkFailed(i32::from(message[0])),
            _ => News::Ended,
        }
    }

    /// Kills it and reaps it. Children that it forked live on.
    pub async fn end(self) {
        self.process.kill();
        self.process.ended().await;
    }
}

/// The next message of a zygote.
async fn receive(orders: &AsyncFd<OwnedFd>) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 64 << 10];
    let length = orders
        .async_io(Interest::READABLE, |socket| {
            let mut parts = [IoSliceMut::new(&mut message)];
            let mut none = rustix::net::RecvAncillaryBuffer::default();
            Ok(recvmsg(socket, &mut parts, &mut none, RecvFlags::empty())?.bytes)
        })
        .await?;
    message.truncate(length);
    if length == 0 {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(message)
    }
}

fn check(message: &[u8]) -> Result<ZygoteReady, StartError> {
    let body = message.get(4..).ok_or(StartError::Protocol)?;
    let answer: FromWorker = decode(body).map_err(|_| StartError::Protocol)?;
    match answer.frame {
        Some(from_worker::Frame::ZygoteReady(ready))
            if ready.protocol_version > PROTOCOL_VERSION =>
        {
            Err(StartError::Version {
                theirs: ready.protocol_version,
                ours: PROTOCOL_VERSION,
            })
        }
        Some(from_worker::Frame::ZygoteReady(ready)) => Ok(ready),
        Some(from_worker::Frame::ZygoteFailed(failed)) => Err(StartError::Refused {
            reason: failed.reason,
        }),
        Some(from_worker::Frame::Fatal(fatal)) => Err(StartError::Refused {
            reason: fatal.message,
        }),
        _ => Err(StartError::Protocol),
    }
}
