//! The messages. Field numbers are for ever.

/// What a node sends.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ToWorker {
    /// The frame; `None` is one that this build does not know.
    #[prost(oneof = "to_worker::Frame", tags = "1, 2, 3, 4")]
    pub frame: Option<to_worker::Frame>,
}

/// The frames in [`ToWorker`].
pub mod to_worker {
    /// One frame.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Frame {
        /// Evaluate code.
        #[prost(message, tag = "1")]
        Run(super::Run),
        /// Prove one layer of the sandbox by trying what it forbids.
        #[prost(message, tag = "2")]
        Probe(super::Probe),
        /// The first message to a zygote.
        #[prost(message, tag = "3")]
        Start(super::Start),
        /// Run nothing and wait.
        #[prost(message, tag = "4")]
        Rest(super::Rest),
    }
}

/// What a worker sends.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FromWorker {
    /// The frame; `None` is one that this build does not know.
    #[prost(oneof = "from_worker::Frame", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub frame: Option<from_worker::Frame>,
}

/// The frames in [`FromWorker`].
pub mod from_worker {
    /// One frame.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Frame {
        /// A zygote is warm.
        #[prost(message, tag = "1")]
        ZygoteReady(super::ZygoteReady),
        /// A zygote could not start, or could not fork.
        #[prost(message, tag = "2")]
        ZygoteFailed(super::ZygoteFailed),
        /// A forked child took its channel and waits for its frame.
        #[prost(message, tag = "3")]
        ChildReady(super::ChildReady),
        /// Lines of the console.
        #[prost(message, tag = "4")]
        Console(super::Console),
        /// The run's end.
        #[prost(message, tag = "5")]
        Done(super::Done),
        /// The run can't go on; the process ends after this frame.
        #[prost(message, tag = "6")]
        Fatal(super::Fatal),
        /// What a probe came to, when the process lived to tell.
        #[prost(message, tag = "7")]
        ProbeDone(super::ProbeDone),
        /// The process waits for orders and writes no memory any more.
        #[prost(message, tag = "8")]
        Resting(super::Resting),
    }
}

/// How a zygote starts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Start {
    /// The process id of the node: a child whose parent is another one ends.
    #[prost(uint32, tag = "1")]
    pub node_pid: u32,
    /// The sandbox layers to put in place: bits of [`layer`].
    #[prost(uint32, tag = "2")]
    pub layers: u32,
    /// Fail to start when one of `layers` is not to be had here.
    #[prost(bool, tag = "3")]
    pub layers_required: bool,
    /// Enter an image instead of starting V8: a [`crate::Handoff`] for it follows.
    #[prost(bool, tag = "4")]
    pub enter: bool,
    /// With `enter`: the huge pages of the program's constants that runs use, by their addresses, as
    /// [`ZygoteReady::constants_used`] told them when the image was made.
    #[prost(uint64, repeated, tag = "5")]
    pub constants_used: Vec<u64>,
    /// Without `enter`: flags of V8 beside the worker's own. They make another engine.
    #[prost(string, tag = "6")]
    pub more_v8_flags: String,
}

/// Run nothing and wait.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Rest {}

/// The answer to [`Rest`], and that of a process that entered an image.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resting {}

/// The layers of the sandbox, as bits of [`Start::layers`].
pub mod layer {
    /// `PR_SET_NO_NEW_PRIVS`.
    pub const NO_NEW_PRIVS: u32 = 1;
    /// Landlock: no file, no TCP port, no signal or abstract socket outside.
    pub const LANDLOCK: u32 = 2;
    /// The seccomp allow-list.
    pub const SECCOMP: u32 = 4;
    /// Resource limits: core files, descriptors, file sizes.
    pub const RLIMITS: u32 = 8;
    /// Cleared environment, no inherited descriptor.
    pub const CLEAN_START: u32 = 16;
    /// `oom_score_adj` 1000: memory pressure kills a run before the node.
    pub const OOM_SCORE: u32 = 32;
    /// Killed when the node ends.
    pub const PARENT_DEATH: u32 = 64;
    /// All of them.
    pub const ALL: u32 = 127;
}

/// What became of one layer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LayerReport {
    /// The layer's name, in snake case: `no_new_privs`, `landlock`, `seccomp`, and so on.
    #[prost(string, tag = "1")]
    pub name: String,
    /// It is in force.
    #[prost(bool, tag = "2")]
    pub active: bool,
    /// A version, a count, or why it is not in force.
    #[prost(string, tag = "3")]
    pub detail: String,
}

