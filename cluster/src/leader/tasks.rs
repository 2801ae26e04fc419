//! Which node runs which task: the one that has the least to do, of those that have room.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Liveness;
use crate::proto::command::Kind;
use crate::proto::{
    AssignTask, CancelTask, FinishTask, FireTask, NodeRecord, TaskRecord, TaskState,
};
use crate::schedule::Schedule;
use crate::state::{StateReader, StoreError};

/// So many tasks are handed out before the state is looked at again.
const HANDED_MAX: usize = 256;
/// So many run at once in the whole cluster at most.
const RUNNING_MAX: usize = 1000;

/// What is to be done about tasks at one moment.
#[derive(Debug, Default)]
pub(crate) struct Assignments {
    /// The commands.
    pub commands: Vec<Kind>,
    /// When something is due that is not yet, in milliseconds since 1970.
    pub next_ms: Option<u64>,
}

/// A node that takes tasks.
#[derive(Clone, Copy, Debug)]
struct Taker {
    node: u64,
    incarnation: u64,
    slots: u32,
    /// Tasks that it has.
    tasks: u32,
    /// What else it runs.
    others: u32,
}

impl Taker {
    fn has_room(&self) -> bool {
        self.tasks < self.slots
    }

    /// What it has to do for each slot, in thousandths.
    fn load(&self) -> u64 {
        u64::from(self.tasks + self.others) * 1000 / u64::from(self.slots.max(1))
    }
}

impl Assignments {
    /// What is due at a time.
    pub async fn due(
        state: &StateReader,
        liveness: &Liveness,
        now_ms: u64,
    ) -> Result<Self, StoreError> {
        let mut due = Self::default();
        due.fire(state, now_ms).await?;
        let running = state.running_tasks(RUNNING_MAX).await?;
        let nodes = state.known_nodes();
        let mut takers = takers(&nodes, &running, liveness, Instant::now());
        let lives = |task: &TaskRecord| {
            nodes.iter().any(|node| {
                node.id == task.owner_node
                    && node.incarnation == task.owner_incarnation
                    && node.alive
            })
        };
        for task in running.into_iter().filter(|task| !lives(task)) {
            if task.attempts < task.attempts_max {
                due.assign(task.id, &mut takers);
            } else {
                due.commands.push(Kind::FinishTask(FinishTask {
                    id: task.id,
                    fence: task.fence,
                    lost: true,
                    ..FinishTask::default()
                }));
            }
        }
        for task in state.live_tasks(TaskState::Queued, HANDED_MAX).await? {
            if task.run_at_ms > now_ms {
                due.note(task.run_at_ms);
                break;
            }
            if !due.assign(task.id, &mut takers) {
                break;
            }
        }
        Ok(due)
    }

    /// Those that make others at times.
    async fn fire(&mut self, state: &StateReader, now_ms: u64) -> Result<(), StoreError> {
        for waiting in state.live_tasks(TaskState::Scheduled, HANDED_MAX).await? {
            if waiting.run_at_ms > now_ms {
                self.note(waiting.run_at_ms);
                break;
            }
            if let Some(task) = state.task(&waiting.id).await? {
                self.commands.push(fire(&task, now_ms));
            }
        }
        Ok(())
    }

    fn note(&mut self, time_ms: u64) {
        let sooner = self.next_ms.is_none_or(|next| time_ms < next);
        if sooner {
            self.next_ms = Some(time_ms);
        }
    }

    /// False when no node has room.
    fn assign(&mut self, id: String, takers: &mut [Taker]) -> bool {
        let free = takers.iter_mut().filter(|taker| taker.has_room());
        let Some(taker) = free.min_by_key(|taker| (taker.load(), taker.node)) else {
            return false;
        };
        taker.tasks += 1;
        self.commands.push(Kind::AssignTask(AssignTask {
            id,
            node: taker.node,
            incarnation: taker.incarnation,
        }));
        true
    }
}

