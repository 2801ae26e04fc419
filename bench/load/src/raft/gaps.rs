//! How long no write succeeded, for each time that a node went down.

use std::time::{Duration, Instant};

/// The longest time without a success that belongs to each mark.
///
/// The time between two successes belongs to the first mark within it, else to the last one before it;
/// what is before all marks belongs to none. The end counts as a success that came too late.
pub fn longest(successes: &[Instant], marks: &[Instant], end: Instant) -> Vec<Duration> {
    let mut longest = vec![Duration::ZERO; marks.len()];
    let later = successes.iter().skip(1).copied().chain([end]);
    for (from, until) in successes.iter().copied().zip(later) {
        let before = marks.partition_point(|mark| *mark <= from);
        let within = marks.partition_point(|mark| *mark <= until);
        let mark = if within > before {
            before
        } else if before > 0 {
            before - 1
        } else {
            continue;
        };
        longest[mark] = longest[mark].max(until.saturating_duration_since(from));
    }
    longest
}

/// The value that so many of a hundred are not above, of sorted values; nothing of none.
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_belongs_to_the_kill_that_made_it() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let times = |ms: &[u64]| ms.iter().map(|ms| at(*ms)).collect::<Vec<_>>();
        // Down at 25 and 1,000; the first costs 500 ms, the restart 90 ms more, the second has no end.
        let successes = times(&[0, 10, 20, 520, 530, 620, 630, 990]);
        let found = longest(&successes, &times(&[25, 1000]), at(3000));
        assert_eq!(
            found,
            [Duration::from_millis(500), Duration::from_millis(2010)]
        );
        // Nothing succeeded between two kills: the time is the first one's.
        let found = longest(&times(&[0, 900]), &times(&[5, 300]), at(910));
        assert_eq!(
            found,
            [Duration::from_millis(900), Duration::from_millis(10)]
        );
        assert_eq!(longest(&times(&[0, 900]), &[], at(910)), []);
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        assert_eq!(percentile::<u8>(&[], 50), None);
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[1, 2, 3, 4, 5], 50), Some(3));
        assert_eq!(percentile(&[1, 2, 3, 4, 5], 99), Some(5));
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 99), Some(99));
    }
}
