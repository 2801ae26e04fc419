//! The lines that differ from one processor architecture to the next, one file for each.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
compile_error!(
    "the worker supports x86_64 Linux with glibc only; another architecture needs a file in \
     worker/src/arch, a seccomp list and a V8 CPU baseline of its own"
);
