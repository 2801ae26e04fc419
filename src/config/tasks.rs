use std::time::Duration;

use super::range::{Range, number};
use super::{Error, Settings};

const DAY_SECS: u64 = 86_400;

/// Tasks: how many run here, how many there may be, and how long they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TasksConfig {
    /// Tasks that run on this node at once; 0 = it takes none.
    pub running_max: usize,
    /// Tasks of the whole cluster that have not ended.
    pub live_max: u64,
    /// Tasks that this node takes in a second.
    pub per_second_max: u64,
    /// How long a task is kept that has ended.
    pub ttl: Duration,
    /// So many tasks are kept that have ended, the newest.
    pub kept_max: u64,
}

impl TasksConfig {
    /// Puts the defaults under what was said, and checks it. A node runs as many tasks as it runs anything.
    pub(super) fn new(settings: &Settings, runs_max: usize) -> Result<Self, Error> {
        let running_max = settings.tasks_running_max.unwrap_or(runs_max.min(64));
        Range("tasks-running-max", 0, 1024, "tasks").check(number(running_max))?;
        let live_max = settings.tasks_live_max.unwrap_or(100_000);
        Range("tasks-live-max", 1, 10_000_000, "tasks").check(live_max)?;
        let per_second_max = settings.tasks_per_sec_max.unwrap_or(1000);
        Range("tasks-per-sec-max", 1, 1_000_000, "tasks").check(per_second_max)?;
        let ttl_secs = settings.task_ttl_secs.unwrap_or(7 * DAY_SECS);
        Range("task-ttl-secs", 1, 3650 * DAY_SECS, "seconds").check(ttl_secs)?;
        let kept_max = settings.tasks_kept_max.unwrap_or(1_000_000);
        Range("tasks-kept-max", 1, 100_000_000, "tasks").check(kept_max)?;
        Ok(Self {
            running_max,
            live_max,
            per_second_max,
            ttl: Duration::from_secs(ttl_secs),
            kept_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_runs_as_many_tasks_as_it_runs_anything() {
        let silent = TasksConfig::new(&Settings::default(), 8).expect("good");
        assert_eq!(silent.running_max, 8);
        let none = Settings {
            tasks_running_max: Some(0),
            ..Settings::default()
        };
        assert_eq!(TasksConfig::new(&none, 8).expect("good").running_max, 0);
        let wrong = Settings {
            tasks_live_max: Some(0),
            ..Settings::default()
        };
        assert!(TasksConfig::new(&wrong, 8).is_err());
    }
}
