use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, SealFlags};

/// The worker's program, as the node's build made it.
pub static BYTES: &[u8] = include_bytes!(env!("WORKER_PROGRAM"));

/// Above every number that a worker's descriptors have.
const DESCRIPTOR_MIN: i32 = 64;

static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();

/// A path by which the worker's program can be executed.
///
/// It is an anonymous file: nothing is left behind, nobody else can change it, and it works on a
/// read-only file system.
pub fn path() -> io::Result<PathBuf> {
    let file = match PROGRAM.get() {
        Some(file) => file,
        None => {
            let file = anonymous_file()?;
            PROGRAM.get_or_init(|| file)
        }
    };
    Ok(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
}

fn anonymous_file() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels that can forbid executable anonymous files want to be asked for one; older ones do
    // not know the flag.
    let created = rustix::fs::memfd_create("mcp-v8-worker", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("mcp-v8-worker", flags))?;
    let mut file = File::from(created);
    file.write_all(BYTES)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    // Between fork and exec the low numbers are filled with the worker's sockets.
    Ok(rustix::io::fcntl_dupfd_cloexec(&file, DESCRIPTOR_MIN)?)
}
