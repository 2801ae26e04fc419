//! How many runs fit: the sum of everything that may take memory at the same time.

use super::machine::{Machine, MemorySource};

/// Memory that is kept for everything but runs and results, in MiB. Measured on a node at work: 50 for
/// the worker's program, 48 for the zygote (most of it the same program in huge pages), 10 for the
/// node, and half for each fork that waits.
pub const NODE_RESERVE_MB: u64 = 128;
/// Without `--runs-max`, no more runs than this share one processor: each has a wall clock, and
/// would spend it on waiting.
const RUNS_PER_CPU_MAX: usize = 32;
const READY_PER_CPU: usize = 4;
const KEPT_BYTES_MAX: u64 = 256 << 20;

/// What the operator said about it, and what follows from the other settings.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// `--runs-max`.
    pub runs_max: Option<usize>,
    /// `--runs-ready`.
    pub runs_ready: Option<usize>,
    /// `--kept-bytes-max`.
    pub kept_bytes_max: Option<u64>,
    /// What one execution at its largest needs of `kept_bytes_max`.
    pub kept_bytes_min: u64,
    /// `--memory-mb`.
    pub memory_mb: u64,
}

/// What fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Executions that run at the same time.
    pub runs_max: usize,
    /// Processes forked ahead.
    pub runs_ready: usize,
    /// Bytes of results and output that are kept.
    pub kept_bytes_max: u64,
}

/// The sum that is over the memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{runs} runs × {memory_mb} MiB + {NODE_RESERVE_MB} MiB reserve for the node + {kept_mb} MiB of kept \
     results = {sum_mb} MiB, more than the {limit_mb} MiB of {source_of_limit}: {}",
    advice(*runs, *fits)
)]
pub struct DoesNotFit {
    /// Runs at the same time.
    pub runs: u64,
    /// Memory of each.
    pub memory_mb: u64,
    /// Results and output that are kept.
    pub kept_mb: u64,
    /// All together.
    pub sum_mb: u64,
    /// What there is.
    pub limit_mb: u64,
    /// Where that is told.
    pub source_of_limit: MemorySource,
    /// The runs that would fit.
    pub fits: u64,
}

fn advice(runs: u64, fits: u64) -> String {
    match (runs, fits) {
        (2.., 1..) => format!("lower --runs-max (at most {fits}) or --memory-mb"),
        _ => "lower --memory-mb or --kept-bytes-max, or give the node more memory".into(),
    }
}

impl Capacity {
    /// Fills in what the operator left open, and refuses what can't fit.
    pub fn derive(machine: &Machine, wanted: Wanted) -> Result<Self, DoesNotFit> {
        let kept_bytes_max = wanted.kept_bytes_max.unwrap_or_else(|| {
            (machine.memory_bytes / 8)
                .min(KEPT_BYTES_MAX)
                .max(wanted.kept_bytes_min)
        });
        let kept_mb = kept_bytes_max.div_ceil(1 << 20);
        let limit_mb = machine.memory_bytes >> 20;
        let fits = limit_mb.saturating_sub(NODE_RESERVE_MB + kept_mb) / wanted.memory_mb;
        let by_cpu = machine.cpus.saturating_mul(RUNS_PER_CPU_MAX);
        let runs_max = wanted.runs_max.unwrap_or_else(|| {
            usize::try_from(fits)
                .unwrap_or(usize::MAX)
                .clamp(1, by_cpu.max(1))
        });
        let runs = runs_max as u64;
        if runs > fits {
            let sum_mb = runs
                .saturating_mul(wanted.memory_mb)
                .saturating_add(NODE_RESERVE_MB)
                .saturating_add(kept_mb);
            return Err(DoesNotFit {
                runs,
                memory_mb: wanted.memory_mb,
                kept_mb,
                sum_mb,
                limit_mb,
                source_of_limit: machine.memory_from.clone(),
                fits,
            });
        }
        let runs_ready = wanted.runs_ready.unwrap_or_else(|| {
            machine
                .cpus
                .saturating_mul(READY_PER_CPU)
                .clamp(1, runs_max)
        });
        Ok(Self {
            runs_max,
            runs_ready,
            kept_bytes_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const MIB: u64 = 1 << 20;

    fn machine(memory_mb: u64, cpus: usize) -> Machine {
        Machine {
            memory_bytes: memory_mb * MIB,
            memory_from: MemorySource::Machine,
            cpus,
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            runs_max: None,
            runs_ready: None,
            kept_bytes_max: None,
            kept_bytes_min: 48 * MIB,
            memory_mb: 256,
        }
    }

    #[test]
    fn a_large_machine_is_bound_by_its_processors() {
        let capacity = Capacity::derive(&machine(64 << 10, 2), wanted()).unwrap();
        assert_eq!(
            capacity,
            Capacity {
                runs_max: 64,
                runs_ready: 8,
                kept_bytes_max: 256 * MIB
            }
        );
    }

    #[test]
    fn a_small_one_by_its_memory() {
        // 2048 − 128 − 256 = 1664, and 1664 / 256 = 6.5.
        let capacity = Capacity::derive(&machine(2048, 4), wanted()).unwrap();
        assert_eq!(
            capacity,
            Capacity {
                runs_max: 6,
                runs_ready: 6,
                kept_bytes_max: 256 * MIB
            }
        );
        // 512 − 128 − 64 = 320.
        let capacity = Capacity::derive(&machine(512, 4), wanted()).unwrap();
        assert_eq!(
            capacity,
            Capacity {
                runs_max: 1,
                runs_ready: 1,
                kept_bytes_max: 64 * MIB
            }
        );
    }

    #[test]
    fn what_was_asked_for_is_kept_when_it_fits() {
        let wanted = Wanted {
            runs_max: Some(3),
            runs_ready: Some(2),
            kept_bytes_max: Some(100 * MIB),
            ..wanted()
        };
        let capacity = Capacity::derive(&machine(1024, 1), wanted).unwrap();
        assert_eq!(
            capacity,
            Capacity {
                runs_max: 3,
                runs_ready: 2,
                kept_bytes_max: 100 * MIB
            }
        );
    }

    #[test]
    fn what_can_not_fit_is_refused_with_the_sum() {
        let machine = Machine {
            memory_from: MemorySource::Cgroup(PathBuf::from("/sys/fs/cgroup/memory.max")),
            ..machine(24_576, 2)
        };
        let wanted = Wanted {
            runs_max: Some(128),
            ..wanted()
        };
        let error = Capacity::derive(&machine, wanted).unwrap_err();
        assert_eq!(
            error.to_string(),
            "128 runs × 256 MiB + 128 MiB reserve for the node + 256 MiB of kept results = 33152 MiB, \
             more than the 24576 MiB of the memory limit in /sys/fs/cgroup/memory.max: \
             lower --runs-max (at most 94) or --memory-mb"
        );
    }

    #[test]
    fn a_machine_for_not_even_one_run_is_refused_too() {
        let error = Capacity::derive(&machine(300, 2), wanted()).unwrap_err();
        assert_eq!((error.runs, error.fits, error.sum_mb), (1, 0, 432));
        assert!(error.to_string().contains("lower --memory-mb"), "{error}");
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        let wanted = Wanted {
            runs_max: Some(usize::MAX),
            memory_mb: u64::MAX,
            ..wanted()
        };
        let error = Capacity::derive(&machine(1024, 1), wanted).unwrap_err();
        assert_eq!(error.sum_mb, u64::MAX);
    }
}
