use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use process_image::base;
use process_image::entry_plan::{Ground, plan};
use process_image::{Bounds, EngineId, ImageHeader, program};
use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Serialize};
use worker_protocol::Step;

use super::program::Program;

/// More pages than any base image has: 1 GiB.
const BASE_PAGES_MAX: u64 = 1 << 18;

/// The worker's program, as the node's build made it.
static PROGRAM: &[u8] = include_bytes!(env!("WORKER_PROGRAM"));

/// The base image, as the node's build made it.
static BASE_IMAGE: &[u8] = include_bytes!(env!("BASE_IMAGE"));

/// What the worker said of itself when the base image was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The version of V8.
    pub v8_version: String,
    /// V8's flags.
    pub v8_flags: String,
    /// What a CPU must be able to do.
    pub cpu_baseline: String,
    /// The huge pages of constants that runs use.
    pub constants_used: Vec<u64>,
}

/// The embedded engine's, as the build wrote them down.
struct Built {
    v8_version: &'static str,
    v8_flags: &'static str,
    cpu_baseline: &'static str,
    constants_used: &'static [u64],
    id: EngineId,
}

const BUILT: Built = include!(concat!(env!("OUT_DIR"), "/engine_facts.rs"));

/// A worker program with its base image. Every process of an engine starts from the same pages, and
/// what was saved of one fits this engine and no other.
pub struct Engine {
    id: EngineId,
    facts: Facts,
    base: ImageHeader,
    bounds: Bounds,
    image: File,
    base_bytes: Cow<'static, [u8]>,
    program: Program,
    /// The steps by which a program that was just started becomes the base image, encoded.
    plan: Vec<u8>,
}

/// Why bytes are no engine that this node can use.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The program or the base image are not what they have to be.
    #[error("the {part} of the engine is damaged, or of another version of mcp-v8")]
    Malformed {
        /// Which of the two.
        part: &'static str,
    },
    /// They are those of another engine.
    #[error("the bytes are those of engine {found}, not of {expected}")]
    Different {
        /// What they are.
        found: EngineId,
        /// What was wanted.
        expected: EngineId,
    },
    /// This CPU can't run it.
    #[error("engine {id} asks more of the CPU than this one has: {}", missing.join(", "))]
    Cpu {
        /// The engine.
        id: EngineId,
        /// What is missing.
        missing: Vec<&'static str>,
    },
    /// No base image could be made.
    #[error("no base image could be made: {0}")]
    Base(#[from] base::BaseError),
    /// There is no memory for its files.
    #[error("there is no memory for the engine: {0}")]
    Memory(#[from] io::Error),
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
        let program = Program::load(PROGRAM)?;
        let facts = Facts {
            v8_version: BUILT.v8_version.to_owned(),
            v8_flags: BUILT.v8_flags.to_owned(),
            cpu_baseline: BUILT.cpu_baseline.to_owned(),
            constants_used: BUILT.constants_used.to_vec(),
        };
        let engine = Self::assemble(BUILT.id, facts, PROGRAM, program, BASE_IMAGE.into());
        let engine = engine.map_err(|error| match error {
            EngineError::Memory(error) => error,
            error => unreachable!("the build made it: {error}"),
        })?;
        Ok(ENGINE.get_or_init(|| engine))
    }

    /// An engine of these bytes, for as long as the process lives: processes of it may at any time.
    ///
    /// # Errors
    /// They are no engine, or one that this CPU can't run.
    pub fn load(
        facts: Facts,
        program: &[u8],
        base_image: Vec<u8>,
    ) -> Result<&'static Self, EngineError> {
        let id = base::engine_id(program, &base_image, &facts.v8_flags);
        let missing = Self::missing_features();
        if !missing.is_empty() {
            return Err(EngineError::Cpu { id, missing });
        }
        let file = Program::load(program)?;
        let engine = Self::assemble(id, facts, program, file, base_image.into())?;
        Ok(Box::leak(Box::new(engine)))
    }

    /// As [`Engine::load`], for bytes that have to be those of this engine.
    ///
    /// # Errors
    /// As there; or they are another engine's.
    pub fn load_as(
        expected: EngineId,
        facts: Facts,
        program: &[u8],
        base_image: Vec<u8>,
    ) -> Result<&'static Self, EngineError> {
        let found = base::engine_id(program, &base_image, &facts.v8_flags);
        if found != expected {
            return Err(EngineError::Different { found, expected });
        }
        Self::load(facts, program, base_image)
    }

    /// The embedded engine's program with other flags of V8: another engine.
    ///
    /// # Errors
    /// The worker does not start with them.
    pub fn with_v8_flags(more_v8_flags: &str) -> Result<&'static Self, EngineError> {
        let program = Program::load(PROGRAM)?;
        let image = io::Cursor::new(Vec::new());
        let (ready, image) = base::make(&program.path(), more_v8_flags, image)?;
        let facts = Facts {
            v8_version: ready.v8_version,
            v8_flags: ready.v8_flags,
            cpu_baseline: ready.cpu_baseline,
            constants_used: ready.constants_used,
        };
        Self::load(facts, PROGRAM, image.into_inner())
    }

    fn assemble(
        id: EngineId,
        facts: Facts,
        program_bytes: &[u8],
        program: Program,
        base_bytes: Cow<'static, [u8]>,
    ) -> Result<Self, EngineError> {
        let variables = program::variables(program_bytes);
        let variables = variables.ok_or(EngineError::Malformed { part: "program" })?;
        let bounds = base::bounds(variables);
        let base = ImageHeader::read(&mut &*base_bytes, &bounds, BASE_PAGES_MAX);
        let base = base.map_err(|_| EngineError::Malformed { part: "base image" })?;
        if base.file_bytes() != base_bytes.len() as u64 {
            return Err(EngineError::Malformed { part: "base image" });
        }
        let steps = plan(&base, Ground::Program);
        Ok(Self {
            id,
            facts,
            plan: steps.into_iter().flat_map(Step::encode).collect(),
            base,
            bounds,
            image: anonymous_file("mcp-v8-base-image", &base_bytes)?,
            base_bytes,
            program,
        })
    }

    /// Its name.
    pub fn id(&self) -> EngineId {
        self.id
    }

    /// What it says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its program, as one that can be started.
    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// Its program's bytes.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn program_bytes(&self) -> io::Result<Vec<u8>> {
        self.program.bytes()
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
    pub fn base_bytes(&self) -> &[u8] {
        &self.base_bytes
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
