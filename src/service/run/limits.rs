use std::time::Duration;

use super::{Error, LimitOverrides};
use crate::config::{Bound, RunConfig};
use crate::workers::RunLimits;

/// The limits that one execution runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub run: RunLimits,
    pub output_bytes_max: u64,
}

impl Limits {
    /// The largest that a request may ask for.
    pub fn largest(config: &RunConfig) -> Self {
        let of = |bound: Bound| Some(bound.max);
        let most = LimitOverrides {
            timeout_ms: of(config.timeout_ms),
            heap_mb: of(config.heap_mb),
            array_buffer_mb: of(config.array_buffer_mb),
            memory_mb: of(config.memory_mb),
            stack_kb: of(config.stack_kb),
            result_bytes: of(config.result_bytes),
            output_bytes: of(config.output_bytes),
        };
        Self::resolve(config, &most).expect("a maximum is no more than itself")
    }

    /// The configured defaults with a request's own limits in their place.
    pub fn resolve(config: &RunConfig, asked: &LimitOverrides) -> Result<Self, Error> {
        const MIB: u64 = 1 << 20;
        const KIB: u64 = 1 << 10;
        let timeout_ms = one("timeout_ms", asked.timeout_ms, config.timeout_ms)?;
        let heap_mb = one("heap_mb", asked.heap_mb, config.heap_mb)?;
        let array_buffer_mb = one(
            "array_buffer_mb",
            asked.array_buffer_mb,
            config.array_buffer_mb,
        )?;
        let memory_mb = one("memory_mb", asked.memory_mb, config.memory_mb)?;
        let stack_kb = one("stack_kb", asked.stack_kb, config.stack_kb)?;
        Ok(Self {
            run: RunLimits {
                timeout: Duration::from_millis(timeout_ms),
                heap_bytes_max: heap_mb.saturating_mul(MIB),
                array_buffer_bytes_max: array_buffer_mb.saturating_mul(MIB),
                memory_bytes_max: memory_mb.saturating_mul(MIB),
                stack_bytes_max: stack_kb.saturating_mul(KIB),
                result_bytes_max: one("result_bytes", asked.result_bytes, config.result_bytes)?,
            },
            output_bytes_max: one("output_bytes", asked.output_bytes, config.output_bytes)?,
        })
    }
}

fn one(limit: &'static str, asked: Option<u64>, bound: Bound) -> Result<u64, Error> {
    match asked {
        None => Ok(bound.default),
        Some(given) if given > bound.max => Err(Error::LimitTooLarge {
            limit,
            given,
            max: bound.max,
        }),
        Some(0) => Err(Error::LimitTooSmall {
            limit,
            given: 0,
            min: 1,
        }),
        Some(given) => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_gives_the_defaults() {
        let config = RunConfig::default();
        let limits = Limits::resolve(&config, &LimitOverrides::default()).expect("no override");
        assert_eq!(limits.run.timeout, Duration::from_secs(30));
        assert_eq!(limits.run.heap_bytes_max, 64 << 20);
        assert_eq!(limits.run.stack_bytes_max, config.stack_kb.default << 10);
        assert_eq!(limits.output_bytes_max, config.output_bytes.default);
    }

    #[test]
    fn the_maximum_itself_is_allowed_and_named_when_passed() {
        let config = RunConfig::default();
        let at = |heap_mb| LimitOverrides {
            heap_mb: Some(heap_mb),
            ..LimitOverrides::default()
        };
        let limits = Limits::resolve(&config, &at(512)).expect("the maximum");
        assert_eq!(limits.run.heap_bytes_max, 512 << 20);
        let error = Limits::resolve(&config, &at(513)).expect_err("over the maximum");
        assert_eq!(
            error,
            Error::LimitTooLarge {
                limit: "heap_mb",
                given: 513,
                max: 512
            }
        );
        assert!(error.to_string().contains("512"));
    }

    #[test]
    fn zero_is_refused_for_every_limit() {
        let zero = Some(0);
        let none = LimitOverrides::default();
        for asked in [
            LimitOverrides {
                timeout_ms: zero,
                ..none
            },
            LimitOverrides {
                heap_mb: zero,
                ..none
            },
            LimitOverrides {
                array_buffer_mb: zero,
                ..none
            },
            LimitOverrides {
                memory_mb: zero,
                ..none
            },
            LimitOverrides {
                stack_kb: zero,
                ..none
            },
            LimitOverrides {
                result_bytes: zero,
                ..none
            },
            LimitOverrides {
                output_bytes: zero,
                ..none
            },
        ] {
            let error = Limits::resolve(&RunConfig::default(), &asked).expect_err("zero");
            assert!(matches!(error, Error::LimitTooSmall { .. }), "{asked:?}");
        }
    }
}
