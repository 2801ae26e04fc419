use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use bytes::{Buf, BytesMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
    recvmsg, socketpair,
};
use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use worker_protocol::{
    ChildReady, FrameError, FromWorker, ToWorker, decode, encode, frame_length, from_worker,
};

use super::process::Process;

/// A fork that was ordered, or a program that was started: its channel, with nobody known at the other end yet.
pub struct Forking {
    channel: UnixStream,
}

/// A process that waits for a frame.
pub struct Child {
    process: Process,
    channel: UnixStream,
    received: BytesMut,
    /// Which zygote it came from, counted from 1.
    pub generation: u64,
}

/// Why a child gave no frame.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It closed its end: it is dead or dying.
    #[error("the worker closed its channel")]
    Closed,
    /// It died before it had read its frame: nothing of it ran.
    #[error("the worker died before it took its frame")]
    Unread,
    /// It sent what is no frame.
    #[error("the worker sent what is no frame")]
    Frame(#[from] FrameError),
}

impl Forking {
    /// A fresh channel, and the worker's end of it.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_socket_passcred(&ours, true)?;
        // The worker reads and writes without looking at readiness.
        rustix::io::ioctl_fionbio(&theirs, false)?;
        let channel = UnixStream::from_std(std::os::unix::net::UnixStream::from(ours))?;
        Ok((Self { channel }, theirs))
    }

    /// The process at the other end, for one that was not forked.
    pub fn started(self, process: Process) -> Child {
        Child {
            process,
            channel: self.channel,
            received: BytesMut::new(),
            generation: 0,
        }
    }

    /// The child, once it has said that it is ready. The kernel adds its process id to the message,
    /// so nobody can speak for another.
    pub async fn ready(self, generation: u64) -> io::Result<Child> {
        let pid = self.ready_pid().await?;
        // It can't have been reaped: only its holder does that, and there is none yet.
        let process = Process::open(pid)?;
        Ok(Child {
            generation,
            ..self.started(process)
        })
    }

    pub(super) async fn ready_pid(&self) -> io::Result<Pid> {
        // The one frame and no more: another may follow at once, and belongs to who reads frames.
        let ready = encode(&FromWorker {
            frame: Some(from_worker::Frame::ChildReady(ChildReady {})),
        });
        let mut message = vec![0; ready.len()];
        let (length, pid) = self
            .channel
            .async_io(Interest::READABLE, || {
                receive_with_pid(&self.channel, &mut message)
            })
            .await?;
        match pid {
            Some(pid) if message[..length] == ready => Ok(pid),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn receive_with_pid(channel: &UnixStream, message: &mut [u8]) -> io::Result<(usize, Option<Pid>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(message)];
    let received = recvmsg(channel, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let pid = ancillary.drain().find_map(|added| match added {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.pid),
        _ => None,
    });
    Ok((received.bytes, pid))
}

impl Child {
    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &ToWorker) -> io::Result<()> {
        self.send_bytes(&encode(frame)).await
    }

    /// Sends what is no frame.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.channel.write_all(bytes).await
    }

    /// Waits until the process has taken another channel.
    pub async fn adopt(&mut self, channel: Forking) -> io::Result<()> {
        channel.ready_pid().await?;
        self.channel = channel.channel;
        self.received.clear();
        Ok(())
    }

    /// The next frame. Safe to cancel: what arrived is kept.
    pub async fn receive(&mut self) -> Result<Option<from_worker::Frame>, ReadError> {
        loop {
            if let Some(prefix) = self.received.first_chunk::<4>() {
                let length = frame_length(*prefix)?;
                if self.received.len() >= 4 + length {
                    self.received.advance(4);
                    let body = self.received.split_to(length);
                    return Ok(decode::<FromWorker>(&body)?.frame);
                }
                self.received.reserve(4 + length - self.received.len());
            } else {
                self.received.reserve(4 << 10);
            }
            match self.channel.read_buf(&mut self.received).await {
                Ok(1..) => {}
                // The kernel tells so when what was sent to it had not been read.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ReadError::Unread);
                }
                _ => return Err(ReadError::Closed),
            }
        }
    }

    /// Whether it has already closed its end: it died while it waited.
    pub fn is_closed(&self) -> bool {
        let mut byte = [0; 1];
        // Nothing is to be read from a child that waits; an end of file is the only news.
        !matches!(self.channel.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Closes the channel and gives the process, to be killed and reaped.
    pub fn into_process(self) -> Process {
        self.process
    }
}
