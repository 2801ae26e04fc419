use super::range::{Range, number};
use super::{Error, Settings};

/// Sessions: whether there are any, and how many processes are kept for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsConfig {
    /// Code runs without sessions.
    pub off: bool,
    /// Processes that wait for the next run of their session.
    pub warm_max: usize,
    /// Runs of one session that may wait for their turn.
    pub waiting_max: usize,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            off: false,
            warm_max: 64,
            waiting_max: 64,
        }
    }
}

impl SessionsConfig {
    /// Puts the defaults under what was said, and checks it.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let builtin = Self::default();
        let warm_max = settings.sessions_warm_max.unwrap_or(builtin.warm_max);
        Range("sessions-warm-max", 1, 65_536, "sessions").check(number(warm_max))?;
        let waiting_max = settings.session_queue_max.unwrap_or(builtin.waiting_max);
        Range("session-queue-max", 0, 65_536, "runs").check(number(waiting_max))?;
        Ok(Self {
            off: settings.stateless.unwrap_or(false),
            warm_max,
            waiting_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_defaults_and_nonsense_is_refused() {
        let silent = SessionsConfig::new(&Settings::default()).expect("defaults are good");
        assert_eq!(silent, SessionsConfig::default());
        let wrong = Settings {
            sessions_warm_max: Some(0),
            ..Settings::default()
        };
        assert!(SessionsConfig::new(&wrong).is_err());
    }
}
