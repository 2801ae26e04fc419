//! What two heaps have by name, side by side.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use worker_protocol::{Global, Language};

use super::history::Point;
use super::{Error, HeapId, Inner, Sessions};
use crate::hex;
use crate::workers::session::SessionError;
use crate::workers::{Outcome, RunLimits, RunRequest};

/// So many comparisons at once: each restores two processes beside the runs that were let in.
pub(super) const COMPARISONS_MAX: usize = 1;
/// The wait for one that is under way.
const PATIENCE: Duration = Duration::from_secs(30);

/// A name whose value is another one, or that only one of two heaps has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name.
    pub name: String,
    /// What it stands for in the first heap.
    pub before: Option<Shown>,
    /// What it stands for in the second.
    pub after: Option<Shown>,
}

/// The beginning of a value, as a console shows it; of a function, its source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The beginning.
    pub text: String,
    /// The length of all of it, in bytes.
    pub bytes: u64,
}

/// Two heaps, compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The first; none is the state before the first run.
    pub from: Option<HeapId>,
    /// The second.
    pub to: Option<HeapId>,
    /// What differs, in the order of the names.
    pub differences: Vec<Difference>,
}

impl Sessions {
    /// Compares two points of a session's history. Without the first it is where the second began.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn compare(
        &self,
        name: &str,
        from: Option<Point>,
        to: Point,
        limits: RunLimits,
        deadline: Instant,
    ) -> Result<Comparison, Error> {
        let record = self.record(name, deadline).await?;
        let to = self.heap_at(&record, to).await?;
        let from = match (from, to) {
            (Some(from), _) => self.heap_at(&record, from).await?,
            (None, Some(to)) => HeapId::from_record(&self.commit_at(to).await?.parent)?,
            (None, None) => None,
        };
        let place = tokio::time::timeout(PATIENCE, self.inner.comparisons.acquire()).await;
        let _place = place.map_err(|_| Error::QueueFull {
            waiting_max: COMPARISONS_MAX,
        })?;
        let before = self.inner.globals(from, limits).await?;
        let after = self.inner.globals(to, limits).await?;
        Ok(Comparison {
            from,
            to,
            differences: differences(before, after),
        })
    }
}

impl Inner {
    /// What a heap has by name. Nothing runs in it, and it stays what it is.
    async fn globals(
        &self,
        heap: Option<HeapId>,
        limits: RunLimits,
    ) -> Result<BTreeMap<String, Global>, Error> {
        let Some(heap) = heap else {
            return Ok(BTreeMap::new());
        };
        let mut live = match self.warm.take_branch(&heap) {
            Some(live) => live,
            None => self.open(None, Some(heap)).await?,
        };
        let engine = live.session.engine().id();
        let request = RunRequest {
            code: String::new(),
            language: Language::JavaScript,
            input_json: None,
            limits,
            reproducible: None,
            globals: true,
        };
        let mut console = |_| {};
        let asked = live
            .session
            .run(request, &mut console, CancellationToken::new());
        let ended = asked
            .await
            .map_err(|error: SessionError| Error::Unavailable {
                reason: error.to_string().into(),
            })?;
        let ended = ended.abort();
        self.warm.put_branch(heap, live);
        match ended.outcome {
            Outcome::Done(done) if done.globals_told => Ok(done
                .globals
                .into_iter()
                .map(|global| (global.name.clone(), global))
                .collect()),
            Outcome::Done(_) => Err(Error::Engine {
                engine: hex::encode(&engine.0),
                reason: "its workers can't tell what a heap has by name".into(),
            }),
            outcome => Err(Error::Unavailable {
                reason: format!("the heap does not tell what it has by name: {outcome:?}").into(),
            }),
        }
    }
}

fn differences(
    mut before: BTreeMap<String, Global>,
    after: BTreeMap<String, Global>,
) -> Vec<Difference> {
    let shown = |global: &Global| Shown {
        text: global.text.clone(),
        bytes: global.text_bytes,
    };
    let mut found = Vec::new();
    for (name, now) in after {
        let was = before.remove(&name);
        if was.as_ref().is_none_or(|was| was.hash != now.hash) {
            found.push(Difference {
                before: was.as_ref().map(shown),
                after: Some(shown(&now)),
                name,
            });
        }
    }
    found.extend(before.into_iter().map(|(name, was)| Difference {
        before: Some(shown(&was)),
        after: None,
        name,
    }));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(values: &[(&str, &str)]) -> BTreeMap<String, Global> {
        let global = |(name, text): &(&str, &str)| {
            let global = Global {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
                text_bytes: text.len() as u64,
                hash: text.as_bytes().to_vec(),
            };
            ((*name).to_owned(), global)
        };
        values.iter().map(global).collect()
    }

    #[test]
    fn what_came_went_and_changed_is_told_in_order() {
        let before = globals(&[("gone", "1"), ("same", "2"), ("x", "3")]);
        let after = globals(&[("a", "4"), ("same", "2"), ("x", "5")]);
        let found = differences(before, after);
        let told: Vec<_> = found
            .iter()
            .map(|it| {
                let text = |shown: &Option<Shown>| shown.as_ref().map(|shown| shown.text.clone());
                (&it.name[..], text(&it.before), text(&it.after))
            })
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("a", None, some("4")),
                ("gone", some("1"), None),
                ("x", some("3"), some("5"))
            ]
        );
    }
}
