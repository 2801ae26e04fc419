/// One limit of a run: what a request gets that says nothing, and the most it may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Used when the request is silent.
    pub default: u64,
    /// A request for more is refused.
    pub max: u64,
}

/// Executions: how many at once, how large each, and how long they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunConfig {
    /// Executions that run at the same time.
    pub runs_max: usize,
    /// Processes forked ahead of the requests.
    pub runs_ready: usize,
    /// Executions that may wait for a place.
    pub queue_max: usize,
    /// The largest source text, in bytes.
    pub code_bytes_max: u64,
    /// Wall clock, in milliseconds.
    pub timeout_ms: Bound,
    /// The JavaScript heap, in MiB.
    pub heap_mb: Bound,
    /// All ArrayBuffers of a run together, in MiB.
    pub array_buffer_mb: Bound,
    /// Private memory of a run's process, in MiB.
    pub memory_mb: Bound,
    /// The stack of JavaScript calls, in KiB.
    pub stack_kb: Bound,
    /// The rendered result, in bytes.
    pub result_bytes: Bound,
    /// The console output that is kept, in bytes.
    pub output_bytes: Bound,
    /// Executions that can still be asked for, the unfinished ones among them.
    pub executions_max: usize,
    /// How long a finished execution can still be asked for.
    pub execution_ttl_secs: u64,
    /// Results and console output of all kept executions together, in bytes.
    pub kept_bytes_max: u64,
    /// How long a retry with an idempotency key gets the stored execution.
    pub idempotency_ttl_secs: u64,
}

impl Default for RunConfig {
    /// The built-in values. `runs_max` and `runs_ready` are modest here; a node derives its own from
    /// the memory and the processors that it may use.
    fn default() -> Self {
        Self {
            runs_max: 8,
            runs_ready: 4,
            queue_max: 256,
            code_bytes_max: 1 << 20,
            timeout_ms: Bound {
                default: 30_000,
                max: 300_000,
            },
            heap_mb: Bound {
                default: 64,
                max: 512,
            },
            array_buffer_mb: Bound {
                default: 64,
                max: 512,
            },
            memory_mb: Bound {
                default: 256,
                max: 1024,
            },
            stack_kb: Bound {
                default: 984,
                max: 8192,
            },
            result_bytes: Bound {
                default: 1 << 20,
                max: 16 << 20,
            },
            output_bytes: Bound {
                default: 1 << 20,
                max: 16 << 20,
            },
            executions_max: 10_000,
            execution_ttl_secs: 3600,
            kept_bytes_max: 256 << 20,
            idempotency_ttl_secs: 3600,
        }
    }
}
