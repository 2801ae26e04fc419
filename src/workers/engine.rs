use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use process_image::base;
use process_image::entry_plan::{Ground, plan};
use process_image::{Bounds, EngineId, ImageHeader, program};
use rustix::fs::{MemfdFlags, SealFlags};
use worker_protocol::Step;

/// More pages than any base image has: 1 GiB.
const BASE_PAGES_MAX: u64 = 1 << 18;

/// The base image, as the node's build made it.
static BASE_IMAGE: &[u8] = include_bytes!(env!("BASE_IMAGE"));

/// What the worker said of itself when the base image was made.
pub struct Facts {
    /// The version of V8.
    pub v8_version: &'static str,
    /// V8's flags.
    pub v8_flags: &'static str,
    /// What a CPU must be able to do.
    pub cpu_baseline: &'static str,
    /// The huge pages of constants that runs use.
    pub constants_used: &'static [u64],
    /// See [`base::engine_id`].
    pub id: EngineId,
}

const FACTS: Facts = include!(concat!(env!("OUT_DIR"), "/engine_facts.rs"));

/// A worker program with its base image. Every process of an engine starts from the same pages, and
/// what was saved of one fits this engine and no other.
pub struct Engine {
    facts: Facts,
    base: ImageHeader,
    bounds: Bounds,
    image: File,
    /// The steps by which a program that was just started becomes the base image, encoded.
    plan: Vec<u8>,
}

impl Engine {
    /// The engine that is part of this program.
    ///
    /// # Errors
    /// When there is no memory for its image.
    pub fn embedded() -> io::Result<&'static Self> {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        if let Some(engine) = ENGINE.get() {
            return Ok(engine);
        }
        let engine = Self::load()?;
        Ok(ENGINE.get_or_init(|| engine))
    }

    fn load() -> io::Result<Self> {
        let variables = program::variables(super::program::BYTES)
            .expect("the build took the base image from this program");
        let bounds = base::bounds(variables);
        let base = ImageHeader::read(&mut &*BASE_IMAGE, &bounds, BASE_PAGES_MAX)
            .expect("the build wrote the base image");
        let steps = plan(&base, Ground::Program);
        Ok(Self {
            facts: FACTS,
            plan: steps.into_iter().flat_map(Step::encode).collect(),
            base,
            bounds,
            image: anonymous_file("mcp-v8-base-image", BASE_IMAGE)?,
        })
    }

    /// Its name.
    pub fn id(&self) -> EngineId {
        self.facts.id
    }

    /// What it says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its program.
    pub fn program_bytes(&self) -> &'static [u8] {
        super::program::BYTES
    }

    /// What this CPU lacks of the baseline. The worker looks for the same before it starts V8.
    pub fn missing_features() -> Vec<&'static str> {
        let mut missing = Vec::new();
        macro_rules! need {
            ($($name:tt),*) => {
                $(if !std::arch::is_x86_feature_detected!($name) { missing.push($name) })*
            };
        }
        need!(
            "sse4.2", "popcnt", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"
        );
        missing
    }

    /// What its base image says of itself.
    pub fn base(&self) -> &ImageHeader {
        &self.base
    }

    /// The base image as a file.
    pub fn base_bytes(&self) -> &'static [u8] {
        BASE_IMAGE
    }

    /// The base image, for a process to read.
    pub fn image(&self) -> BorrowedFd<'_> {
        self.image.as_fd()
    }

    /// The base image as a file of one's own.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn image_file(&self) -> io::Result<File> {
        self.image.try_clone()
    }

    /// Where the memory of its processes may lie.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The steps by which a program that was just started becomes the base image, encoded.
    pub fn plan(&self) -> &[u8] {
        &self.plan
    }
}

/// A sealed file in memory: nothing is left behind, nobody else can change it, and it works on a
/// read-only file system.
fn anonymous_file(name: &str, bytes: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create(name, flags)?);
    file.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}
