//! An engine and sessions of it, without a node.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use process_image::base::{self, BASE_STATE};
use process_image::capture::{self, Child, KnownPages, Parent};
use process_image::entry_plan::{Ground, plan};
use process_image::layout::PAGE;
use process_image::worker_process::{RunProcess, WorkerProcess};
use process_image::{
    Bounds, EngineId, ImageHeader, MappingTable, PageSet, ProcessMemory, Scan, program,
};
use worker_protocol::{Done, Limits, Run, Start, from_worker, layer, to_worker};

use crate::error::LoadError;

/// More pages than any image here has.
const PAGES_MAX: u64 = 1 << 20;

/// How long one step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// A worker program and its base image.
pub struct Engine {
    program: PathBuf,
    constants_used: Vec<u64>,
    pub bounds: Bounds,
    pub base: ImageHeader,
    pub image: File,
}

/// A process that waits, and what is known of its memory.
pub struct Session {
    pub process: WorkerProcess,
    pub memory: ProcessMemory,
    pub table: MappingTable,
    pub present: PageSet,
    /// What was read of it when it was a run.
    known: KnownPages,
    next: Option<(WorkerProcess, ProcessMemory)>,
}

/// Where the time of one run in a session went, and what it changed.
pub struct Timings {
    pub evaluate: Duration,
    pub scan: Duration,
    pub delta: Duration,
    pub encode: Duration,
    pub whole: Duration,
    pub bytes: usize,
    pub changed: u64,
}

pub fn failed(what: &'static str) -> impl Fn(io::Error) -> LoadError {
    move |source| LoadError::System { what, source }
}

