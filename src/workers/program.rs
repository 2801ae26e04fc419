use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags};

/// Above every number that a worker's descriptors have.
const DESCRIPTOR_MIN: i32 = 64;

/// A worker's program that can be executed.
///
/// It is an anonymous file: nothing is left behind, nobody else can change it, and it works on a
/// read-only file system.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// A program of these bytes.
    pub fn load(bytes: &[u8]) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels that can forbid executable anonymous files want to be asked for one; older ones do
        // not know the flag.
        let created = rustix::fs::memfd_create("mcp-v8-worker", flags | MemfdFlags::EXEC)
            .or_else(|_| rustix::fs::memfd_create("mcp-v8-worker", flags))?;
        let mut file = File::from(created);
        file.write_all(bytes)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        // Between fork and exec the low numbers are filled with the worker's sockets.
        let file = rustix::io::fcntl_dupfd_cloexec(&file, DESCRIPTOR_MIN)?;
        Ok(Self(file))
    }

    /// A path by which this process, and what it forks, can execute it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// Its bytes.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        fs::read(self.path())
    }
}