/// A zygote's answer to [`Start`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct ZygoteReady {
    /// The worker's own [`crate::PROTOCOL_VERSION`].
    #[prost(uint32, tag = "1")]
    pub protocol_version: u32,
    /// V8's version.
    #[prost(string, tag = "2")]
    pub v8_version: String,
    /// What became of each layer of the sandbox.
    #[prost(message, repeated, tag = "3")]
    pub layers: Vec<LayerReport>,
    /// The layers in force, as bits of [`layer`].
    #[prost(uint32, tag = "4")]
    pub layers_active: u32,
    /// The huge pages of the program's constants that the warm-up used, by their addresses.
    #[prost(uint64, repeated, tag = "5")]
    pub constants_used: Vec<u64>,
    /// The flags that V8 was started with.
    #[prost(string, tag = "6")]
    pub v8_flags: String,
    /// What the CPU must be able to do.
    #[prost(string, tag = "7")]
    pub cpu_baseline: String,
}

/// Why a zygote did not start or fork.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ZygoteFailed {
    /// The reason, for the node's log.
    #[prost(string, tag = "1")]
    pub reason: String,
}

/// A child waits for its frame. The kernel adds the sender's process id to this message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChildReady {}

/// The language of a run's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Language {
    /// JavaScript; code that is none is tried as TypeScript.
    Auto = 0,
    /// JavaScript.
    JavaScript = 1,
    /// TypeScript: types are removed before the run.
    TypeScript = 2,
}

/// Code to evaluate and the bounds to keep.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Run {
    /// Seeds `Math.random` (32 bytes).
    #[prost(bytes = "vec", tag = "2")]
    pub seed: Vec<u8>,
    /// The source text.
    #[prost(string, tag = "3")]
    pub code: String,
    /// The source's [`Language`].
    #[prost(enumeration = "Language", tag = "4")]
    pub language: i32,
    /// The global `input`, as JSON; `None` leaves it undefined.
    #[prost(string, optional, tag = "5")]
    pub input_json: Option<String>,
    /// The run's bounds; the wall clock is kept by the node.
    #[prost(message, optional, tag = "6")]
    pub limits: Option<Limits>,
    /// A clock that depends on nothing but how often it is read; `None` is the real one.
    #[prost(message, optional, tag = "7")]
    pub virtual_clock: Option<VirtualClock>,
    /// Runs nothing, and tells what the world has by name.
    #[prost(bool, tag = "8")]
    pub globals: bool,
}

/// Clocks that go on by one step with each reading, so that two runs of the same code read the same.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct VirtualClock {
    /// The wall clock's first reading, in nanoseconds since 1970.
    #[prost(int64, tag = "1")]
    pub realtime_ns: i64,
    /// From one reading to the next, in nanoseconds.
    #[prost(int64, tag = "2")]
    pub step_ns: i64,
}

/// A run's bounds inside the worker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Limits {
    /// The JavaScript heap.
    #[prost(uint64, tag = "1")]
    pub heap_bytes: u64,
    /// All ArrayBuffers together.
    #[prost(uint64, tag = "2")]
    pub array_buffer_bytes: u64,
    /// The stack of JavaScript calls.
    #[prost(uint64, tag = "3")]
    pub stack_bytes: u64,
    /// The rendered result: `result_json` and `result_text` each.
    #[prost(uint64, tag = "4")]
    pub result_bytes: u64,
}

/// Lines of the console, in the order printed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Console {
    /// The lines.
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<ConsoleLine>,
}

/// One call of a console method.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConsoleLine {
    /// The call's [`ConsoleLevel`].
    #[prost(enumeration = "ConsoleLevel", tag = "1")]
    pub level: i32,
    /// The formatted text, without a line break at its end.
    #[prost(string, tag = "2")]
    pub text: String,
}

/// The level of a console line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ConsoleLevel {
    /// `console.log`.
    Log = 0,
    /// `console.debug` and `console.trace`.
    Debug = 1,
    /// `console.info`.
    Info = 2,
    /// `console.warn`.
    Warn = 3,
    /// `console.error` and a failed `console.assert`.
    Error = 4,
}

