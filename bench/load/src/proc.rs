//! What `/proc` tells of a server's processes.

use std::collections::{HashMap, HashSet};
use std::fs;

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

/// Processes of the tree, and how many of them are zombies.
pub fn tree_count(root: u32) -> (usize, usize) {
    let tree = tree(root);
    (tree.len(), tree.iter().filter(|entry| entry.zombie).count())
}

/// Open descriptors of a process, none when it is gone.
pub fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}
