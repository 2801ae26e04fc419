//! How much memory a process has of its own, and whether the kernel killed one for lack of it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Pid;

use super::proc_file;

/// Watches one process while it runs.
///
/// The resident size counts pages that are shared with the zygote, so it only tells when a closer
/// look is due; the look itself costs in proportion to the process.
pub struct Watch {
    pid: Pid,
    statm: Option<File>,
    looks: u32,
}

/// What a closer look at a process found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Private dirty pages, in memory and swapped out.
    pub dirty_bytes: u64,
    /// Page tables.
    pub tables_bytes: u64,
}

impl Watch {
    /// Page tables are looked at with every so many samples: they grow only by touching much memory.
    const TABLES_EVERY: u32 = 10;

    /// Begins to watch.
    pub fn new(pid: Pid) -> Self {
        let statm = File::open(format!("/proc/{}/statm", pid.as_raw_nonzero())).ok();
        Self {
            pid,
            statm,
            looks: 0,
        }
    }

    /// Whether the process has more than `bytes_max` of its own.
    pub fn is_over(&mut self, bytes_max: u64) -> bool {
        self.looks += 1;
        let resident = self.resident_bytes().unwrap_or(0);
        if resident <= bytes_max && !self.looks.is_multiple_of(Self::TABLES_EVERY) {
            return false;
        }
        let own = own(self.pid);
        own.dirty_bytes + own.tables_bytes > bytes_max
    }

    fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; 64];
        let length = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }
}

/// The resident memory of a process.
pub fn resident_bytes(pid: Pid) -> Option<u64> {
    Watch::new(pid).resident_bytes()
}

/// The memory that a process has of its own; nothing when it is gone.
pub fn own(pid: Pid) -> Own {
    let pid = pid.as_raw_nonzero();
    let mut own = Own::default();
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        own.dirty_bytes = field(&text, "Private_Dirty:") + field(&text, "Swap:");
    }
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/status")) {
        own.tables_bytes = field(&text, "VmPTE:");
    }
    own
}

/// The page tables of a process; nothing when it is gone.
pub fn page_table_bytes(pid: Pid) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    proc_file::read(&path).map_or(0, |text| field(&text, "VmPTE:"))
}

/// A line's number, told in KiB, in bytes.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Tells kills by the kernel for lack of memory from other kills, by the kernel's own count.
#[derive(Debug)]
pub struct OomKills {
    seen: AtomicU64,
}

impl OomKills {
    /// Counts from here on.
    pub fn new() -> Self {
        Self {
            seen: AtomicU64::new(count().unwrap_or(0)),
        }
    }

    /// Whether the kernel killed for lack of memory since this was asked last.
    pub fn any_new(&self) -> bool {
        let now = count().unwrap_or(0);
        self.seen.swap(now, Ordering::Relaxed) < now
    }
}

fn count() -> Option<u64> {
    let mut text = String::new();
    File::open("/proc/vmstat")
        .ok()?
        .read_to_string(&mut text)
        .ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_grows_with_what_is_written() {
        let pid = rustix::process::getpid();
        let before = own(pid).dirty_bytes;
        let block = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = own(pid).dirty_bytes;
        assert!(
            after >= before + (30 << 20),
            "{before} {after} {}",
            block.len()
        );
        let mut watch = Watch::new(pid);
        assert!(watch.is_over(1 << 20));
        assert!(!watch.is_over(1 << 40));
    }

    #[test]
    fn fields_are_read_in_bytes() {
        assert_eq!(field("A: 3 kB\nSwap:     12 kB\n", "Swap:"), 12 << 10);
        assert_eq!(field("", "Swap:"), 0);
    }
}