fn takers(
    nodes: &[NodeRecord],
    running: &[TaskRecord],
    liveness: &Liveness,
    now: Instant,
) -> Vec<Taker> {
    let mut tasks: HashMap<(u64, u64), u32> = HashMap::new();
    for task in running {
        let life = (task.owner_node, task.owner_incarnation);
        *tasks.entry(life).or_default() += 1;
    }
    let taker = |node: &NodeRecord| {
        let load = liveness.load(node.id, node.incarnation, now)?;
        let tasks = tasks.get(&(node.id, node.incarnation));
        let tasks = tasks.copied().unwrap_or(0);
        Some(Taker {
            node: node.id,
            incarnation: node.incarnation,
            slots: load.task_slots,
            tasks,
            others: load.runs.saturating_sub(tasks),
        })
    };
    let live = nodes.iter().filter(|node| node.alive && !node.draining);
    live.filter_map(taker).collect()
}

/// Of several times that have passed, the last one makes a task, unless even that is too long ago.
fn fire(task: &TaskRecord, now_ms: u64) -> Kind {
    let schedule = Schedule::parse(&task.cron, &task.time_zone);
    let next_ms = |after| schedule.as_ref().ok()?.next_ms(after);
    let Some(next) = next_ms(now_ms) else {
        // It was checked when it was made: only another version's rules can say so.
        return Kind::CancelTask(CancelTask {
            id: task.id.clone(),
        });
    };
    let last = schedule.as_ref().ok().and_then(|it| it.last_ms(now_ms));
    let last = last.unwrap_or(task.run_at_ms).max(task.run_at_ms);
    let late = Duration::from_millis(now_ms.saturating_sub(last));
    let passes = task.late_ms_max > 0 && late > Duration::from_millis(task.late_ms_max);
    Kind::FireTask(FireTask {
        id: task.id.clone(),
        due_ms: task.run_at_ms,
        next_ms: next,
        task_id: match passes {
            true => String::new(),
            false => format!("{}.{last}", task.id),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(node: u64, slots: u32, tasks: u32, others: u32) -> Taker {
        Taker {
            node,
            incarnation: node * 10,
            slots,
            tasks,
            others,
        }
    }

    #[test]
    fn tasks_go_where_the_least_is_to_do_and_nowhere_beyond_the_slots() {
        let mut takers = [
            taker(1, 2, 0, 3),
            taker(2, 4, 0, 0),
            taker(3, 0, 0, 0),
            taker(4, 1, 1, 0),
        ];
        let mut due = Assignments::default();
        let taken = (0..10).filter(|n| due.assign(format!("t{n}"), &mut takers));
        assert_eq!(taken.count(), 6, "as many as there are slots");
        let nodes: Vec<u64> = due
            .commands
            .iter()
            .map(|kind| match kind {
                Kind::AssignTask(assign) => assign.node,
                _ => panic!("an assignment"),
            })
            .collect();
        assert_eq!(nodes, [2, 2, 2, 2, 1, 1]);
    }

    #[test]
    fn of_the_times_that_were_missed_the_last_one_makes_a_task() {
        let minute = 60_000;
        let mut task = TaskRecord {
            id: "s".to_owned(),
            cron: "* * * * *".to_owned(),
            run_at_ms: 10 * minute,
            ..TaskRecord::default()
        };
        let fired = |task: &TaskRecord, now_ms| match fire(task, now_ms) {
            Kind::FireTask(fire) => (fire.due_ms / minute, fire.next_ms / minute, fire.task_id),
            other => panic!("{other:?}"),
        };
        assert_eq!(fired(&task, 10 * minute), (10, 11, "s.600000".to_owned()));
        let late = 15 * minute + 30_000;
        assert_eq!(fired(&task, late), (10, 16, "s.900000".to_owned()));
        task.late_ms_max = 20_000;
        assert_eq!(fired(&task, late), (10, 16, String::new()));
        assert_eq!(fired(&task, late - 20_000).2, "s.900000");
    }
}
