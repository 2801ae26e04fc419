use std::time::Duration;

pub use crate::config::SandboxMode;
use worker_protocol::LayerReport;
pub use worker_protocol::{Done, Language, VirtualClock};

/// Code for one process.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The source text.
    pub code: String,
    /// Its language.
    pub language: Language,
    /// The global `input`, as JSON text.
    pub input_json: Option<String>,
    /// The bounds to keep.
    pub limits: RunLimits,
    /// What the run would else have from the machine, for runs that can be repeated.
    pub reproducible: Option<Reproducible>,
    /// Nothing runs: the world tells what it has by name.
    pub globals: bool,
}

/// What a run has of the machine: with the same of it, the same code does the same.
#[derive(Clone, Copy, Debug)]
pub struct Reproducible {
    /// What `Math.random` starts from.
    pub seed: [u8; 32],
    /// A clock that depends on nothing but how often it is read.
    pub clock: VirtualClock,
}

/// The bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// Wall clock, from the moment the frame is sent.
    pub timeout: Duration,
    /// The JavaScript heap.
    pub heap_bytes_max: u64,
    /// All ArrayBuffers together.
    pub array_buffer_bytes_max: u64,
    /// Private dirty memory of the process above what it had when it was forked.
    pub memory_bytes_max: u64,
    /// The stack of JavaScript calls.
    pub stack_bytes_max: u64,
    /// The rendered result, JSON and text each.
    pub result_bytes_max: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What came of it.
    pub outcome: Outcome,
    /// From the frame to the end.
    pub duration: Duration,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The worker reported the end; `Done::error` tells whether the script failed.
    Done(Done),
    /// Killed at its deadline.
    TimedOut,
    /// Killed, or ended by itself, over one of its memory bounds.
    OutOfMemory(OomCause),
    /// Killed because the caller gave up.
    Cancelled,
    /// The process died of itself.
    Crashed {
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// V8's last words, if it had any.
        message: Option<String>,
    },
}

/// Which memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomCause {
    /// The JavaScript heap's limit.
    Heap,
    /// The limit of private memory, watched by the node.
    Memory,
    /// The kernel's or the address space's end; under pressure the kernel kills a run first.
    System,
}

/// How the workers of a node are kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many forked processes wait for a run.
    pub runs_ready: usize,
    /// What to do where the sandbox can't be put in place whole.
    pub sandbox: SandboxMode,
    /// The layers to put in place, bits of [`worker_protocol::layer`]; all of them but in tests.
    pub layers: u32,
}

impl Options {
    /// All layers, as `sandbox` says.
    pub fn new(runs_ready: usize, sandbox: SandboxMode) -> Self {
        Self {
            runs_ready,
            sandbox,
            layers: worker_protocol::layer::ALL,
        }
    }
}

/// The sandbox as it is.
#[derive(Clone, Debug)]
pub struct SandboxReport {
    /// What was asked for.
    pub mode: SandboxMode,
    /// What became of each layer.
    pub layers: Vec<LayerReport>,
    /// The version of V8 inside.
    pub v8_version: String,
}

/// What came of a probe of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The system call answered: a result, or a negated `errno`.
    Answered(i64),
    /// The process was killed by this signal.
    Killed(i32),
    /// The process ended otherwise.
    Ended,
}

/// Numbers for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Forked processes that wait for a run.
    pub ready: usize,
    /// Processes with a run, until they are reaped.
    pub running: usize,
    /// Zygotes started since the node began.
    pub zygote_starts: u64,
    /// The zygote's process id, if there is one.
    pub zygote_pid: Option<i32>,
    /// The zygote's resident memory.
    pub zygote_resident_bytes: Option<u64>,
}
