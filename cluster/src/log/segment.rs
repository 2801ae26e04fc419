//! The files of a log's directory: their names, and how they are made, listed and removed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::error::{OpenError, Operation};
use super::format::SegmentHeader;

/// A segment that isn't in use yet. What is left of one is removed at open.
const UNFINISHED: &str = "unfinished";
const SUFFIX: &str = ".log";

/// The kind of a file system that is memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Gives a file its length and, on a disk, the room for it: else each sync would write the length too, which
/// is slower, not less safe. In memory the room would be taken from others.
fn allocate(file: &File, file_bytes: u64) -> io::Result<()> {
    let is_memory = rustix::fs::fstatfs(file)?.f_type as i64 == TMPFS_MAGIC;
    if is_memory {
        return file.set_len(file_bytes);
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, file_bytes) {
        Err(Errno::OPNOTSUPP) => file.set_len(file_bytes),
        result => result.map_err(io::Error::from),
    }
}

/// The directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    file: File,
}

/// What failed, and how.
pub(super) type Failure = (Operation, io::Error);

/// Names the operation in an error of it.
pub(super) fn during(operation: Operation) -> impl Fn(io::Error) -> Failure {
    move |error| (operation, error)
}

/// The same for `open`, with the file's name.
pub(super) fn at(path: &Path) -> impl Fn(Failure) -> OpenError + '_ {
    |(operation, source)| OpenError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

impl Directory {
    /// Makes it if need be, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let at = at(path);
        if !path.exists() {
            std::fs::create_dir_all(path)
                .map_err(during(Operation::Create))
                .map_err(&at)?;
            // The name must be as durable as what is in it.
            let parent = path.parent().filter(|parent| *parent != Path::new(""));
            File::open(parent.unwrap_or(Path::new(".")))
                .and_then(|parent| parent.sync_all())
                .map_err(during(Operation::Sync))
                .map_err(&at)?;
        }
        let file = File::open(path)
            .map_err(during(Operation::Open))
            .map_err(&at)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse {
                directory: path.to_owned(),
            }),
            Err(errno) => Err(at((Operation::Lock, errno.into()))),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes durable which files there are.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.file.sync_all().map_err(during(Operation::Sync))
    }

    /// Makes a segment that begins with these bytes, which are on disk under its name when this
    /// returns.
    pub(super) fn create(
        &self,
        header: &SegmentHeader,
        start: &[u8],
        file_bytes: u64,
    ) -> Result<Arc<File>, Failure> {
        let unfinished = self.path.join(UNFINISHED);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)
            .map_err(during(Operation::Create))?;
        file.write_all_at(start, 0)
            .map_err(during(Operation::Write))?;
        allocate(&file, file_bytes).map_err(during(Operation::Allocate))?;
        file.sync_all().map_err(during(Operation::Sync))?;
        std::fs::rename(&unfinished, self.segment_path(header.sequence))
            .map_err(during(Operation::Rename))?;
        self.sync()?;
        Ok(Arc::new(file))
    }

    /// Removes a segment, durably only after [`Self::sync`].
    pub(super) fn remove(&self, sequence: u64) -> Result<(), Failure> {
        std::fs::remove_file(self.segment_path(sequence)).map_err(during(Operation::Remove))
    }

    /// Removes what was left of a segment that never came into use.
    pub(super) fn remove_unfinished(&self) -> Result<(), Failure> {
        match std::fs::remove_file(self.path.join(UNFINISHED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err((Operation::Remove, error))
            }
            _ => Ok(()),
        }
    }

    /// Where a segment is.
    pub(super) fn segment_path(&self, sequence: u64) -> PathBuf {
        segment_path(&self.path, sequence)
    }
}

/// Where a segment of a directory is.
pub(super) fn segment_path(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(format!("{sequence:020}{SUFFIX}"))
}

/// The numbers of a directory's segments, ascending.
pub(super) fn list(directory: &Path) -> Result<Vec<u64>, OpenError> {
    let failed = |error| at(directory)((Operation::List, error));
    let mut sequences = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        sequences.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    sequences.sort_unstable();
    Ok(sequences)
}

/// Opens a segment, for writing too if `write`.
pub(super) fn open(path: &Path, write: bool) -> Result<File, OpenError> {
    File::options()
        .read(true)
        .write(write)
        .open(path)
        .map_err(during(Operation::Open))
        .map_err(at(path))
}
