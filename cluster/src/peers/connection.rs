//! One accepted connection: counted, and cut when the node stops for good.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Frees its place when it is dropped.
pub(super) struct Connection<Io> {
    io: Io,
    // tonic runs each connection as a task of its own that nobody can stop; what it reads from can fail.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    is_cut: bool,
    _place: OwnedSemaphorePermit,
}

impl<Io> Connection<Io> {
    pub(super) fn new(io: Io, cut: CancellationToken, place: OwnedSemaphorePermit) -> Self {
        Self {
            io,
            cut: Box::pin(cut.cancelled_owned()),
            is_cut: false,
            _place: place,
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_cut && self.cut.as_mut().poll(context).is_ready() {
            self.is_cut = true;
        }
        if self.is_cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl<Io: Connected> Connected for Connection<Io> {
    type ConnectInfo = Io::ConnectInfo;

    fn connect_info(&self) -> Io::ConnectInfo {
        self.io.connect_info()
    }
}
