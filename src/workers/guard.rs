use std::io;
use std::sync::Arc;

use super::line::{Line, LineChild};
use super::process::{Exit, Process};
use super::supply::Supply;

/// Something that is a process of a worker.
pub trait HasProcess {
    /// Its process.
    fn process(&self) -> &Process;

    /// Its process alone.
    fn into_process(self) -> Process;
}

impl HasProcess for Line {
    fn process(&self) -> &Process {
        self.process()
    }

    fn into_process(self) -> Process {
        self.into_process()
    }
}

impl HasProcess for LineChild {
    fn process(&self) -> &Process {
        self.child.process()
    }

    fn into_process(self) -> Process {
        self.child.into_process()
    }
}

/// A process that is killed and reaped when nobody holds it any more.
pub struct Guard<T: HasProcess> {
    held: Option<T>,
    supply: Arc<Supply>,
}

impl<T: HasProcess> Guard<T> {
    /// Holds a process.
    pub fn new(held: T, supply: Arc<Supply>) -> Self {
        Self {
            held: Some(held),
            supply,
        }
    }

    /// What is held.
    pub fn get(&self) -> &T {
        self.held.as_ref().expect("taken only at the end")
    }

    /// What is held, to be changed.
    pub fn get_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("taken only at the end")
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.get().process()
    }

    /// Makes something else of what is held.
    pub fn try_map<U: HasProcess>(
        mut self,
        map: impl FnOnce(T) -> io::Result<U>,
    ) -> io::Result<Guard<U>> {
        let held = self.held.take().expect("taken only at the end");
        Ok(Guard::new(map(held)?, self.supply.clone()))
    }

    /// Kills the process, unless it is dead already, and tells how it ended. The last thing that is done
    /// with it.
    pub async fn end(&mut self) -> Exit {
        let held = self.held.take().expect("taken only at the end");
        let process = held.into_process();
        process.kill();
        process.ended().await
    }
}

impl<T: HasProcess> Drop for Guard<T> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.supply.reap(held.into_process(), |_| {});
        }
    }
}
