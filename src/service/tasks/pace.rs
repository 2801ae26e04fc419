//! How fast tasks may come.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A bucket of a second's tokens: after a pause so many may come at once.
pub(super) struct Pace {
    per_second: f64,
    state: Mutex<(f64, Option<Instant>)>,
}

impl Pace {
    pub fn new(per_second_max: u64) -> Self {
        let per_second = per_second_max as f64;
        Self {
            per_second,
            state: Mutex::new((per_second, None)),
        }
    }

    /// Takes one, if there is one.
    pub fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, before) = &mut *state;
        let since = before.map_or(0.0, |it| now.saturating_duration_since(it).as_secs_f64());
        *before = Some(now);
        *tokens = (*tokens + since * self.per_second).min(self.per_second);
        let taken = *tokens >= 1.0;
        if taken {
            *tokens -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_has_so_many_and_no_more() {
        let pace = Pace::new(10);
        let start = Instant::now();
        assert_eq!((0..20).filter(|_| pace.take(start)).count(), 10);
        let later = start + Duration::from_millis(350);
        assert_eq!((0..20).filter(|_| pace.take(later)).count(), 3);
        let much_later = later + Duration::from_secs(100);
        assert_eq!((0..20).filter(|_| pace.take(much_later)).count(), 10);
    }
}
