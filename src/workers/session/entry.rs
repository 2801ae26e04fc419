use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use process_image::capture::KnownPages;
use process_image::entry_plan::{Ground, plan};
use process_image::layout::PAGE;
use process_image::{ImageHeader, PageSet, ProcessMemory, Shadow};
use worker_protocol::{Step, from_worker};

use super::{Guard, Living, Origin, SessionError, family};
use crate::workers::child::Child;
use crate::workers::engine::Engine;
use crate::workers::handle::Workers;

/// More pages than any image has that fits into a node: 64 GiB.
const PAGES_MAX: u64 = 1 << 24;

/// How long a process may take to become an image.
const ENTRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Pages of an image that are compared at once.
const COMPARED_PAGES: u64 = 64;

/// A process that has become an image.
pub struct Opened {
    pub header: ImageHeader,
    pub living: Living,
    pub shadow: Option<Shadow>,
}

/// Forks a process of the base image and makes it the one of `origin`: only what differs is copied.
pub async fn open(
    workers: &Workers,
    engine: &'static Engine,
    origin: Origin,
    verify: bool,
) -> Result<Opened, SessionError> {
    let file = match origin {
        Origin::Base => engine.image_file().map_err(SessionError::Entry)?,
        Origin::Image(file) => file,
    };
    let opened = async {
        let (file, header) = blocking(move || read_header(engine, file)).await?;
        let image = file.try_clone().map_err(SessionError::Entry)?;
        let forked = workers.supply().fork_line(image.into()).await?;
        let mut child = Guard::new(forked, workers.supply().clone());
        let pid = child.process().pid();
        family::found(pid).map_err(SessionError::Entry)?;
        workers.watch_group(pid);
        resting(&mut child.get_mut().child).await?;
        let raw_pid = pid.as_raw_nonzero().get() as u32;
        let memory = ProcessMemory::open(raw_pid).map_err(SessionError::Entry)?;
        let prepared = blocking(move || prepare(engine, &file, header, memory, verify)).await?;
        let Prepared {
            header,
            memory,
            steps,
            shadow,
        } = prepared;
        let channel = &mut child.get_mut().child;
        channel
            .send_bytes(&steps)
            .await
            .map_err(SessionError::Entry)?;
        resting(channel).await?;
        let line = child
            .try_map(super::LineChild::into_line)
            .map_err(SessionError::Entry)?;
        let living = Living {
            line,
            memory,
            table: header.table().clone(),
            present: header.present().clone(),
            known: KnownPages::default(),
        };
        Ok(Opened {
            header,
            living,
            shadow,
        })
    };
    let timed_out = || Err(SessionError::Entry(io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(ENTRY_TIMEOUT, opened)
        .await
        .unwrap_or_else(|_| timed_out())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SessionError> + Send + 'static,
) -> Result<T, SessionError> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("reading an image does not panic")
}

/// Reads and checks what an image says of itself, before any process is made for it.
fn read_header(engine: &Engine, file: File) -> Result<(File, ImageHeader), SessionError> {
    let mut from_start = io::BufReader::new(PositionedFile::new(&file));
    let header = ImageHeader::read(&mut from_start, engine.bounds(), PAGES_MAX)?;
    let expected = engine.id();
    if header.engine() != expected && header.engine() != engine.base().engine() {
        let found = header.engine();
        return Err(SessionError::Engine { found, expected });
    }
    let (bytes, there) = (
        header.file_bytes(),
        file.metadata().map_err(SessionError::Entry)?.len(),
    );
    if there != bytes {
        return Err(process_image::ImageError::Trailing.into());
    }
    Ok((file, header))
}

/// What is needed to make a process an image.
struct Prepared {
    header: ImageHeader,
    memory: ProcessMemory,
    steps: Vec<u8>,
    shadow: Option<Shadow>,
}

fn prepare(
    engine: &Engine,
    file: &File,
    header: ImageHeader,
    memory: ProcessMemory,
    verify: bool,
) -> Result<Prepared, SessionError> {
    let deadline = Instant::now() + ENTRY_TIMEOUT;
    let base = engine.base();
    // The process is the base image but for what it wrote since it was forked.
    let table = memory.table(engine.bounds()).map_err(SessionError::Table)?;
    let scan = memory.scan(&table, PAGES_MAX, deadline)?;
    let touched = scan
        .unshared
        .union(&scan.present.difference(base.present()));
    let same = same_pages(engine, &header, file)
        .map_err(SessionError::Entry)?
        .difference(&touched);
    let present = base.present().union(&scan.present);
    let ground = Ground::Process {
        table: &table,
        present: &present,
        same: &same,
    };
    let steps = plan(&header, ground);
    let shadow = match verify {
        true => {
            let mut pages = PositionedFile::new(file);
            pages.at = header.file_bytes() - header.present().count() * PAGE as u64;
            let read = Shadow::of_image(&header, &mut io::BufReader::new(pages));
            Some(read.map_err(SessionError::Entry)?)
        }
        false => None,
    };
    Ok(Prepared {
        steps: steps.into_iter().flat_map(Step::encode).collect(),
        header,
        memory,
        shadow,
    })
}

/// The pages of an image that are those of the base image, where both are mapped.
fn same_pages(engine: &Engine, image: &ImageHeader, file: &File) -> io::Result<PageSet> {
    let base = engine.base();
    let in_both = base.present().intersection(image.present());
    let mut same = PageSet::new();
    let mut buffer = vec![0; COMPARED_PAGES as usize * PAGE];
    for range in in_both.ranges() {
        let mut start = range.start;
        while start < range.end {
            let count = (range.end - start).min(COMPARED_PAGES);
            let bytes = &mut buffer[..count as usize * PAGE];
            let offset = image.offset_of(start).expect("a page of the image");
            file.read_exact_at(bytes, offset)?;
            for (page, bytes) in (start..).zip(bytes.chunks_exact(PAGE)) {
                let at = base.offset_of(page).expect("a page of the base image") as usize;
                if *bytes == engine.base_bytes()[at..at + PAGE] {
                    same.push(page);
                }
            }
            start += count;
        }
    }
    Ok(same)
}

async fn resting(child: &mut Child) -> Result<(), SessionError> {
    match child.receive().await {
        Ok(Some(from_worker::Frame::Resting(_))) => Ok(()),
        _ => Err(SessionError::Entry(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Reads a file from a place of its own: others read it too.
struct PositionedFile<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> PositionedFile<'a> {
    fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl io::Read for PositionedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