fn other(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> LoadError {
    failed(what)(io::Error::other(error))
}

/// A file without a name, gone with the process.
pub fn nameless() -> Result<File, LoadError> {
    tempfile::tempfile().map_err(failed("make a file"))
}

/// The frame for code.
pub fn frame(code: &str) -> to_worker::Frame {
    to_worker::Frame::Run(Run {
        seed: vec![7; 32],
        code: code.to_owned(),
        limits: Some(Limits {
            heap_bytes: 2 << 30,
            array_buffer_bytes: 1 << 30,
            stack_bytes: 1 << 20,
            result_bytes: 1 << 20,
        }),
        ..Run::default()
    })
}

fn done(mut receive: impl FnMut() -> io::Result<from_worker::Frame>) -> Result<Done, LoadError> {
    loop {
        match receive().map_err(failed("read from a worker"))? {
            from_worker::Frame::Done(done) if done.error.is_none() => return Ok(done),
            from_worker::Frame::Console(_) => {}
            other => {
                return Err(failed("run code")(io::Error::other(format!("{other:?}"))));
            }
        }
    }
}

impl Engine {
    /// Makes the base image of a program, with these flags of V8 beside its own.
    pub fn new(program: &Path, more_v8_flags: &str) -> Result<Self, LoadError> {
        let (ready, image) = base::make(program, more_v8_flags, nameless()?)
            .map_err(|error| other("make a base image", error))?;
        let bytes = std::fs::read(program).map_err(failed("read the worker"))?;
        let bounds = base::bounds(program::variables(&bytes).ok_or(LoadError::Worker)?);
        let mut from_start = FromStart(&image, 0);
        let base = ImageHeader::read(&mut from_start, &bounds, PAGES_MAX)
            .map_err(|error| other("read the base image", error))?;
        Ok(Self {
            program: program.to_owned(),
            constants_used: ready.constants_used,
            bounds,
            base,
            image,
        })
    }

    /// Starts a process that starts V8.
    pub fn start_v8(&self) -> Result<WorkerProcess, LoadError> {
        let started = WorkerProcess::start(&self.program, start(false, Vec::new()));
        Ok(started.map_err(failed("start a worker"))?.0)
    }

    /// Starts a process that becomes an image.
    pub fn start_from(
        &self,
        header: &ImageHeader,
        image: &File,
    ) -> Result<WorkerProcess, LoadError> {
        let start = start(true, self.constants_used.clone());
        let started = WorkerProcess::start(&self.program, start);
        let (mut process, _) = started.map_err(failed("start a worker"))?;
        process
            .become_image(image, plan(header, Ground::Program))
            .map_err(failed("enter an image"))?;
        Ok(process)
    }

    /// A fork of a process of the base image that becomes another image: only what differs is copied.
    pub fn fork_into(
        &self,
        zygote: &WorkerProcess,
        header: &ImageHeader,
        image: &File,
    ) -> Result<WorkerProcess, LoadError> {
        let plan = |pid| {
            let memory = ProcessMemory::open(pid)?;
            let deadline = Instant::now() + STEP_TIMEOUT;
            let table = memory.table(&self.bounds).map_err(io::Error::other)?;
            let scan = memory
                .scan(&table, PAGES_MAX, deadline)
                .map_err(io::Error::other)?;
            let touched = scan
                .unshared
                .union(&scan.present.difference(self.base.present()));
            let same = self.same_pages(header, image)?.difference(&touched);
            let present = self.base.present().union(&scan.present);
            let ground = Ground::Process {
                table: &table,
                present: &present,
                same: &same,
            };
            Ok(plan(header, ground))
        };
        zygote
            .fork_into(image, plan)
            .map_err(failed("fork into an image"))
    }

    fn same_pages(&self, header: &ImageHeader, image: &File) -> io::Result<PageSet> {
        let mut same = PageSet::new();
        let (mut ours, mut theirs) = ([0; PAGE], [0; PAGE]);
        for page in self.base.present().intersection(header.present()).pages() {
            let at = |header: &ImageHeader| header.offset_of(page).expect("in both");
            self.image.read_exact_at(&mut ours, at(&self.base))?;
            image.read_exact_at(&mut theirs, at(header))?;
            if ours == theirs {
                same.push(page);
            }
        }
        Ok(same)
    }

    /// A session in which nothing has run.
    pub fn session(&self, zygote: &WorkerProcess) -> Result<Session, LoadError> {
        let process = self.fork_into(zygote, &self.base, &self.image)?;
        let memory = ProcessMemory::open(process.pid()).map_err(failed("open a process"))?;
        Session {
            process,
            memory,
            table: self.base.table().clone(),
            present: self.base.present().clone(),
            known: KnownPages::default(),
            next: None,
        }
        .ahead()
    }
}

fn start(enter: bool, constants_used: Vec<u64>) -> Start {
    Start {
        node_pid: std::process::id(),
        layers: layer::ALL,
        enter,
        constants_used,
        ..Start::default()
    }
}

impl Session {
    /// Forks ahead.
    fn ahead(mut self) -> Result<Self, LoadError> {
        let next = self.process.fork_line().map_err(failed("fork"))?;
        let memory = ProcessMemory::open(next.pid()).map_err(failed("open a process"))?;
        self.next = Some((next, memory));
        Ok(self)
    }

    /// Runs code and keeps it.
    pub fn run(self, bounds: &Bounds, code: &str) -> Result<(Self, Timings), LoadError> {
        let Self {
            process,
            memory,
            table,
            present,
            known,
            next,
        } = self;
        let (mut child, child_memory) = next.expect("forked ahead");
        let frame = frame(code);
        let begun = Instant::now();
        child.send(frame).map_err(failed("send a frame"))?;
        done(|| child.receive())?;
        let evaluated = Instant::now();
        let deadline = evaluated + STEP_TIMEOUT;
        let child_table = child_memory
            .table(bounds)
            .map_err(|error| other("read a table", error))?;
        let scan: Scan = child_memory
            .scan(&child_table, PAGES_MAX, deadline)
            .map_err(|error| other("scan", error))?;
        let scanned = Instant::now();
        let before = Parent {
            state: BASE_STATE,
            memory: &memory,
            table: &table,
            present: &present,
            known: &known,
        };
        let after = Child {
            memory: &child_memory,
            table: &child_table,
            scan: &scan,
        };
        let (delta, known) = capture::delta(EngineId([0; 32]), before, after, PAGES_MAX, deadline)
            .map_err(|error| other("compare", error))?;
        let compared = Instant::now();
        let bytes = delta.encode().len();
        let encoded = Instant::now();
        let present = present.difference(&delta.dropped).union(&delta.changed);
        drop(process);
        let timings = Timings {
            evaluate: evaluated - begun,
            scan: scanned - evaluated,
            delta: compared - scanned,
            encode: encoded - compared,
            whole: encoded - begun,
            bytes,
            changed: delta.changed.count(),
        };
        let session = Self {
            process: child,
            memory: child_memory,
            table: child_table,
            present,
            known,
            next: None,
        };
        Ok((session.ahead()?, timings))
    }

    /// Writes its image.
    pub fn save(&self, file: File) -> Result<ImageHeader, LoadError> {
        let scan = Scan {
            present: self.present.clone(),
            unshared: PageSet::new(),
        };
        let process = Child {
            memory: &self.memory,
            table: &self.table,
            scan: &scan,
        };
        let deadline = Instant::now() + STEP_TIMEOUT;
        let saved = capture::image(EngineId([0; 32]), BASE_STATE, process, deadline, file);
        Ok(saved.map_err(|error| other("save an image", error))?.0)
    }
}

/// One run in a process that is there already.
pub fn run_in(process: &mut RunProcess, frame: to_worker::Frame) -> Result<Done, LoadError> {
    process.send(frame).map_err(failed("send a frame"))?;
    done(|| process.receive())
}

/// The first run in a process that waits.
pub fn first_result(process: &WorkerProcess) -> Result<(), LoadError> {
    let mut run = process.fork_run().map_err(failed("fork a run"))?;
    run_in(&mut run, frame("1 + 2")).map(drop)
}

/// Reads a file from its start, wherever others are in it.
struct FromStart<'a>(&'a File, u64);

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}
