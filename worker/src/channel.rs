//! Frames over a worker's descriptors.

use core::ffi::c_void;

use worker_protocol::{FrameError, FromWorker, ToWorker, decode, encode, fd, from_worker};

/// Why no frame came.
#[derive(Debug)]
pub enum ReadError {
    /// The node closed its end.
    Closed,
    /// What came is no frame.
    Malformed(FrameError),
}

/// Reads exactly `buffer.len()` bytes from the channel.
fn read_exact(buffer: &mut [u8]) -> Result<(), ReadError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        // SAFETY: the buffer is ours and as long as told.
        let read = unsafe { libc::read(fd::CHANNEL, rest.as_mut_ptr().cast(), rest.len()) };
        match read {
            1.. => filled += read as usize,
            _ if read < 0 && errno() == libc::EINTR => {}
            _ => return Err(ReadError::Closed),
        }
    }
    Ok(())
}

/// The next frame from the channel.
pub fn read_frame() -> Result<ToWorker, ReadError> {
    let mut prefix = [0; 4];
    read_exact(&mut prefix)?;
    let length = worker_protocol::frame_length(prefix).map_err(ReadError::Malformed)?;
    let mut body = vec![0; length];
    read_exact(&mut body)?;
    decode(&body).map_err(ReadError::Malformed)
}

/// The next message from the socket of orders, which keeps messages apart: one is one frame.
pub fn receive_order() -> Result<ToWorker, ReadError> {
    let mut message = [0; 1024];
    // SAFETY: the buffer is ours and as long as told.
    let read = unsafe { libc::recv(fd::ORDERS, message.as_mut_ptr().cast(), message.len(), 0) };
    if read < 4 {
        return Err(ReadError::Closed);
    }
    decode(&message[4..read as usize]).map_err(ReadError::Malformed)
}

/// Sends a frame; a worker that can't has nobody left to work for and ends.
pub fn send(frame: from_worker::Frame) {
    send_bytes(&encode(&FromWorker { frame: Some(frame) }));
}

fn send_bytes(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes are ours. A closed peer is told by EPIPE, not by a signal.
        let sent = unsafe {
            libc::send(
                fd::CHANNEL,
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_NOSIGNAL,
            )
        };
        match sent {
            1.. => bytes = &bytes[sent as usize..],
            _ if sent < 0 && errno() == libc::EINTR => {}
            _ => exit(0),
        }
    }
}

/// Takes the descriptor that waits on the hand-off socket and makes it the channel; everything else
/// that the zygote had is closed.
pub fn adopt() -> Result<(), ReadError> {
    #[repr(C, align(8))]
    struct Control([u8; 32]);
    let mut byte = [0_u8; 1];
    let mut control = Control([0; 32]);
    let mut part = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    // SAFETY: an all-zero message header is valid.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast::<c_void>();
    message.msg_controllen = control.0.len();
    // SAFETY: all pointers lead to live buffers of the sizes told.
    let read = unsafe { libc::recvmsg(fd::HANDOFF, &mut message, 0) };
    if read != 1 {
        return Err(ReadError::Closed);
    }
    // SAFETY: the kernel filled the control buffer, whose length the header tells.
    let received = unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Err(ReadError::Closed);
        }
        libc::CMSG_DATA(header).cast::<i32>().read_unaligned()
    };
    // SAFETY: plain descriptors of this process.
    unsafe {
        if libc::dup3(received, fd::CHANNEL, 0) < 0 {
            return Err(ReadError::Closed);
        }
        libc::close(received);
        libc::close(fd::HANDOFF);
    }
    Ok(())
}

fn errno() -> i32 {
    // SAFETY: the thread's own errno.
    unsafe { *libc::__errno_location() }
}

/// Ends the process at once.
pub fn exit(code: usize) -> ! {
    loop {
        // SAFETY: does not return.
        unsafe { crate::arch::syscall(libc::SYS_exit_group, [code, 0, 0, 0, 0, 0]) };
    }
}
