use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::admin::AdminArgs;
use super::server::Server;
use super::tag::TagArgs;
use super::task::TaskArgs;
use crate::config::{SandboxMode, Settings};
use crate::service::run::Language;
use crate::wire::LanguageName;

const EXAMPLES: &str = "\
Examples:
  Serve the HTTP API and MCP on port 8080, and run code on it:
    mcp-v8 --http-port 8080
    curl -X POST localhost:8080/api/exec -H 'Content-Type: application/json' -d '{\"code\":\"1 + 2\"}'
  Speak MCP on the standard streams, as a desktop client starts it:
    mcp-v8
  Serve to other machines, under the name that they use:
    mcp-v8 --http-port 8080 --bind-host 0.0.0.0 --allowed-hosts js.example.com
  Shorter runs with smaller heaps, from a file and from the environment:
    printf 'timeout-secs = 5\\nheap-mb = 32\\n' > mcp-v8.toml && mcp-v8 --config mcp-v8.toml
    MCP_V8_HTTP_PORT=8080 MCP_V8_TIMEOUT_SECS=5 mcp-v8
  Run code without a server:
    mcp-v8 exec '[3, 1, 2].sort()'

Where a setting comes from, the first that speaks: the flag, its variable, the
file of --config (its keys are the flags without the dashes), the default.
`mcp-v8 exec --help` tells how to run code.";

/// Runs JavaScript and TypeScript in sandboxed V8 processes, for AI agents over MCP and for
/// anything over HTTP.
///
/// Every execution gets a process of its own that is forked from a warm one, bounded in time and
/// memory, without network, files or environment, and gone when it ends.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-v8",
    version,
    after_help = "`mcp-v8 --help` tells more, with examples.",
    after_long_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_help_heading = "Commands (without one: serve)"
)]
pub struct Cli {
    #[command(flatten)]
    pub serve: ServeArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: the same as without a command
    #[command(after_long_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Run code and print what comes of it
    Exec(Box<ExecArgs>),
    /// Try what the sandbox must stop, from inside, and tell which layer stopped it
    Sandbox(SandboxArgs),
    /// Ask a server whether it takes work (ends with 0 if so)
    Health(HealthArgs),
    /// Tell what the workers of this program are: their engine, its V8, what it asks of the CPU
    Engine(EngineArgs),
    /// Look into images of sessions, and run code from one
    #[command(subcommand)]
    Image(ImageArgs),
    /// Look after sessions: their history, copies of them, ways back
    Session(Box<SessionArgs>),
    /// Names with small values that all nodes share, and names for heaps
    Tag(TagArgs),
    /// Make tasks and look after them: code that runs whatever becomes of nodes
    Task(Box<TaskArgs>),
    /// Look after a cluster: its members, its leader, its state
    Admin(Box<AdminArgs>),
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// File with settings, in TOML: a flag's name without its dashes is its key
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
}

/// What to run, and where.
///
/// The console's lines and then the result go to the standard output, an error goes to the standard
/// error stream.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mcp-v8 exec '1 + 2'
  mcp-v8 exec script.ts
  echo 'input.length' | mcp-v8 exec - --input '[1, 2, 3]'
  mcp-v8 exec --url http://localhost:8080 'await new Promise(done => setTimeout(done, 100, \"late\"))'
  mcp-v8 exec --json --timeout-secs 1 'for (;;);' | jq .error.code

Ends with 0 when the execution completed, 1 when the script failed, 2 when the
command line is wrong, 3 when the code could not be run, 124 when it timed out,
130 when it was cancelled, 137 when it was out of memory, 139 when its process
died.")]
pub struct ExecArgs {
    /// Code, or the name of a file with code, or - for the standard input
    #[arg(value_name = "CODE|FILE|-", allow_hyphen_values = true)]
    pub source: String,
    /// Run it on the server at this URL instead of in a process of this program's own
    #[arg(long, env = "MCP_V8_URL", value_name = "URL")]
    pub url: Option<String>,
    /// Print the whole execution as JSON and nothing else
    #[arg(long)]
    pub json: bool,
    /// Language of the code; auto is that of the file's name, else JavaScript, then TypeScript
    #[arg(long, value_enum, default_value_t = LanguageArg::Auto)]
    pub language: LanguageArg,
    /// Value of the global `input`, as JSON
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// How much of the sandbox must hold, without --url
    #[arg(long, value_enum, value_name = "MODE", default_value_t = SandboxMode::Auto)]
    pub sandbox: SandboxMode,
}

/// The limits of this one execution.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Wall clock, in seconds
    #[arg(long, value_name = "SECONDS", help_heading = "Limits")]
    pub timeout_secs: Option<u64>,
    /// JavaScript heap, in MiB
    #[arg(long, value_name = "MIB", help_heading = "Limits")]
    pub heap_mb: Option<u64>,
    /// ArrayBuffers together, in MiB
    #[arg(long, value_name = "MIB", help_heading = "Limits")]
    pub array_buffer_mb: Option<u64>,
    /// Memory of the process beyond what it shares, in MiB
    #[arg(long, value_name = "MIB", help_heading = "Limits")]
    pub memory_mb: Option<u64>,
    /// Stack of JavaScript calls, in KiB
    #[arg(long, value_name = "KIB", help_heading = "Limits")]
    pub stack_kb: Option<u64>,
    /// Largest result, in bytes
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    pub result_bytes: Option<u64>,
    /// Console output that is kept, in bytes
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    pub output_bytes: Option<u64>,
}

