use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::{LogFormat, S3Durability, SandboxMode};

/// Writes the struct of all settings and the one function that must know every field.
macro_rules! settings {
    ($($(#[$meta:meta])* $field:ident: $kind:ty,)*) => {
        /// What a source of configuration (flags and environment, or the file) says; `None` is silence.
        ///
        /// The names of the flags, of the environment's variables (`MCP_V8_…`) and of the file's keys
        /// all come from these fields.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Settings {
            $($(#[$meta])* pub $field: Option<$kind>,)*
        }

        impl Settings {
            /// These settings, and where they are silent those of `other`.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)* }
            }
        }
    };
}

settings! {
    /// Port of the HTTP API and of MCP (/mcp); 0 takes a free one
    ///
    /// Without this and without --sse-port the program speaks MCP on its standard streams. PORT in the
    /// environment means the same.
    #[arg(long, value_name = "PORT", help_heading = "Listening")]
    http_port: u16,
    /// Port of the old MCP transport (/sse and /message); must differ from --http-port
    #[arg(long, value_name = "PORT", help_heading = "Listening")]
    sse_port: u16,
    /// Address to listen on; 0.0.0.0 is every IPv4 address of this machine [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Listening")]
    bind_host: IpAddr,
    /// Names allowed in a request's Host beside the loopback ones, comma-separated; * allows all
    ///
    /// This stops DNS rebinding: a web page that lets its own name point to this server is refused.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Listening")]
    allowed_hosts: Vec<String>,
    /// Origins of web pages that may call, such as `https://app.example.com`, comma-separated; * allows all
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',', help_heading = "Listening")]
    allowed_origins: Vec<String>,
    /// Largest request body, in bytes [default: 4194304]
    #[arg(long, value_name = "BYTES", help_heading = "Listening")]
    body_bytes_max: u64,

    /// Directory of everything that this node keeps; without it, it keeps things while it runs
    #[arg(long, value_name = "PATH", help_heading = "Cluster")]
    directory_path: PathBuf,
    /// This node's name in its cluster, the same for as long as its directory lives
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    node_id: String,
    /// Address to listen on for other nodes, for `mcp-v8 admin` and for gRPC clients
    ///
    /// Without --cluster-secret and --cluster-tls-* only a loopback address is taken.
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Cluster")]
    cluster_addr: SocketAddr,
    /// Where other nodes reach this one [default: as --peers has it, else --cluster-addr]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Cluster")]
    advertise_addr: String,
    /// The nodes that form a new cluster, this one among them, comma-separated
    #[arg(long, value_name = "NAME=HOST:PORT", value_delimiter = ',', help_heading = "Cluster")]
    peers: Vec<String>,
    /// Members of a cluster that this node joins, comma-separated
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', help_heading = "Cluster")]
    join: Vec<String>,
    /// Wait, empty, until `mcp-v8 admin members add` lets this node in
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "Cluster"
    )]
    standby: bool,
    /// Follow the cluster without a vote until `mcp-v8 admin members promote`
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "Cluster"
    )]
    learner: bool,
    /// What all nodes and operators of a cluster share; 16 bytes at least
    ///
    /// The environment or --cluster-secret-file is better: other users see a command line.
    #[arg(long, value_name = "SECRET", hide_env_values = true, help_heading = "Cluster")]
    cluster_secret: String,
    /// File that holds the cluster secret
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    cluster_secret_file: PathBuf,
    /// Certificates of the CA that signs all nodes and operators, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    cluster_tls_ca: PathBuf,
    /// This node's certificate, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    cluster_tls_cert: PathBuf,
    /// The private key of that certificate, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    cluster_tls_key: PathBuf,
    /// Name that all nodes' certificates carry [default: the host in each node's address]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    cluster_tls_domain: String,
    /// How often a leader tells that it lives, in milliseconds [default: 100]
    #[arg(long, value_name = "MS", help_heading = "Cluster")]
    heartbeat_ms: u64,
    /// Shortest wait of a follower before it wants to lead, in milliseconds [default: 300]
    #[arg(long, value_name = "MS", help_heading = "Cluster")]
    election_ms_min: u64,
    /// Longest such wait, and the leader's lease before it, in milliseconds [default: 600]
    #[arg(long, value_name = "MS", help_heading = "Cluster")]
    election_ms_max: u64,
    /// How long a node may be silent before its executions count as lost, in seconds [default: 5]
    #[arg(long, value_name = "SECONDS", help_heading = "Cluster")]
    node_lease_secs: u64,
    /// Log since the last snapshot that is worth a new one, in bytes [default: 268435456]
    ///
    /// A snapshot is taken when the log has more bytes than this and than the state.
    #[arg(long, value_name = "BYTES", help_heading = "Cluster")]
    snapshot_log_bytes: u64,

    /// S3 bucket that keeps everything: blobs, and the log and snapshots of the cluster
    ///
    /// Credentials, region and endpoint come from where the tools of AWS look for them (AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, AWS_S3_FORCE_PATH_STYLE and others). A node then keeps
    /// only copies, and a cluster that has lost every node comes back from the bucket.
    #[arg(long, value_name = "NAME", help_heading = "Storage")]
    s3_bucket: String,
    /// What the keys of all objects begin with; clusters that share a bucket need different ones
    #[arg(long, value_name = "PREFIX", help_heading = "Storage")]
    s3_prefix: String,
    /// How often what is new goes to the bucket, in milliseconds: what may be lost with all nodes
    /// [default: 1000]
    #[arg(long, value_name = "MS", help_heading = "Storage")]
    s3_archive_ms: u64,
    /// When a write is answered: `period`, when a majority of the nodes has it; `commit`, when it is in the bucket
    /// too, so that nothing is lost with all nodes. The same on all nodes [default: period]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Storage", hide_possible_values = true)]
    s3_durability: S3Durability,
    /// Directory of this node's copies of what is in the bucket [default: in --directory-path]
    #[arg(long, value_name = "PATH", help_heading = "Storage")]
    cache_dir: PathBuf,
    /// What these copies may take, in MiB; those unused for longest go first [default: 8192]
    #[arg(long, value_name = "MIB", help_heading = "Storage")]
    cache_mb_max: u64,
    /// How often a node reads its copies of blobs and fetches those that are missing, in seconds
    /// [default: 3600]
    #[arg(long, value_name = "SECONDS", help_heading = "Storage")]
    blob_check_secs: u64,

    /// Directory of backups that the node takes while it leads its cluster
    ///
    /// On all nodes: whoever leads takes them. `mcp-v8 admin backup` verifies and restores them.
    #[arg(long, value_name = "PATH", help_heading = "Storage")]
    backup_dir: PathBuf,
    /// How often, in seconds [default: 86400]
    #[arg(long, value_name = "SECONDS", help_heading = "Storage")]
    backup_secs: u64,
    /// How many are kept; the oldest goes first [default: 7]
    #[arg(long, value_name = "N", help_heading = "Storage")]
    backup_count: usize,
    /// They have their blobs in common, in `blobs` beside them: each takes only what is new
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "Storage"
    )]
    backup_incremental: bool,

    /// Run code without sessions: a request that names one is refused
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "Executions"
    )]
    stateless: bool,
    /// Executions that run at the same time [default: what memory and processors allow]
    ///
    /// The default is the memory that this process may use (of its cgroups and of the machine, the
    /// smallest), less a reserve for the node, divided by --memory-mb; at most 32 for each processor. A
    /// number that can't fit is refused at start.
    #[arg(long, value_name = "N", alias = "max-concurrent-executions", help_heading = "Executions")]
    #[serde(alias = "max-concurrent-executions")]
    runs_max: usize,
    /// Processes forked ahead of the requests [default: 4 for each processor, at most --runs-max]
    #[arg(long, value_name = "N", help_heading = "Executions")]
    runs_ready: usize,
    /// Executions that may wait for a place; one more is answered with 429 [default: 256]
    #[arg(long, value_name = "N", help_heading = "Executions")]
    queue_max: usize,
    /// Executions that are remembered, the unfinished ones among them [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Executions")]
    executions_max: usize,
    /// How long a finished execution is remembered, in seconds [default: 3600]
    #[arg(long, value_name = "SECONDS", help_heading = "Executions")]
    execution_ttl_secs: u64,
    /// How long a retry with an idempotency key gets the first reply, in seconds [default: 3600]
    #[arg(long, value_name = "SECONDS", help_heading = "Executions")]
    idempotency_ttl_secs: u64,
    /// Results and output of all remembered executions together, in bytes
    /// [default: an eighth of the memory, from one execution's maximum to 268435456]
    #[arg(long, value_name = "BYTES", help_heading = "Executions")]
    kept_bytes_max: u64,

    /// Wall clock of a run, in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", alias = "execution-timeout", help_heading = "Limits of a run")]
    #[serde(alias = "execution-timeout")]
    timeout_secs: u64,
    /// Most that a request may ask for, in seconds [default: 300]
    #[arg(long, value_name = "SECONDS", help_heading = "Limits of a run")]
    timeout_secs_max: u64,
    /// JavaScript heap of a run, in MiB [default: 64]
    #[arg(long, value_name = "MIB", alias = "heap-memory-max", help_heading = "Limits of a run")]
    #[serde(alias = "heap-memory-max")]
    heap_mb: u64,
    /// Most that a request may ask for, in MiB [default: 512]
    #[arg(long, value_name = "MIB", help_heading = "Limits of a run")]
    heap_mb_max: u64,
    /// ArrayBuffers of a run together, in MiB [default: 64]
    #[arg(long, value_name = "MIB", help_heading = "Limits of a run")]
    array_buffer_mb: u64,
    /// Most that a request may ask for, in MiB [default: 512]
    #[arg(long, value_name = "MIB", help_heading = "Limits of a run")]
    array_buffer_mb_max: u64,
    /// Memory of a run's process beyond what it shares with the others, in MiB [default: 256]
    #[arg(long, value_name = "MIB", help_heading = "Limits of a run")]
    memory_mb: u64,
    /// Most that a request may ask for, in MiB [default: 1024]
    #[arg(long, value_name = "MIB", help_heading = "Limits of a run")]
    memory_mb_max: u64,
    /// Stack of JavaScript calls, in KiB [default: 984]
    #[arg(long, value_name = "KIB", help_heading = "Limits of a run")]
    stack_kb: u64,
    /// Most that a request may ask for, in KiB [default: 8192]
    #[arg(long, value_name = "KIB", help_heading = "Limits of a run")]
    stack_kb_max: u64,
    /// Largest source text, in bytes [default: 1048576]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a run")]
    code_bytes_max: u64,
    /// Largest result, in bytes, as JSON and as text each [default: 1048576]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a run")]
    result_bytes: u64,
    /// Most that a request may ask for, in bytes [default: 16777216]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a run")]
    result_bytes_max: u64,
    /// Console output that is kept (its first and its last half), in bytes [default: 1048576]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a run")]
    output_bytes: u64,
    /// Most that a request may ask for, in bytes [default: 16777216]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a run")]
    output_bytes_max: u64,

    /// Processes of sessions that wait for their next run; those unused for longest go first [default: 64]
    ///
    /// A session without a process is restored from its history when it is used again.
    #[arg(long, value_name = "N", help_heading = "Limits of a session")]
    sessions_warm_max: usize,
    /// Memory that they may have of their own together, in MiB [default: an eighth of the memory]
    #[arg(long, value_name = "MIB", help_heading = "Limits of a session")]
    sessions_warm_mb: u64,
    /// Runs of one session that may wait for their turn; one more is answered with 429 [default: 64]
    #[arg(long, value_name = "N", help_heading = "Limits of a session")]
    session_queue_max: usize,
    /// How long a heap is kept that no session reaches, in seconds [default: 604800]
    ///
    /// The same on all nodes: the one that leads decides.
    #[arg(long, value_name = "SECONDS", help_heading = "Limits of a session")]
    heap_ttl_secs: u64,
    /// How long a session is kept that nobody uses, in seconds; 0 keeps it for ever [default: 0]
    ///
    /// The same on all nodes: the one that leads decides. A deleted session's heaps go after --heap-ttl-secs.
    #[arg(long, value_name = "SECONDS", help_heading = "Limits of a session")]
    session_idle_secs: u64,
    /// What a run may change of its session, in bytes as they are kept [default: 67108864]
    ///
    /// A run over one of these limits is not kept, and its session stands where it stood.
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a session")]
    delta_bytes_max: u64,
    /// Pages of 4 KiB that a run may touch, whether it changes them or not [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Limits of a session")]
    touched_pages_max: u64,
    /// Separate mappings of memory in a session's process [default: 8192]
    #[arg(long, value_name = "N", help_heading = "Limits of a session")]
    mappings_max: usize,
    /// Addresses in use in a session's process, in GiB; a WebAssembly memory takes 8 [default: 1024]
    #[arg(long, value_name = "GIB", help_heading = "Limits of a session")]
    address_gb_max: u64,
    /// Page tables of a session's process, in MiB [default: 64]
    #[arg(long, value_name = "MIB", help_heading = "Limits of a session")]
    page_tables_mb_max: u64,

    /// Tasks that run on this node at once; 0: it takes none [default: --runs-max, 64 at most]
    #[arg(long, value_name = "N", help_heading = "Tasks")]
    tasks_running_max: usize,
    /// Tasks of the whole cluster that have not ended; one more is answered with 429 [default: 100000]
    #[arg(long, value_name = "N", help_heading = "Tasks")]
    tasks_live_max: u64,
    /// Tasks that this node takes in a second; one more is answered with 429 [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Tasks")]
    tasks_per_sec_max: u64,
    /// How long a task is kept that has ended, in seconds [default: 604800]
    ///
    /// The same on all nodes: the one that leads decides.
    #[arg(long, value_name = "SECONDS", help_heading = "Tasks")]
    task_ttl_secs: u64,
    /// So many tasks are kept that have ended, the newest [default: 1000000]
    #[arg(long, value_name = "N", help_heading = "Tasks")]
    tasks_kept_max: u64,

    /// File of an engine to run code in, as `mcp-v8 engine --save` writes it [default: the one of this program]
    ///
    /// Sessions that another engine of the cluster has made go on in that one.
    #[arg(long, value_name = "FILE", help_heading = "Operating")]
    engine_file: PathBuf,
    /// Room that is to be free on the disk of --directory-path, in MiB; 0: whatever [default: 256]
    ///
    /// With less, writes are refused with 507 and reads go on; with less than a quarter of it the node takes
    /// nothing in at all. It goes on by itself when there is room again.
    #[arg(long, value_name = "MIB", help_heading = "Operating")]
    disk_free_min_mb: u64,
    /// How much of the sandbox must hold [default: auto]
    #[arg(long, value_name = "MODE", value_enum, help_heading = "Operating")]
    sandbox: SandboxMode,
    /// How long a stopping node waits for its executions, in seconds [default: 25]
    #[arg(long, value_name = "SECONDS", help_heading = "Operating")]
    drain_timeout_secs: u64,
    /// How long a stopping node still takes requests, so that balancers see /readyz first, in seconds
    /// [default: 0]
    #[arg(long, value_name = "SECONDS", help_heading = "Operating")]
    stop_delay_secs: u64,
    /// Send traces by OTLP to the gRPC port of this collector, such as http://localhost:4317
    #[arg(long, value_name = "URL", help_heading = "Operating")]
    otlp_endpoint: String,
    /// Follow so many requests of a hundred; those that come with a `traceparent` are followed as it says
    /// [default: 100]
    #[arg(long, value_name = "PERCENT", help_heading = "Operating")]
    otlp_sample_percent: u64,
    /// Form of the log on the standard error stream; RUST_LOG sets its level [default: text]
    #[arg(long, value_name = "FORM", value_enum, help_heading = "Operating")]
    log_format: LogFormat,
}
