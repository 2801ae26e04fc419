//! An execution in a session or heap: first its turn there, then a place among those that run.

use worker_protocol::{ConsoleLevel, ConsoleLine};

use super::drive::EndsAnyway;
use super::limits::Limits;
use super::record::Ending;
use super::reply::StoredReply;
use super::{Error, Status, outcome};
use crate::service::sessions::{self, Hooks, Place, Reply, Run, StatefulRun, TaskFence, Turn};
use crate::workers::{Ended, RunRequest};

/// Who asks for a run, and how often it may happen.
pub(super) struct Whose {
    pub principal: String,
    pub key: Option<(String, [u8; 32])>,
    pub task: Option<TaskFence>,
}

/// Drives it to its end.
pub(super) async fn drive(
    guard: EndsAnyway,
    mut turn: Turn,
    request: RunRequest,
    whose: Whose,
    limits: Limits,
) {
    let EndsAnyway { inner, record } = &guard;
    tokio::select! {
        biased;
        () = record.cancel.cancelled() => {
            inner.finish(record, outcome::cancelled(), None);
            return;
        }
        () = turn.wait() => {}
    }
    let admitted = match inner.admission.admit() {
        Ok(admitted) => admitted,
        Err(error) => return inner.finish(record, outcome::not_run(error), None),
    };
    let Some(place) = guard.place(admitted).await else {
        return;
    };
    if !record.begin() {
        return;
    }
    let run = StatefulRun {
        request,
        principal: whose.principal,
        key: whose.key,
        task: whose.task,
    };
    let ending = |ended: &Ended| outcome::ending(ended.outcome.clone(), &limits, &inner.config);
    let mut made = None;
    let hooks = Hooks {
        console: &mut |line| record.print(&line),
        reply: &mut |ended| {
            let ending = made.insert(ending(ended));
            Reply {
                bytes: StoredReply::new(ending, record.view()).encode(),
                succeeded: ending.status == Status::Completed,
                last: outcome::is_final(ending.error.as_ref().map(|error| error.code)),
            }
        },
        unknown: &mut || {
            let error = sessions::Error::Propose(cluster::node::ProposeError::Unknown);
            inner.finish(record, outcome::not_run(error.into()), None);
        },
        cancel: record.cancel.clone(),
    };
    let ran = turn.run(run, hooks).await;
    drop(place);
    let at = |ending: Ending, place: Place| Ending {
        place: Some(place),
        ..ending
    };
    match ran {
        Ok(Run::Kept { ended, place }) => {
            let ending = made.unwrap_or_else(|| ending(&ended));
            inner.finish(record, at(ending, place), Some(ended.duration));
        }
        Ok(Run::NotKept {
            ended,
            refused,
            place,
        }) => {
            let ending = match refused.code() {
                Some(_) => outcome::not_kept(&refused),
                None => ending(&ended),
            };
            inner.finish(record, at(ending, place), Some(ended.duration));
        }
        Ok(Run::Replayed { reply, place }) => {
            let ending = match StoredReply::decode(&reply) {
                Ok(reply) => {
                    if !reply.output.is_empty() {
                        record.print(&ConsoleLine {
                            level: ConsoleLevel::Log.into(),
                            text: reply.output.trim_end_matches('\n').to_owned(),
                        });
                    }
                    Ending {
                        replayed: true,
                        ..reply.into()
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a reply of the history is not understood");
                    outcome::not_run(sessions::Error::Record.into())
                }
            };
            inner.finish(record, at(ending, place), None);
        }
        Err(error) => {
            tracing::debug!(execution_id = %record.id, %error, "nothing is kept of an execution");
            inner.finish(record, outcome::not_run(Error::from(error)), None);
        }
    }
}
