//! Frames over a worker's descriptors.

use core::ffi::c_void;

use worker_protocol::{
    FrameError, FromWorker, HANDOFF_BYTES, Handoff, ToWorker, decode, encode, fd, from_worker,
};

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
    let frame = decode(&body).map_err(ReadError::Malformed);
    // What the frame said is not left in free memory, which is part of an image.
    body.fill(0);
    std::hint::black_box(&body);
    frame
}

/// Sends a frame; a worker that can't has nobody left to work for and ends.
pub fn send(frame: from_worker::Frame) {
    send_bytes(&encode(&FromWorker { frame: Some(frame) }));
}

/// Sends bytes of a frame, as [`send`] does.
pub fn send_bytes(mut bytes: &[u8]) {
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

/// Takes the message that waits on the hand-off socket and puts the descriptors that came with it where
/// the protocol wants them. What the parent had there is closed.
pub fn adopt() -> Result<Handoff, ReadError> {
    #[repr(C, align(8))]
    struct Control([u8; 32]);
    const DESCRIPTORS_MAX: usize = 4;
    let mut bytes = [0_u8; HANDOFF_BYTES];
    let mut control = Control([0; 32]);
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: an all-zero message header is valid.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast::<c_void>();
    message.msg_controllen = control.0.len();
    // SAFETY: all pointers lead to live buffers of the sizes told.
    let read = unsafe { libc::recvmsg(fd::HANDOFF, &mut message, 0) };
    if read != HANDOFF_BYTES as isize {
        return Err(ReadError::Closed);
    }
    let handoff = Handoff::decode(bytes).ok_or(ReadError::Closed)?;
    let count = handoff.role.descriptors();
    let mut received = [-1; DESCRIPTORS_MAX];
    // SAFETY: the kernel filled the control buffer, whose length the header tells; it has `count`
    // descriptors when the header's length says so.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        let expected = libc::CMSG_LEN((count * size_of::<i32>()) as u32) as usize;
        if header.is_null()
            || (*header).cmsg_type != libc::SCM_RIGHTS
            || (*header).cmsg_len != expected
        {
            return Err(ReadError::Closed);
        }
        let descriptors = libc::CMSG_DATA(header).cast::<i32>();
        for (index, place) in received.iter_mut().enumerate().take(count) {
            *place = descriptors.add(index).read_unaligned();
        }
    }
    place(&received[..count])?;
    Ok(handoff)
}

/// Puts `received` onto the protocol's descriptors, in their order, and closes what else the parent had
/// there.
fn place(received: &[i32]) -> Result<(), ReadError> {
    const PLACES: [i32; 4] = [fd::CHANNEL, fd::HANDOFF, fd::ORDERS, fd::IMAGE];
    let has_image = received.len() == PLACES.len();
    // SAFETY: plain descriptors of this process.
    unsafe {
        // The channel came as the lowest number that was free, which is the image's place: that one is
        // filled last, when the channel has its own.
        for (descriptor, place) in received.iter().zip(PLACES) {
            if libc::dup3(*descriptor, place, 0) < 0 {
                return Err(ReadError::Closed);
            }
        }
        for descriptor in received {
            if *descriptor != fd::IMAGE || !has_image {
                libc::close(*descriptor);
            }
        }
        for place in &PLACES[received.len()..] {
            libc::close(*place);
        }
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
