//! The V8 processes of this node: one zygote, the runs forked from it, and who watches them.
//!
//! This module knows nothing of HTTP, of executions' ids or of what a caller is told. It takes a
//! [`RunRequest`], gives the console's lines to a sink while they are printed, and answers with how
//! the process ended. `worker/DESIGN.md` tells the other side of the socket.
//!
//! * `supply`: the loop that owns the zygote and forks ahead.
//! * `child`: one forked process: its channel, its end.
//! * [`session`]: lines of processes that are one JavaScript world after the other.
//! * `run`: a run from the frame to the outcome, with its deadline and memory bound.

mod child;
mod engine;
mod engine_file;
mod error;
mod guard;
mod handle;
mod line;
mod memory;
mod orphans;
mod proc_file;
mod process;
mod program;
mod run;
pub mod session;
mod spawner;
mod supply;
mod types;
mod zygote;

pub use engine::{Engine, EngineError, Facts};
pub use engine_file::{pack, unpack};
pub use error::{Error, StartError};
pub use handle::Workers;
pub use process_image::EngineId;
pub use types::{
    Ended, OomCause, Options, Outcome, ProbeOutcome, Reproducible, RunLimits, RunRequest,
    SandboxMode, SandboxReport, Stats,
};
pub use worker_protocol::{
    ConsoleLevel, ConsoleLine, Language, LayerReport, ProbeKind, VirtualClock,
};