/// The language of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LanguageArg {
    /// By the file's name, else what the code is
    Auto,
    /// JavaScript
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    /// TypeScript
    #[value(name = "typescript", alias = "ts")]
    TypeScript,
}

impl From<LanguageArg> for LanguageName {
    fn from(language: LanguageArg) -> Self {
        match language {
            LanguageArg::Auto => Self::Auto,
            LanguageArg::JavaScript => Self::JavaScript,
            LanguageArg::TypeScript => Self::TypeScript,
        }
    }
}

impl From<LanguageArg> for Language {
    fn from(language: LanguageArg) -> Self {
        match language {
            LanguageArg::Auto => Self::Auto,
            LanguageArg::JavaScript => Self::JavaScript,
            LanguageArg::TypeScript => Self::TypeScript,
        }
    }
}

/// How to try the sandbox.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// How much of the sandbox must hold
    #[arg(long, value_enum, value_name = "MODE", default_value_t = SandboxMode::Auto)]
    pub sandbox: SandboxMode,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// How to tell of the engine.
///
/// Ends with 1 when this CPU lacks something of the engine's baseline.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Tell of the engine in this file instead
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Make another engine: this one with more flags of V8, such as `--no-opt`
    #[arg(
        long,
        value_name = "FLAGS",
        allow_hyphen_values = true,
        conflicts_with = "file"
    )]
    pub v8_flags: Option<String>,
    /// Write the engine into a new file, for `--engine-file` of a node
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// Which server, and what to do there.
#[derive(Debug, Args)]
pub struct SessionArgs {
    #[command(flatten)]
    pub server: Server,
    #[command(subcommand)]
    pub command: SessionCommand,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Which there are, in the order of their names
    List {
        /// Only those whose names begin so
        #[arg(value_name = "PREFIX", default_value = "")]
        prefix: String,
    },
    /// Where one stands
    Show {
        #[arg(value_name = "SESSION")]
        session: String,
    },
    /// Its newest runs, with their code and how they ended
    Log {
        #[arg(value_name = "SESSION")]
        session: String,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Which names stand for other values in two of its states
    Diff {
        #[arg(value_name = "SESSION")]
        session: String,
        /// The first: head, a heap, or the number of a run [default: where the second began]
        #[arg(long, value_name = "POINT")]
        from: Option<String>,
        /// The second
        #[arg(long, value_name = "POINT", default_value = "head")]
        to: String,
    },
    /// Make one that begins where another stands, or stood
    Fork {
        #[arg(value_name = "SESSION")]
        session: String,
        /// Its name
        #[arg(value_name = "NEW")]
        name: String,
        #[command(flatten)]
        point: PointArgs,
    },
    /// Go back to an earlier state
    Reset {
        #[arg(value_name = "SESSION")]
        session: String,
        #[command(flatten)]
        point: PointArgs,
    },
    /// Give one another name
    Rename {
        #[arg(value_name = "SESSION")]
        session: String,
        #[arg(value_name = "NEW")]
        name: String,
        /// Delete the session that has the name
        #[arg(long)]
        replace: bool,
    },
    /// Delete one
    Delete {
        #[arg(value_name = "SESSION")]
        session: String,
    },
    /// Bring one into the engine of the server's version, by running all of its code again
    ///
    /// Runs that say something else than they said keep the session as it is: such as read a clock, draw random
    /// numbers or had an `input`, which is not kept. Ends with 1 then.
    Migrate {
        #[arg(value_name = "SESSION")]
        session: String,
        /// Also with differences, and also into the engine that it lives in
        #[arg(long)]
        force: bool,
    },
    /// Write one into a new file, with all that led to where it stands
    Export {
        #[arg(value_name = "SESSION")]
        session: String,
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// With its engine, for a cluster of another version
        #[arg(long)]
        engine: bool,
    },
    /// Make one of a file
    Import {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Its name
        #[arg(value_name = "SESSION")]
        session: String,
    },
}

/// A point of a session's history.
#[derive(Debug, Args)]
pub struct PointArgs {
    /// After so many of its runs; 0 is before the first
    #[arg(long, value_name = "N", conflicts_with = "heap")]
    pub commit: Option<u64>,
    /// This heap
    #[arg(long, value_name = "HEAP")]
    pub heap: Option<String>,
}

/// What to do with an image.
#[derive(Debug, Subcommand)]
pub enum ImageArgs {
    /// Print what an image holds, and how it differs from another
    Inspect(ImageInspectArgs),
    /// Run code in a session that begins with an image, and write what it has become
    Run(Box<ImageRunArgs>),
}

/// Which image to look into.
///
/// Ends with 1 when an image is refused.
#[derive(Debug, Args)]
pub struct ImageInspectArgs {
    /// Image; `base` is the one that every session of this program begins with
    #[arg(value_name = "FILE|base")]
    pub file: PathBuf,
    /// Image to compare it with
    #[arg(long, value_name = "FILE|base", default_value = "base")]
    pub against: PathBuf,
    /// How many of the pages that differ to list, the largest changes first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// What to run, and from where.
#[derive(Debug, Args)]
pub struct ImageRunArgs {
    /// Code
    #[arg(value_name = "CODE", allow_hyphen_values = true)]
    pub code: String,
    /// Image to begin with
    #[arg(long, value_name = "FILE|base", default_value = "base")]
    pub from: PathBuf,
    /// File for the image of what the session has become; it must not exist
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// Whom to ask.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where the server is [default: as the one that runs on this machine was told]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}
