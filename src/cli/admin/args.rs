use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::CredentialSource;

/// What an operator wants of a cluster.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mcp-v8 admin status
  mcp-v8 admin --endpoints n1:7000,n2:7000,n3:7000 members
  mcp-v8 admin members remove n3 --drain
  mcp-v8 admin -o json hash

Any node of the cluster will do as an endpoint: it passes a command on to the
leader, or to the node that is meant. A command ends when its change is in
force, and can be given again without harm.

Ends with 0 when all is well, 1 when the cluster refuses or is not well, 2 when
the command line is wrong, 3 when no endpoint answers, 124 when the change is
not in force in time (it may still come).")]
pub struct AdminArgs {
    /// Cluster ports of some nodes, comma-separated; the first that answers is asked [default: the node of
    /// --directory-path, else 127.0.0.1:7000]
    #[arg(
        long,
        env = "MCP_V8_ENDPOINTS",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        global = true
    )]
    pub endpoints: Vec<String>,
    /// Data directory of a node of this machine, whose socket needs no secret
    #[arg(
        long,
        env = "MCP_V8_DIRECTORY_PATH",
        value_name = "PATH",
        global = true
    )]
    pub directory_path: Option<PathBuf>,
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// Form of what is printed
    #[arg(long, short, value_enum, value_name = "FORM", default_value_t = Form::Table, global = true)]
    pub output: Form,
    /// How long to wait until a change is in force, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, global = true)]
    pub timeout_secs: u64,
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// What a node of the cluster has to be shown.
#[derive(Debug, Args)]
pub struct CredentialArgs {
    /// The cluster secret; the environment or a file is better, other users see a command line
    #[arg(
        long,
        env = "MCP_V8_CLUSTER_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        global = true
    )]
    cluster_secret: Option<String>,
    /// File that holds the cluster secret
    #[arg(
        long,
        env = "MCP_V8_CLUSTER_SECRET_FILE",
        value_name = "FILE",
        global = true
    )]
    cluster_secret_file: Option<PathBuf>,
    /// Certificates of the CA that signs all nodes and operators, in PEM
    #[arg(
        long,
        env = "MCP_V8_CLUSTER_TLS_CA",
        value_name = "FILE",
        global = true
    )]
    cluster_tls_ca: Option<PathBuf>,
    /// The operator's certificate, in PEM
    #[arg(
        long,
        env = "MCP_V8_CLUSTER_TLS_CERT",
        value_name = "FILE",
        global = true
    )]
    cluster_tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM
    #[arg(
        long,
        env = "MCP_V8_CLUSTER_TLS_KEY",
        value_name = "FILE",
        global = true
    )]
    cluster_tls_key: Option<PathBuf>,
    /// Name that all nodes' certificates carry [default: the host of each endpoint]
    #[arg(
        long,
        env = "MCP_V8_CLUSTER_TLS_DOMAIN",
        value_name = "NAME",
        global = true
    )]
    cluster_tls_domain: Option<String>,
}

impl From<&CredentialArgs> for CredentialSource {
    fn from(args: &CredentialArgs) -> Self {
        // An empty variable counts as none, as for the server.
        let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let file = |value: &Option<PathBuf>| value.clone().filter(|it| !it.as_os_str().is_empty());
        Self {
            secret: text(&args.cluster_secret),
            secret_file: file(&args.cluster_secret_file),
            tls_ca: file(&args.cluster_tls_ca),
            tls_cert: file(&args.cluster_tls_cert),
            tls_key: file(&args.cluster_tls_key),
            tls_domain: text(&args.cluster_tls_domain),
        }
    }
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    Table,
    /// For programs: one JSON object
    Json,
}

/// What to do. A member is named by its name or its id.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// What each node knows of itself and of the cluster; works without a quorum too
    Status,
    /// The members, and how they come and go [default: list]
    Members {
        #[command(subcommand)]
        command: Option<MembersCommand>,
    },
    /// Hand the lead to another voter
    TransferLeader {
        /// Who is to lead [default: the voter that has most of the log]
        #[arg(value_name = "MEMBER")]
        to: Option<String>,
    },
    /// Keep new work away from a node, and wait until what it runs has ended
    Drain {
        #[arg(value_name = "MEMBER")]
        member: String,
        /// Do not wait
        #[arg(long)]
        no_wait: bool,
    },
    /// Let a node take work again
    Undrain {
        #[arg(value_name = "MEMBER")]
        member: String,
    },
    /// Have a node take a snapshot of its state now
    Snapshot {
        /// Which [default: the one that answers]
        #[arg(value_name = "MEMBER")]
        member: Option<String>,
    },
    /// Have a node let go of the log behind its last snapshot
    Purge {
        /// Which [default: the one that answers]
        #[arg(value_name = "MEMBER")]
        member: Option<String>,
    },
    /// Give the room back to the disk that the state of a node has left behind; it goes on meanwhile
    Compact {
        /// Which [default: the one that answers]
        #[arg(value_name = "MEMBER")]
        member: Option<String>,
    },
    /// How much there is of everything: sessions, heaps, tasks, tags, blobs
    Contents,
    /// The blobs, as each node has them: copies, what is missing, damaged or needless [default: as they are]
    Blobs {
        #[command(subcommand)]
        command: Option<BlobsCommand>,
    },
    /// What stands in the log of a node that does not run
    Log(LogArgs),
    /// The hash of each node's state at one index; ends with 1 when they differ
    Hash {
        /// Compute them anew from what is on the disks, each at its own index
        #[arg(long)]
        scan: bool,
    },
    /// The engines that sessions live in [default: list]
    Engines {
        #[command(subcommand)]
        command: Option<EnginesCommand>,
    },
    /// The whole cluster in one file
    Backup {
        #[command(subcommand)]
        command: BackupCommand,
    },
    /// A new cluster from one node of another that has lost its majority for good; loses what only others had
    UnsafeRecover(RecoverArgs),
    /// Tries of the cluster
    Check {
        #[command(subcommand)]
        command: CheckCommand,
    },
}

