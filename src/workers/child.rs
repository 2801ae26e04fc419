use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use bytes::{Buf, BytesMut};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use worker_protocol::{
    FrameError, FromWorker, ToWorker, decode, encode, frame_length, from_worker,
};

use super::process::Process;

/// A fork that was ordered: its channel, with nobody known at the other end yet.
pub struct Forking {
    channel: UnixStream,
}

/// A forked process that waits for its one frame.
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
    /// Waits at the node's end of the channel.
    pub fn new(channel: OwnedFd) -> io::Result<Self> {
        let channel = std::os::unix::net::UnixStream::from(channel);
        Ok(Self {
            channel: UnixStream::from_std(channel)?,
        })
    }

    /// The child, once it has said that it is ready. The kernel adds its process id to the message,
    /// so nobody can speak for another.
    pub async fn ready(self, generation: u64) -> io::Result<Child> {
        let mut message = [0; 64];
        let (length, pid) = self
            .channel
            .async_io(Interest::READABLE, || {
                receive_with_pid(&self.channel, &mut message)
            })
            .await?;
        let said = message[..length].get(4..).map(decode::<FromWorker>);
        let ready = matches!(
            said,
            Some(Ok(FromWorker {
                frame: Some(from_worker::Frame::ChildReady(_))
            }))
        );
        match pid {
            // It can't have been reaped: only its holder does that, and there is none yet.
            Some(pid) if ready => Ok(Child {
                process: Process::open(pid)?,
                channel: self.channel,
                received: BytesMut::new(),
                generation,
            }),
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
        self.channel.write_all(&encode(frame)).await
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
