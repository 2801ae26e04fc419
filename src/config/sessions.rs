use std::time::Duration;

use super::range::{Range, number};
use super::{Error, Machine, Settings};

const DAY_SECS: u64 = 86_400;
/// Warm sessions have this part of the memory, the runs the rest.
const MEMORY_SHARE: u64 = 8;
/// And this in any case, in MiB.
const WARM_MB_MIN: u64 = 32;

/// Sessions: whether there are any, and how many processes are kept for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsConfig {
    /// Code runs without sessions.
    pub off: bool,
    /// Processes that wait for the next run of their session.
    pub warm_max: usize,
    /// Memory that these may have of their own together, in MiB.
    pub warm_mb_max: u64,
    /// Runs of one session that may wait for their turn.
    pub waiting_max: usize,
    /// How long a heap is kept that no session reaches.
    pub heap_ttl: Duration,
    /// How long a session is kept that nobody uses; without it, for ever.
    pub idle: Option<Duration>,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            off: false,
            warm_max: 64,
            warm_mb_max: 1024,
            waiting_max: 64,
            heap_ttl: Duration::from_secs(7 * DAY_SECS),
            idle: None,
        }
    }
}

impl SessionsConfig {
    /// Puts the defaults under what was said, and checks it.
    pub(super) fn new(settings: &Settings, machine: &Machine) -> Result<Self, Error> {
        let builtin = Self::default();
        let share = (machine.memory_bytes / MEMORY_SHARE) >> 20;
        let warm_mb_max = settings.sessions_warm_mb.unwrap_or(share.max(WARM_MB_MIN));
        Range("sessions-warm-mb", 1, 1 << 20, "MiB").check(warm_mb_max)?;
        let warm_max = settings.sessions_warm_max.unwrap_or(builtin.warm_max);
        Range("sessions-warm-max", 1, 65_536, "sessions").check(number(warm_max))?;
        let waiting_max = settings.session_queue_max.unwrap_or(builtin.waiting_max);
        Range("session-queue-max", 0, 65_536, "runs").check(number(waiting_max))?;
        let heap_ttl_secs = settings.heap_ttl_secs.unwrap_or(builtin.heap_ttl.as_secs());
        Range("heap-ttl-secs", 1, 3650 * DAY_SECS, "seconds").check(heap_ttl_secs)?;
        let idle_secs = settings.session_idle_secs.unwrap_or(0);
        Range("session-idle-secs", 0, 3650 * DAY_SECS, "seconds").check(idle_secs)?;
        Ok(Self {
            idle: (idle_secs > 0).then(|| Duration::from_secs(idle_secs)),
            heap_ttl: Duration::from_secs(heap_ttl_secs),
            off: settings.stateless.unwrap_or(false),
            warm_max,
            warm_mb_max,
            waiting_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MemorySource;

    #[test]
    fn silence_is_the_defaults_and_nonsense_is_refused() {
        let machine = Machine {
            memory_bytes: 8 << 30,
            memory_from: MemorySource::Machine,
            cpus: 2,
        };
        let silent = SessionsConfig::new(&Settings::default(), &machine).expect("good");
        assert_eq!(silent, SessionsConfig::default());
        let wrong = Settings {
            sessions_warm_max: Some(0),
            ..Settings::default()
        };
        assert!(SessionsConfig::new(&wrong, &machine).is_err());
    }
}