/// How members come and go.
#[derive(Debug, Subcommand)]
pub enum MembersCommand {
    /// Who belongs to the cluster
    List,
    /// Let in the empty node that waits at an address, started with --standby
    Add {
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// It stays without a vote
        #[arg(long)]
        learner: bool,
        /// Do not wait until it has caught up
        #[arg(long)]
        no_wait: bool,
    },
    /// Wait until a member has caught up, and has its vote
    Wait {
        #[arg(value_name = "MEMBER")]
        member: String,
        /// Without a vote is enough
        #[arg(long)]
        learner: bool,
    },
    /// Give a learner a vote, once it has caught up
    Promote {
        #[arg(value_name = "MEMBER")]
        member: String,
    },
    /// Take a member's vote; it follows on
    Demote {
        #[arg(value_name = "MEMBER")]
        member: String,
        /// Also when too few of the others answer
        #[arg(long)]
        force: bool,
    },
    /// Remove a member for good
    Remove {
        #[arg(value_name = "MEMBER")]
        member: String,
        /// First wait until what it runs has ended
        #[arg(long)]
        drain: bool,
        /// Also when too few of the others answer
        #[arg(long)]
        force: bool,
    },
    /// Make room for a new node of the same name, whose directory is lost
    Replace {
        #[arg(value_name = "MEMBER")]
        member: String,
        /// Also when it seems to live, or too few of the others answer
        #[arg(long)]
        force: bool,
    },
}

/// What to do with a backup.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Write a new one, of a cluster that runs
    Save {
        #[arg(value_name = "FILE", required_unless_present = "into")]
        file: Option<PathBuf>,
        /// Beside others in this directory, which have their blobs in common: only what is new is taken
        #[arg(long, value_name = "DIRECTORY", conflicts_with = "file")]
        into: Option<PathBuf>,
        /// Then keep so many there, the newest
        #[arg(long, value_name = "N", requires = "into", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
        keep: Option<usize>,
    },
    /// Read all of one, and tell what it holds; ends with 1 when it is damaged
    Verify {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make an empty directory that of a new cluster's first node; others join it
    Restore {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The directory, for --directory-path of the node
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
        /// The node's name [default: a random one]
        #[arg(long, value_name = "NAME")]
        node_id: Option<String>,
    },
}

/// What is left of a cluster, and what is to begin with it.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// The directory of a node of the lost cluster, which does not run; it stays as it is
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// A new directory, for --directory-path of the first node of the new cluster
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// That node's name [default: a random one]
    #[arg(long, value_name = "NAME")]
    pub node_id: Option<String>,
    /// That the other nodes are gone for good, which nobody but you can know
    #[arg(long)]
    pub i_know_that_the_majority_is_lost: bool,
}

/// What to do with blobs.
#[derive(Debug, Subcommand)]
pub enum BlobsCommand {
    /// Have each node read its copies first, fetch what is missing, and remove what nothing needs
    Check,
}

/// Whose log, and which part.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// The node's data directory
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    /// From this index on
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub from: u64,
    /// Up to this index
    #[arg(long, value_name = "INDEX")]
    pub to: Option<u64>,
    /// With all that the commands say: code and values of users too
    #[arg(long)]
    pub values: bool,
}

/// What may run in an engine. It is named by its id, or the beginning of it.
#[derive(Debug, Subcommand)]
pub enum EnginesCommand {
    /// Which there are, and what hangs on each
    List,
    /// New sessions may begin in it
    Allow {
        #[arg(value_name = "ENGINE")]
        engine: String,
    },
    /// No new sessions begin in it; those that there are go on
    Forbid {
        #[arg(value_name = "ENGINE")]
        engine: String,
    },
    /// No session runs in it any more, for good
    Retire {
        #[arg(value_name = "ENGINE")]
        engine: String,
        /// Also when sessions live in it, which can't be used then
        #[arg(long)]
        force: bool,
    },
}

/// What to try.
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Write tags for some seconds, and tell how fast that went; they are removed again
    Perf {
        /// How long
        #[arg(long, value_name = "SECONDS", default_value_t = 5)]
        seconds: u64,
        /// Writers at the same time
        #[arg(long, value_name = "N", default_value_t = 16)]
        clients: usize,
    },
}
