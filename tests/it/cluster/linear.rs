//! Is a history linearizable? Each name is a register of its own, so each is looked at alone.
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory
//! of the states that were tried ("Testing for linearizability", 2017): calls are put into an order that
//! keeps the order of those that did not overlap, and in which each read gives the last value written. A
//! write of which nobody knows the outcome may stand anywhere after its start, or nowhere.

use std::collections::HashSet;

use super::history::{Action, Call, History};

/// What is wrong with a history; `None` when it is linearizable.
pub fn fault(history: &History) -> Option<String> {
    history.names().into_iter().find_map(|name| {
        let calls = history.of_name(name);
        (!is_linearizable(&calls)).then(|| format!("name {name} is not linearizable: {calls:#?}"))
    })
}

fn is_linearizable(calls: &[Call]) -> bool {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.start);
    Search {
        calls: &calls,
        tried: HashSet::new(),
    }
    .from(&mut vec![false; calls.len()], None)
}

struct Search<'a> {
    calls: &'a [Call],
    tried: HashSet<(Vec<bool>, Option<u64>)>,
}

impl Search<'_> {
    fn from(&mut self, placed: &mut Vec<bool>, value: Option<u64>) -> bool {
        let left = || (0..self.calls.len()).filter(|&place| !placed[place]);
        // What ended first of those that are left: nothing that began later can stand before it.
        let Some(bound) = left().filter_map(|place| self.calls[place].end).min() else {
            // Only such are left of which nobody knows whether they took effect.
            return true;
        };
        if !self.tried.insert((placed.clone(), value)) {
            return false;
        }
        let next: Vec<_> = left()
            .filter(|&place| self.calls[place].start <= bound)
            .collect();
        for place in next {
            let after = match self.calls[place].action {
                Action::Write(written) => Some(written),
                Action::Read(read) if read == value => value,
                Action::Read(_) => continue,
            };
            placed[place] = true;
            if self.from(placed, after) {
                return true;
            }
            placed[place] = false;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(action: Action, start: u64, end: Option<u64>) -> Call {
        Call {
            name: 0,
            action,
            start: Duration::from_millis(start),
            end: end.map(Duration::from_millis),
        }
    }

    use Action::{Read, Write};

    #[test]
    fn what_can_be_ordered_is_accepted() {
        for calls in [
            vec![],
            vec![call(Write(1), 0, Some(1)), call(Read(Some(1)), 2, Some(3))],
            // They overlap, so either may be first.
            vec![
                call(Write(1), 0, Some(5)),
                call(Write(2), 1, Some(4)),
                call(Read(Some(1)), 6, Some(7)),
            ],
            // Unknown: it took effect late, or never.
            vec![
                call(Write(1), 0, None),
                call(Read(None), 1, Some(2)),
                call(Read(Some(1)), 3, Some(4)),
            ],
            vec![call(Write(1), 0, None), call(Read(None), 8, Some(9))],
        ] {
            assert!(is_linearizable(&calls), "{calls:?}");
        }
    }

    #[test]
    fn what_was_lost_or_comes_back_is_found() {
        for calls in [
            // Lost.
            vec![call(Write(1), 0, Some(1)), call(Read(None), 2, Some(3))],
            // Stale.
            vec![
                call(Write(1), 0, Some(1)),
                call(Write(2), 2, Some(3)),
                call(Read(Some(1)), 4, Some(5)),
            ],
            // Applied twice: an old value is back.
            vec![
                call(Write(1), 0, None),
                call(Read(Some(1)), 1, Some(2)),
                call(Write(2), 3, Some(4)),
                call(Read(Some(2)), 5, Some(6)),
                call(Read(Some(1)), 7, Some(8)),
            ],
            // Never written.
            vec![call(Read(Some(9)), 0, Some(1))],
        ] {
            assert!(!is_linearizable(&calls), "{calls:?}");
        }
    }
}
