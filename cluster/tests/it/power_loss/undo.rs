//! Takes back what was never synced, as the loss of power does.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::journal::{Journal, Kind, Record};
use crate::draws::Draws;

const BLOCK: u64 = 4096;

/// How much of it is lost.
#[derive(Clone, Debug)]
pub enum Loss {
    /// All.
    Everything,
    /// A random choice: of each block of 4 KiB, of each file's size, and of the end of the list of names.
    Some(Draws),
}

/// What an undo did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Blocks that could have been undone.
    pub blocks: u64,
    /// Blocks that were.
    pub blocks_undone: u64,
    /// Changes of names that could have been.
    pub names: u64,
    /// Changes of names that were.
    pub names_undone: u64,
}

impl std::ops::AddAssign for Undone {
    fn add_assign(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.blocks_undone += other.blocks_undone;
        self.names += other.names;
        self.names_undone += other.names_undone;
    }
}

/// Undoes in `disk` what the journal says was not synced.
pub fn undo(disk: &Path, graveyard: &Path, journal: &Journal, mut loss: Loss) -> Undone {
    let mut undone = Undone::default();
    undo_names(disk, graveyard, journal, &mut loss, &mut undone);
    let content = journal.unsynced_content();
    let mut files = Vec::new();
    walk(disk, &mut |path, metadata| {
        if metadata.is_file() {
            files.push((metadata.ino(), path.to_owned()));
        }
    });
    // The order of a directory's entries must not decide who gets which random number.
    files.sort_by(|a, b| a.1.cmp(&b.1));
    for (inode, path) in files {
        if let Some(records) = content.get(&inode) {
            undo_content(&path, records, &mut loss, &mut undone);
        }
    }
    undone
}

fn undo_names(
    disk: &Path,
    graveyard: &Path,
    journal: &Journal,
    loss: &mut Loss,
    undone: &mut Undone,
) {
    let records = journal.unsynced_names();
    // Journaling file systems keep the order of these: some last ones are lost, not some in the middle.
    let kept = match loss {
        Loss::Everything => 0,
        Loss::Some(draws) => draws.below(records.len() as u64 + 1) as usize,
    };
    undone.names += records.len() as u64;
    undone.names_undone += (records.len() - kept) as u64;
    // Directories that were made again have another inode.
    let mut aliases: HashMap<u64, u64> = HashMap::new();
    for record in records[kept..].iter().rev() {
        let directory = |inode: u64, aliases: &HashMap<u64, u64>| {
            find_directory(disk, aliases.get(&inode).copied().unwrap_or(inode))
        };
        let place = directory(record.directory, &aliases).join(&record.name);
        let grave = graveyard.join(record.buried.to_string());
        match record.kind {
            Kind::Create => fs::remove_file(&place),
            Kind::Mkdir => fs::remove_dir_all(&place),
            Kind::Unlink => fs::hard_link(&grave, &place),
            Kind::Rmdir => fs::create_dir(&place).inspect(|()| {
                let inode = fs::metadata(&place).expect("it was just made").ino();
                aliases.insert(record.inode, inode);
            }),
            Kind::Rename => {
                let now = directory(record.directory2, &aliases).join(&record.name2);
                fs::rename(&now, &place).and_then(|()| match record.buried {
                    0 => Ok(()),
                    _ => fs::hard_link(&grave, &now),
                })
            }
            other => unreachable!("{other:?} changes no name"),
        }
        .unwrap_or_else(|error| panic!("{record:?} can't be undone: {error}"));
    }
}

fn find_directory(disk: &Path, inode: u64) -> PathBuf {
    let mut found = None;
    walk(disk, &mut |path, metadata| {
        if metadata.is_dir() && metadata.ino() == inode {
            found = Some(path.to_owned());
        }
    });
    found.unwrap_or_else(|| panic!("no directory has inode {inode}"))
}

fn walk(path: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata)) {
    let metadata = fs::symlink_metadata(path).expect("nobody else changes the tree");
    visit(path, &metadata);
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("nobody else changes the tree") {
            walk(&entry.expect("the directory can be read").path(), visit);
        }
    }
}

/// How many of the records, from the first on, took effect.
fn effective(loss: &mut Loss, records: usize) -> usize {
    match loss {
        Loss::Everything => 0,
        Loss::Some(draws) => match draws.below(5) {
            0 | 1 => 0,
            2 | 3 => records,
            // The kernel wrote it back some time between.
            _ => draws.below(records as u64 + 1) as usize,
        },
    }
}

fn undo_content(path: &Path, records: &[&Record], loss: &mut Loss, undone: &mut Undone) {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("the file was found a moment ago");
    let sizes = effective(loss, records.len());
    let size = match sizes {
        0 => records[0].old_size,
        kept => records[kept - 1].new_size,
    };

    // By block: from which record on everything is undone. What was cut off goes with the size.
    let mut blocks: BTreeMap<u64, usize> = BTreeMap::new();
    for block in records.iter().flat_map(|record| blocks_of(record)) {
        blocks.entry(block).or_insert(usize::MAX);
    }
    for from in blocks.values_mut() {
        *from = effective(loss, records.len());
    }
    for (index, record) in records.iter().enumerate() {
        if record.kind == Kind::Truncate {
            for block in blocks_of(record) {
                let from = blocks.get_mut(&block).expect("all blocks are in it");
                *from = if index < sizes {
                    (*from).max(index + 1)
                } else {
                    (*from).min(index)
                };
            }
        }
    }
    undone.blocks += blocks.len() as u64;
    undone.blocks_undone += blocks
        .values()
        .filter(|from| **from < records.len())
        .count() as u64;

    for (index, record) in records.iter().enumerate().rev() {
        for block in blocks_of(record) {
            if blocks[&block] <= index {
                restore(&file, record, block);
            }
        }
    }
    file.set_len(size).expect("the size can be set");
}

fn blocks_of(record: &Record) -> std::ops::Range<u64> {
    if record.length == 0 {
        return 0..0;
    }
    record.offset / BLOCK..(record.offset + record.length).div_ceil(BLOCK)
}

/// Puts back what stood in the record's part of the block; beyond the end of the file that was nothing.
fn restore(file: &File, record: &Record, block: u64) {
    let start = record.offset.max(block * BLOCK);
    let end = (record.offset + record.length).min((block + 1) * BLOCK);
    let mut old = vec![0; (end - start) as usize];
    let from = (start - record.offset) as usize;
    if from < record.data.len() {
        let known = &record.data[from..record.data.len().min(from + old.len())];
        old[..known.len()].copy_from_slice(known);
    }
    file.write_all_at(&old, start)
        .expect("the block can be written");
}
