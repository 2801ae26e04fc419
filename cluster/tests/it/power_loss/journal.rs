//! Reads what `power_loss.c` wrote down.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

const MAGIC: u32 = 0x504c_4a31;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Write,
    Truncate,
    SyncBegin,
    SyncEnd,
    SyncFileRange,
    Create,
    Unlink,
    Rename,
    Mkdir,
    Rmdir,
    Cancel,
    Crash,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Write,
        Self::Truncate,
        Self::SyncBegin,
        Self::SyncEnd,
        Self::SyncFileRange,
        Self::Create,
        Self::Unlink,
        Self::Rename,
        Self::Mkdir,
        Self::Rmdir,
        Self::Cancel,
        Self::Crash,
    ];

    fn names(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Unlink | Self::Rename | Self::Mkdir | Self::Rmdir
        )
    }

    fn content(self) -> bool {
        matches!(self, Self::Write | Self::Truncate)
    }
}

/// `struct record` of the library, with what follows it.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: Kind,
    pub sequence: u64,
    pub inode: u64,
    pub offset: u64,
    pub length: u64,
    pub old_size: u64,
    pub new_size: u64,
    pub directory: u64,
    pub directory2: u64,
    pub buried: u64,
    pub name: OsString,
    pub name2: OsString,
    /// What stood at `offset`, as far as the file went.
    pub data: Vec<u8>,
}

/// What one life of a process did to the tracked files.
pub struct Journal {
    records: Vec<Record>,
    cancelled: HashSet<u64>,
    /// By inode: what is older than this is on the disk.
    synced: HashMap<u64, u64>,
}

impl Journal {
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("the library has begun a journal");
        let mut reader = Reader(&bytes);
        let mut records = Vec::new();
        while !reader.0.is_empty() {
            records.push(reader.record());
        }
        let mut journal = Self {
            records: Vec::new(),
            cancelled: HashSet::new(),
            synced: HashMap::new(),
        };
        for record in &records {
            match record.kind {
                Kind::Cancel => {
                    journal.cancelled.insert(record.offset);
                }
                Kind::SyncEnd => {
                    let from = journal.synced.entry(record.inode).or_default();
                    *from = record.offset.max(*from);
                }
                _ => {}
            }
        }
        journal.records = records;
        journal
    }

    /// How often something happened.
    pub fn count(&self, kind: Kind) -> usize {
        self.records
            .iter()
            .filter(|record| record.kind == kind)
            .count()
    }

    /// Whether the library ended the process.
    pub fn crashed(&self) -> bool {
        self.count(Kind::Crash) > 0
    }

    /// Changes of content that a power loss may undo, by inode and in the order in which they were made.
    pub fn unsynced_content(&self) -> HashMap<u64, Vec<&Record>> {
        let mut files: HashMap<u64, Vec<&Record>> = HashMap::new();
        for record in self.records.iter().filter(|record| record.kind.content()) {
            if self.counts(record) && !self.is_synced(record.inode, record) {
                files.entry(record.inode).or_default().push(record);
            }
        }
        files
    }

    /// Changes of names that a power loss may undo, in the order in which they were made.
    pub fn unsynced_names(&self) -> Vec<&Record> {
        let gone = self.gone_directories();
        // A kernel gives the number of a removed directory away again.
        let is_gone = |inode: u64, record: &Record| {
            gone.get(&inode)
                .is_some_and(|removed| record.sequence < *removed)
        };
        self.records
            .iter()
            .filter(|record| record.kind.names() && self.counts(record))
            .filter(|record| {
                let both = record.kind == Kind::Rename;
                let is_safe = |inode| self.is_synced(inode, record) || is_gone(inode, record);
                !is_safe(record.directory) || (both && !is_safe(record.directory2))
            })
            .collect()
    }

    /// Directories whose removal is on the disk, and with it whatever was in them; and when that was.
    fn gone_directories(&self) -> HashMap<u64, u64> {
        let mut gone = HashMap::new();
        let removals = self
            .records
            .iter()
            .filter(|record| record.kind == Kind::Rmdir);
        // One that holds others is removed after them.
        for removal in removals.filter(|record| self.counts(record)).rev() {
            let with_its_parent = gone
                .get(&removal.directory)
                .is_some_and(|parent| removal.sequence < *parent);
            if with_its_parent || self.is_synced(removal.directory, removal) {
                gone.insert(removal.inode, removal.sequence);
            }
        }
        gone
    }

    fn counts(&self, record: &Record) -> bool {
        !self.cancelled.contains(&record.sequence)
    }

    fn is_synced(&self, inode: u64, record: &Record) -> bool {
        self.synced
            .get(&inode)
            .is_some_and(|from| record.sequence < *from)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes(4).try_into().expect("it has the length"))
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes(8).try_into().expect("it has the length"))
    }

    fn record(&mut self) -> Record {
        assert_eq!(self.u32(), MAGIC, "the journal is not what is expected");
        let kind = Kind::ALL[self.u32() as usize - 1];
        let mut record = Record {
            kind,
            sequence: self.u64(),
            inode: self.u64(),
            offset: self.u64(),
            length: self.u64(),
            old_size: self.u64(),
            new_size: self.u64(),
            directory: self.u64(),
            directory2: self.u64(),
            buried: self.u64(),
            name: OsString::new(),
            name2: OsString::new(),
            data: Vec::new(),
        };
        let (name, name2, data) = (self.u32(), self.u32(), self.u64());
        record.name = OsString::from_vec(self.bytes(name as usize));
        record.name2 = OsString::from_vec(self.bytes(name2 as usize));
        record.data = self.bytes(data as usize);
        record
    }
}
