//! The data directory as the running node shares it: its standing changes one step at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::directory::Directory;
use super::marker::{Marker, MarkerError, Standing};

/// The directory of the running node. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    directory: Arc<Mutex<Directory>>,
    marker: watch::Receiver<Marker>,
    changed: Arc<watch::Sender<Marker>>,
}

impl Home {
    /// Shares it.
    pub fn new(directory: Directory) -> Self {
        let (changed, marker) = watch::channel(directory.marker().clone());
        Self {
            directory: Arc::new(Mutex::new(directory)),
            marker,
            changed: Arc::new(changed),
        }
    }

    /// What the directory says just now.
    pub fn marker(&self) -> Marker {
        self.marker.borrow().clone()
    }

    /// Waits for what the directory says to fulfil a condition.
    pub async fn wait(&self, mut fits: impl FnMut(&Marker) -> bool) -> Marker {
        let mut marker = self.marker.clone();
        let found = marker.wait_for(|marker| fits(marker)).await.map(|found| found.clone());
        found.expect("the sender lives in self")
    }

    /// Takes a step from what the node is to what it becomes; `decide` may see that there is none to take
    /// and answer why. Nobody else takes a step meanwhile, and on return it is durable.
    pub async fn step<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Marker) -> Result<Option<Standing>, T> + Send + 'static,
    ) -> Result<Result<(), T>, MarkerError> {
        self.change(move |directory| {
            match decide(directory.marker()) {
                Ok(Some(standing)) => directory.set_standing(standing)?,
                Ok(None) => {}
                Err(refused) => return Ok(Err(refused)),
            }
            Ok(Ok(()))
        })
        .await
    }

    /// Whether the node wants to be a voter.
    pub async fn set_wants_vote(&self, wants_vote: bool) -> Result<(), MarkerError> {
        self.change(move |directory| directory.set_wants_vote(wants_vote)).await
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Directory) -> Result<T, MarkerError> + Send + 'static,
    ) -> Result<T, MarkerError> {
        let directory = Arc::clone(&self.directory);
        let changed = Arc::clone(&self.changed);
        // It syncs files, which no thread of the runtime should wait for.
        tokio::task::spawn_blocking(move || {
            let mut directory = directory.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = change(&mut directory);
            changed.send_replace(directory.marker().clone());
            outcome
        })
        .await
        .expect("writing a marker does not panic")
    }
}
