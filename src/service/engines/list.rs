//! What operators see and decide of engines.

use std::collections::BTreeMap;
use std::time::Instant;

use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{EngineRecord, EngineState, Reason, SetEngineState};
use cluster::state::PAGE_ROWS_MAX;

use super::{Engines, Error, WRITE_TIMEOUT};
use crate::hex;

/// An engine, and what hangs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineInfo {
    /// What the cluster knows of it.
    pub record: EngineRecord,
    /// Sessions that live in it.
    pub sessions: u64,
    /// Names of the nodes whose own it is.
    pub nodes: Vec<String>,
}

impl EngineInfo {
    /// Whether the cluster has its bytes.
    pub fn is_kept(&self) -> bool {
        !self.record.worker_blob.is_empty() && !self.record.base_image_blob.is_empty()
    }
}

impl Engines {
    /// All engines of the cluster. It reads all sessions' records.
    ///
    /// # Errors
    /// There is no leader, or the state can't be read.
    pub async fn list(&self) -> Result<Vec<EngineInfo>, Error> {
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let state = self.0.cluster.linearizable(deadline).await?;
        let mut sessions: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = state.sessions("", after.as_deref(), PAGE_ROWS_MAX).await?;
            after = page.rows.last().map(|session| session.name.clone());
            for session in page.rows {
                *sessions.entry(session.engine_id).or_default() += 1;
            }
            if !page.more {
                break;
            }
        }
        let nodes = state.known_nodes();
        let engines = state.engines().await?.rows.into_iter();
        Ok(engines
            .map(|record| {
                let own = nodes.iter().filter(|node| node.engine_id == record.id);
                EngineInfo {
                    sessions: sessions.get(&record.id).copied().unwrap_or(0),
                    nodes: own.map(|node| node.name.clone()).collect(),
                    record,
                }
            })
            .collect())
    }

    /// Decides what may run in an engine, which is named by the beginning of its id; gives the whole id.
    ///
    /// # Errors
    /// No engine is meant, or it is retired, which it stays.
    pub async fn set_state(&self, id: &str, state: EngineState) -> Result<String, Error> {
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let reader = self.0.cluster.linearizable(deadline).await?;
        let engines = reader.engines().await?.rows;
        let fits = |record: &&EngineRecord| hex::encode(&record.id).starts_with(id);
        let found: Vec<_> = engines.iter().filter(fits).collect();
        let [record] = found[..] else {
            return Err(Error::Ambiguous {
                given: id.to_owned(),
                found: found.len(),
            });
        };
        let set = SetEngineState {
            id: record.id.clone(),
            state: state.into(),
        };
        let kind = Kind::SetEngineState(set);
        let committed = self.0.cluster.propose(kind, "", deadline).await?;
        match committed.reply.outcome {
            Some(Outcome::Done(_)) => Ok(hex::encode(&record.id)),
            Some(Outcome::Refused(refused)) => Err(match refused.reason() {
                Reason::WrongState => Error::Retired,
                reason => Error::Refused {
                    reason: reason.into(),
                },
            }),
            _ => Err(Error::Refused { reason: 0 }),
        }
    }
}
