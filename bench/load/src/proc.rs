//! What `/proc` tells of a server's processes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use serde::Serialize;

/// The memory of a process and of all that descend from it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TreeMemory {
    /// How many processes.
    pub processes: usize,
    /// The sum of their resident memory: shared pages count once for each process.
    pub rss_kb: u64,
    /// The sum of their proportional memory: shared pages count once.
    pub pss_kb: u64,
}

/// What a process and all that descend from it have used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct TreeUse {
    /// Processor time, in ticks of 10 ms.
    pub processor: Duration,
    /// Bytes that were handed to a disk to write.
    pub disk_bytes: u64,
}

/// The kernel tells processor time in ticks of USER_HZ, which is 100 on every machine we build for.
const TICK: Duration = Duration::from_millis(10);

/// A line of the process table.
#[derive(Debug, Clone, Copy)]
struct Entry {
    pid: u32,
    parent: u32,
    zombie: bool,
}

fn table() -> Vec<Entry> {
    let Ok(dir) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    dir.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before the last parenthesis may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Entry {
            pid,
            parent,
            zombie: state == "Z",
        })
    })
    .collect()
}

fn tree(root: u32) -> Vec<Entry> {
    let table = table();
    let mut children: HashMap<u32, Vec<Entry>> = HashMap::new();
    for entry in &table {
        children.entry(entry.parent).or_default().push(*entry);
    }
    let mut found: Vec<Entry> = table
        .iter()
        .filter(|entry| entry.pid == root)
        .copied()
        .collect();
    let mut seen: HashSet<u32> = [root].into();
    let mut next = 0;
    while next < found.len() {
        for child in children.get(&found[next].pid).into_iter().flatten() {
            if seen.insert(child.pid) {
                found.push(*child);
            }
        }
        next += 1;
    }
    found
}

/// A line of the form `Name:  123 kB` of a file of a process; none when the process is gone.
fn kb(pid: u32, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Resident memory of a process, none when it is gone.
pub fn rss_kb(pid: u32) -> Option<u64> {
    kb(pid, "status", "VmRSS:")
}

/// Memory of a process and of all that descend from it, at this moment.
pub fn tree_memory(root: u32) -> TreeMemory {
    let mut sum = TreeMemory {
        processes: 0,
        rss_kb: 0,
        pss_kb: 0,
    };
    for entry in tree(root) {
        // One that has ended since has no memory left to count.
        let Some(pss_kb) = kb(entry.pid, "smaps_rollup", "Pss:") else {
            continue;
        };
        sum.processes += 1;
        sum.rss_kb += kb(entry.pid, "smaps_rollup", "Rss:").unwrap_or(0);
        sum.pss_kb += pss_kb;
    }
    sum
}

/// What a process and all that descend from it and still live have used so far.
pub fn tree_use(root: u32) -> TreeUse {
    let mut sum = TreeUse::default();
    for entry in tree(root) {
        sum.processor += TICK * ticks(entry.pid).unwrap_or(0);
        sum.disk_bytes += disk_bytes(entry.pid).unwrap_or(0);
    }
    sum
}

/// Whether a process runs: it is there and no zombie.
pub fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(')')?.1.trim_start().starts_with('Z')))
        .is_some_and(|zombie| !zombie)
}

fn ticks(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name: the state is the third field of all, user and system time are 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn disk_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let line = text.lines().find(|line| line.starts_with("write_bytes:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Processes of the tree, and how many of them are zombies.
pub fn tree_count(root: u32) -> (usize, usize) {
    let tree = tree(root);
    (tree.len(), tree.iter().filter(|entry| entry.zombie).count())
}

/// Open descriptors of a process, none when it is gone.
pub fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}