/// The end of a run that the worker lived to report.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Done {
    /// The value as JSON, when it has one.
    #[prost(string, optional, tag = "1")]
    pub result_json: Option<String>,
    /// What a console would print for the value.
    #[prost(string, tag = "2")]
    pub result_text: String,
    /// The error that ended the script; a run without one succeeded.
    #[prost(message, optional, tag = "3")]
    pub error: Option<ScriptError>,
    /// What the caller should know though the run succeeded.
    #[prost(string, repeated, tag = "4")]
    pub warnings: Vec<String>,
    /// `result_json` is missing or `result_text` is cut because of [`Limits::result_bytes`].
    #[prost(bool, tag = "5")]
    pub result_truncated: bool,
    /// The length of `result_text` before it was cut.
    #[prost(uint64, tag = "6")]
    pub result_text_bytes: u64,
    /// What the world has by name, when that was asked.
    #[prost(message, repeated, tag = "7")]
    pub globals: Vec<Global>,
    /// It was asked, and understood: an older worker does not know the question.
    #[prost(bool, tag = "8")]
    pub globals_told: bool,
}

/// A name of a world, and what stands behind it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Global {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The beginning of its value's text.
    #[prost(string, tag = "2")]
    pub text: String,
    /// The length of the whole text, in bytes.
    #[prost(uint64, tag = "3")]
    pub text_bytes: u64,
    /// A hash of the whole text.
    #[prost(bytes = "vec", tag = "4")]
    pub hash: Vec<u8>,
}

/// Which kind of failure a [`ScriptError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ErrorKind {
    /// The script threw, or left a rejection unhandled.
    Thrown = 0,
    /// The code can't be parsed.
    Syntax = 1,
    /// The result is pending and nothing is left that could settle it.
    NeverSettles = 2,
    /// An uncaught stack overflow.
    StackOverflow = 3,
    /// An uncaught failure to allocate an ArrayBuffer within the limit.
    ArrayBufferLimit = 4,
    /// The result is over [`Limits::result_bytes`] and can't be cut.
    ResultLimit = 5,
    /// The code imports or exports modules.
    ModulesUnsupported = 6,
    /// Rendering the result threw.
    ResultUnrenderable = 7,
}

/// An error of the script, with positions in the user's own source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScriptError {
    /// The [`ErrorKind`].
    #[prost(enumeration = "ErrorKind", tag = "1")]
    pub kind: i32,
    /// The error's `name`, or `Error` for a thrown value that is none.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The error's `message`, or the thrown value as text.
    #[prost(string, tag = "3")]
    pub message: String,
    /// The stack, if there is one.
    #[prost(string, tag = "4")]
    pub stack: String,
    /// The line, from 1; 0 is unknown.
    #[prost(uint32, tag = "5")]
    pub line: u32,
    /// The column, from 1; 0 is unknown.
    #[prost(uint32, tag = "6")]
    pub column: u32,
}

/// Why a worker ends in the middle of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum FatalKind {
    /// V8 or the worker met a state that it can't go on from.
    Internal = 0,
    /// The JavaScript heap is over [`Limits::heap_bytes`].
    HeapLimit = 1,
    /// The address space or the kernel gave no more memory.
    OutOfMemory = 2,
}

/// The last frame of a worker that can't go on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Fatal {
    /// The [`FatalKind`].
    #[prost(enumeration = "FatalKind", tag = "1")]
    pub kind: i32,
    /// V8's words, for the log and the answer.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Something that the sandbox forbids. The kernel's answer shows which layer stood in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ProbeKind {
    /// Open `/etc/passwd`.
    OpenFile = 0,
    /// Make a file in `/tmp`.
    CreateFile = 1,
    /// Connect to a TCP port on loopback.
    Connect = 2,
    /// Fork.
    Fork = 3,
    /// Attach to the node by ptrace.
    Ptrace = 4,
    /// Read the node's `/proc/PID/environ`.
    ReadNodeProc = 5,
    /// Signal the node (signal 0: nothing is delivered).
    SignalNode = 6,
    /// Execute a program.
    Exec = 7,
    /// Map memory that is shared.
    MapShared = 8,
    /// Make an anonymous file.
    MemfdCreate = 9,
    /// Raise a resource limit.
    RaiseLimit = 10,
    /// Count the descriptors that are open, and the variables of the environment.
    CountInherited = 11,
    /// Make itself undumpable.
    Undumpable = 12,
}

/// Try something that the sandbox forbids.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Probe {
    /// The [`ProbeKind`].
    #[prost(enumeration = "ProbeKind", tag = "1")]
    pub kind: i32,
    /// The node's process id.
    #[prost(uint32, tag = "2")]
    pub node_pid: u32,
}

/// What the kernel answered to a probe.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProbeDone {
    /// The system call's result, or a negated `errno`.
    #[prost(int64, tag = "1")]
    pub result: i64,
}
