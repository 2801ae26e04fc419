//! Raw system calls.

use std::fmt;

/// An error number of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The standard library's text ends in "(os error N)"; only the words are wanted.
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        let words = text.split(" (os error").next().unwrap_or_default();
        write!(out, "{words} (errno {})", self.0)
    }
}

impl std::error::Error for Errno {}

/// A system call with up to six arguments.
///
/// # Safety
/// The arguments must be what call `number` expects; pointers among them must be valid for it.
pub(super) unsafe fn call<const N: usize>(
    number: libc::c_long,
    args: [usize; N],
) -> Result<usize, Errno> {
    const { assert!(N <= 6, "the kernel takes six arguments") };
    let mut all = [0; 6];
    all[..N].copy_from_slice(&args);
    let [a, b, c, d, e, f] = all;
    // SAFETY: as this function's own.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 {
        // SAFETY: the C library gives the calling thread's own, always valid.
        return Err(Errno(unsafe { *libc::__errno_location() }));
    }
    Ok(result as usize)
}

/// `prctl` with whole-number arguments.
pub(super) fn prctl(option: libc::c_int, argument: usize) -> Result<usize, Errno> {
    // SAFETY: no option used in this module takes a pointer as its second argument.
    unsafe { call(libc::SYS_prctl, [option as usize, argument, 0, 0, 0]) }
}

/// An open descriptor that is closed at the end of its scope.
pub(super) struct Descriptor(i32);

impl Descriptor {
    /// Takes over a descriptor that the kernel has just given.
    pub(super) fn new(number: usize) -> Self {
        Self(number as i32)
    }

    pub(super) fn open(path: &std::ffi::CStr, flags: libc::c_int) -> Result<Self, Errno> {
        let path = path.as_ptr() as usize;
        let flags = (flags | libc::O_CLOEXEC) as usize;
        // SAFETY: the path is a C string that outlives the call.
        let number = unsafe {
            call(
                libc::SYS_openat,
                [libc::AT_FDCWD as usize, path, flags, 0o600],
            )
        }?;
        Ok(Self::new(number))
    }

    pub(super) fn number(&self) -> i32 {
        self.0
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (start, length) = (buffer.as_mut_ptr() as usize, buffer.len());
        // SAFETY: the kernel writes at most `length` bytes into the buffer.
        unsafe { call(libc::SYS_read, [self.0 as usize, start, length]) }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let (start, length) = (bytes.as_ptr() as usize, bytes.len());
        // SAFETY: the kernel only reads the bytes.
        unsafe { call(libc::SYS_write, [self.0 as usize, start, length]) }
    }

    /// Leaves the descriptor open and gives its number.
    pub(super) fn keep(self) -> i32 {
        let number = self.0;
        std::mem::forget(self);
        number
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own; an error leaves it closed all the same.
        let _ = unsafe { call(libc::SYS_close, [self.0 as usize]) };
    }
}
