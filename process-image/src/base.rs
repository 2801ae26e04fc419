//! The base image of an engine: the state of a warm worker that has run nothing. It is made once, when
//! the worker is built, and every process of the engine starts from it.

use std::fs;
use std::io::{self, Cursor, Seek, Write};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use worker_protocol::layout::{ARENA_START, TABLE_ENTRIES_MAX};
use worker_protocol::{Start, ZygoteReady};

use crate::capture::{self, CaptureError, Child};
use crate::ids::{EngineId, StateId};
use crate::image::{ImageHeader, ImageWriter};
use crate::layout::{PAGE, REGION_END};
use crate::mapping_table::Bounds;
use crate::page_set::PageSet;
use crate::process::ProcessMemory;
use crate::program;
use crate::worker_process::WorkerProcess;
use crate::worker_table::TableError;

/// The name of the state that no run has changed.
pub const BASE_STATE: StateId = StateId([0; 32]);

/// The mappings that are no entries of a worker's own table: variables, stack, and the table.
const UNLISTED_MAPPINGS: usize = 3;

/// How long the capture may take.
const CAPTURE_TIMEOUT: Duration = Duration::from_secs(60);

/// More pages than any base image has: 1 GiB.
const PAGES_MAX: u64 = 1 << 18;

/// Why there is no base image.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The program can't be read, started, or driven.
    #[error("can't drive the worker")]
    Worker(#[from] io::Error),
    /// It is no program with variables of its own.
    #[error("this is no worker program")]
    Program,
    /// Its table is refused.
    #[error(transparent)]
    Table(#[from] TableError),
    /// It can't be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// Starts a worker program, and writes the image of a process that was forked from it: what libc keeps
/// of the first thread of a program is forgotten by then. Gives what the worker says of itself. With
/// `more_v8_flags` it is the image of another engine.
///
/// # Errors
/// When the worker can't be started or read, or the image can't be written.
pub fn make<W: Write + Seek>(
    program: &Path,
    more_v8_flags: &str,
    out: W,
) -> Result<(ZygoteReady, W), BaseError> {
    let bytes = fs::read(program)?;
    let variables = program::variables(&bytes).ok_or(BaseError::Program)?;
    let start = Start {
        node_pid: std::process::id(),
        more_v8_flags: more_v8_flags.to_owned(),
        ..Start::default()
    };
    let (first, ready) = WorkerProcess::start(program, start)?;
    let mut process = first.fork_line()?;
    process.rest()?;
    let memory = ProcessMemory::open(process.pid())?;
    let table = memory.table(&bounds(variables))?;
    let deadline = Instant::now() + CAPTURE_TIMEOUT;
    let scan = memory
        .scan(&table, PAGES_MAX, deadline)
        .map_err(CaptureError::from)?;
    let child = Child {
        memory: &memory,
        table: &table,
        scan: &scan,
    };
    let program_id = EngineId(Sha256::digest(&bytes).into());
    let whole = Cursor::new(Vec::new());
    let (header, whole) = capture::image(program_id, BASE_STATE, child, deadline, whole)?;
    let foreign = foreign_memory(process.pid())?;
    let out = without_pointers_to(&foreign, &header, &whole.into_inner(), out)?;
    Ok((ready, out))
}

/// How far below its present end a stack may grow, and more.
const STACK_GROWTH: u64 = 256 << 20;

/// What the kernel mapped for one process and no other has: its stack, the vDSO, the memory of `brk`.
fn foreign_memory(pid: u32) -> io::Result<Vec<Range<u64>>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let ranges = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let mut range = number(start)?..number(end)?;
        if rest.ends_with("[stack]") {
            // It can grow, and libc knows how far.
            range.start -= STACK_GROWTH;
        }
        let above = range.start >= REGION_END;
        (above || rest.ends_with("[heap]")).then_some(range)
    });
    Ok(ranges.collect())
}

/// The same image without what points into `foreign`: libc keeps such pointers, in lists that a process
/// which enters the image must not follow.
fn without_pointers_to<W: Write + Seek>(
    foreign: &[Range<u64>],
    header: &ImageHeader,
    whole: &[u8],
    out: W,
) -> Result<W, CaptureError> {
    let mut present = PageSet::new();
    let mut kept = Vec::new();
    for page in header.present().pages() {
        let at = header.offset_of(page).expect("a page of the image") as usize;
        let mut bytes = [0; PAGE];
        bytes.copy_from_slice(&whole[at..at + PAGE]);
        for word in bytes.as_chunks_mut::<8>().0 {
            let value = u64::from_le_bytes(*word);
            if foreign.iter().any(|range| range.contains(&value)) {
                *word = [0; 8];
            }
        }
        if bytes != [0; PAGE] {
            present.push(page);
            kept.extend_from_slice(&bytes);
        }
    }
    let table = header.table().clone();
    let mut writer = ImageWriter::new(out, header.engine(), header.state(), table, present)?;
    for page in kept.chunks_exact(PAGE) {
        writer.write(page)?;
    }
    Ok(writer.finish()?.1)
}

/// The name of an engine: SHA-256 of a program, its base image, and the flags of its V8.
pub fn engine_id(program: &[u8], image: &[u8], v8_flags: &str) -> EngineId {
    let mut digest = Sha256::new();
    digest.update(b"mcp-v8 engine 1\0");
    digest.update(Sha256::digest(program));
    digest.update(Sha256::digest(image));
    digest.update(v8_flags);
    EngineId(digest.finalize().into())
}

/// The bounds of an engine whose program has its variables there.
///
/// Code may lie anywhere in what the worker hands out, and nowhere else: V8 maps it for JavaScript in one
/// piece at its start, but for each WebAssembly module when it is compiled.
pub fn bounds(variables: Range<u64>) -> Bounds {
    Bounds {
        segments: vec![variables],
        code: ARENA_START as u64..REGION_END,
        mappings_max: TABLE_ENTRIES_MAX + UNLISTED_MAPPINGS,
    }
}
