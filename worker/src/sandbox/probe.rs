//! Attempts at what the sandbox forbids, to prove from inside that it does.
//!
//! Each attempt is the bare system call, so that what answers is the kernel and nothing in between.
//! Where no layer stands in the way the attempt succeeds and is undone.

use std::io::Write;

use worker_protocol::ProbeKind;

use super::{Errno, clean_start, rlimits, sys};

/// The discard port, where hardly anything listens.
const PORT: u16 = 9;

/// Tries `kind` and gives the kernel's answer: the result, or a negated error number. Layers that
/// kill leave no answer.
///
/// [`ProbeKind::CountInherited`] gives the number of variables in the upper 32 bits and that of
/// descriptors in the lower ones. [`ProbeKind::Exec`] does not come back when it succeeds; the
/// program ends with code 0. [`ProbeKind::Fork`] is the zygote's own fork, so a child that comes of
/// it is one of the node; it ends at once.
pub fn probe(kind: ProbeKind, node_pid: u32) -> i64 {
    let result = match kind {
        ProbeKind::OpenFile => open(c"/etc/passwd", libc::O_RDONLY),
        ProbeKind::CreateFile => create_file(),
        ProbeKind::Connect => connect(),
        ProbeKind::Fork => fork(),
        ProbeKind::Ptrace => attach(node_pid),
        ProbeKind::ReadNodeProc => read_environment_of(node_pid),
        ProbeKind::SignalNode => signal(node_pid),
        ProbeKind::Exec => execute(),
        ProbeKind::MapShared => map_shared(),
        ProbeKind::MemfdCreate => memfd_create(),
        ProbeKind::RaiseLimit => raise_limit(),
        ProbeKind::CountInherited => {
            Ok(clean_start::variables() << 32 | clean_start::count_descriptors())
        }
        ProbeKind::Undumpable => undumpable(),
    };
    match result {
        Ok(value) => value as i64,
        Err(Errno(number)) => -i64::from(number),
    }
}

fn open(path: &std::ffi::CStr, flags: libc::c_int) -> Result<usize, Errno> {
    sys::Descriptor::open(path, flags).map(|file| file.number() as usize)
}

/// A C string of two parts around a number, without the allocator.
fn path<'a>(buffer: &'a mut [u8; 64], head: &str, number: u32, tail: &str) -> &'a std::ffi::CStr {
    let mut rest = &mut buffer[..];
    write!(rest, "{head}{number}{tail}\0").expect("the parts are short");
    std::ffi::CStr::from_bytes_until_nul(buffer).expect("it was written with its end")
}

/// The kernel's number of this process: libc's own answer is a constant here.
fn own_pid() -> u32 {
    // SAFETY: asks for a number.
    unsafe { libc::syscall(libc::SYS_getpid) as u32 }
}

fn create_file() -> Result<usize, Errno> {
    let mut buffer = [0; 64];
    let path = path(&mut buffer, "/tmp/mcp-v8-probe-", own_pid(), "");
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let number = open(path, flags)?;
    // SAFETY: the path is a C string; the file is the one just made.
    unsafe { sys::call(libc::SYS_unlink, [path.as_ptr() as usize]) }?;
    Ok(number)
}

fn connect() -> Result<usize, Errno> {
    let socket_type = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as usize;
    // SAFETY: no pointers.
    let socket = unsafe { sys::call(libc::SYS_socket, [libc::AF_INET as usize, socket_type, 0]) }
        .map(sys::Descriptor::new)?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: PORT.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(std::net::Ipv4Addr::LOCALHOST).to_be(),
        },
        sin_zero: [0; 8],
    };
    let arguments = [
        socket.number() as usize,
        (&raw const address) as usize,
        size_of_val(&address),
    ];
    // SAFETY: the address outlives the call and has the size that is given.
    unsafe { sys::call(libc::SYS_connect, arguments) }
}

fn fork() -> Result<usize, Errno> {
    let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as usize;
    // SAFETY: without CLONE_VM and without a stack this is a fork; the child ends at once.
    let child = unsafe { sys::call(libc::SYS_clone, [flags, 0, 0, 0, 0]) }?;
    if child == 0 {
        // SAFETY: nothing of this process is run any more.
        unsafe { libc::_exit(0) };
    }
    Ok(child)
}

fn attach(node_pid: u32) -> Result<usize, Errno> {
    let node = node_pid as usize;
    // Seizing does not stop the node, as attaching would.
    // SAFETY: neither call takes a pointer.
    let seized = unsafe { sys::call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, node, 0, 0]) }?;
    // A tracee can be let go only while it is stopped.
    // SAFETY: as above; wait4 is told to write nowhere.
    unsafe {
        sys::call(
            libc::SYS_ptrace,
            [libc::PTRACE_INTERRUPT as usize, node, 0, 0],
        )?;
        sys::call(libc::SYS_wait4, [node, 0, libc::__WALL as usize, 0])?;
        sys::call(libc::SYS_ptrace, [libc::PTRACE_DETACH as usize, node, 0, 0])?;
    }
    Ok(seized)
}

fn read_environment_of(node_pid: u32) -> Result<usize, Errno> {
    let mut buffer = [0; 64];
    let path = path(&mut buffer, "/proc/", node_pid, "/environ");
    let file = sys::Descriptor::open(path, libc::O_RDONLY)?;
    file.read(&mut [0; 64])
}

fn signal(node_pid: u32) -> Result<usize, Errno> {
    // SAFETY: no pointers; signal 0 is only checked.
    unsafe { sys::call(libc::SYS_kill, [node_pid as usize, 0]) }
}

fn execute() -> Result<usize, Errno> {
    let program = c"/bin/true".as_ptr();
    let arguments = [program, std::ptr::null()];
    let nothing = [std::ptr::null::<libc::c_char>()];
    let call = [
        program as usize,
        arguments.as_ptr() as usize,
        nothing.as_ptr() as usize,
    ];
    // SAFETY: path, arguments and environment are C strings and arrays that end in null.
    unsafe { sys::call(libc::SYS_execve, call) }
}

fn map_shared() -> Result<usize, Errno> {
    let length = 4096;
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as usize;
    // SAFETY: a new mapping where the kernel likes, which nothing uses and which goes at once.
    unsafe {
        let address = sys::call(
            libc::SYS_mmap,
            [0, length, protection, flags, usize::MAX, 0],
        )?;
        sys::call(libc::SYS_munmap, [address, length])
    }
}

fn memfd_create() -> Result<usize, Errno> {
    let arguments = [c"probe".as_ptr() as usize, libc::MFD_CLOEXEC as usize];
    // SAFETY: the name is a C string.
    let file = unsafe { sys::call(libc::SYS_memfd_create, arguments) }?;
    Ok(sys::Descriptor::new(file).number() as usize)
}

/// Core files, since to allow some harms nothing.
fn raise_limit() -> Result<usize, Errno> {
    rlimits::set(libc::RLIMIT_CORE, libc::RLIM64_INFINITY).map(|()| 0)
}

fn undumpable() -> Result<usize, Errno> {
    let done = sys::prctl(libc::PR_SET_DUMPABLE, 0)?;
    sys::prctl(libc::PR_SET_DUMPABLE, 1)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_succeeds() {
        // Without a sandbox: a probe that always failed would prove nothing.
        let own = own_pid();
        assert!(probe(ProbeKind::OpenFile, own) >= 0);
        assert!(probe(ProbeKind::CreateFile, own) >= 0);
        assert!(probe(ProbeKind::ReadNodeProc, own) >= 0);
        assert_eq!(probe(ProbeKind::SignalNode, own), 0);
        assert_eq!(probe(ProbeKind::MapShared, own), 0);
        assert!(probe(ProbeKind::MemfdCreate, own) >= 0);
    }

    #[test]
    fn what_is_counted_is_both() {
        let counted = probe(ProbeKind::CountInherited, 0);
        assert_eq!((counted >> 32) as usize, std::env::vars_os().count());
        assert!(counted & 0xffff_ffff >= 3);
    }

    #[test]
    fn paths_are_written_with_their_end() {
        let mut buffer = [0; 64];
        assert_eq!(
            path(&mut buffer, "/proc/", u32::MAX, "/environ"),
            c"/proc/4294967295/environ"
        );
    }
}
