//! Where a run goes: to the node that runs its session, or to this one.

use std::time::{Duration, Instant};

use cluster::node::{Cluster, DiskLevel};

use super::Executions;
use super::remote::Remote;
use crate::error_code::ErrorCode;
use crate::service::run::{Error, Executed, ExecutionRequest, Submitted};
use crate::service::sessions::{self, Owner, Target};

/// A session that moves about for so long is given up: nothing has run.
const ROUTING_MAX: Duration = Duration::from_secs(15);
/// Before a session is looked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// What is asked of the node that runs a session.
#[derive(Clone, Copy)]
enum Ask {
    Execute,
    Submit,
}

enum Answer {
    Executed(Box<Executed>),
    Submitted(Submitted),
}

impl Executions {
    /// Runs it and gives the end, wherever it has to run. Dropping the future stops the execution, unless the
    /// request has an idempotency key, or another node runs it.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn execute(&self, request: ExecutionRequest) -> Result<Executed, Error> {
        let Some(target) = request.target.clone() else {
            return self.runs.execute(request, None).await;
        };
        match Box::pin(self.route(request, target, Ask::Execute)).await? {
            Answer::Executed(executed) => Ok(*executed),
            Answer::Submitted(_) => unreachable!("it was asked for the end"),
        }
    }

    /// Checks it, lets it into the queue of the node that has to run it, and returns.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn submit(&self, request: ExecutionRequest) -> Result<Submitted, Error> {
        let Some(target) = request.target.clone() else {
            return self.runs.submit(request, None);
        };
        match Box::pin(self.route(request, target, Ask::Submit)).await? {
            Answer::Submitted(submitted) => Ok(submitted),
            Answer::Executed(_) => unreachable!("it was not asked for the end"),
        }
    }

    /// A run in a session of this node, for another node that takes it to be here.
    ///
    /// # Errors
    /// As [`Error`] tells; the session may be elsewhere.
    pub async fn execute_here(&self, request: ExecutionRequest) -> Result<Executed, Error> {
        let turn = self.turn(&request).await?;
        self.runs.execute(request, Some(turn)).await
    }

    /// The same without waiting for the end.
    ///
    /// # Errors
    /// As [`Self::execute_here`].
    pub async fn submit_here(&self, request: ExecutionRequest) -> Result<Submitted, Error> {
        let turn = self.turn(&request).await?;
        self.runs.submit(request, Some(turn))
    }

    async fn turn(&self, request: &ExecutionRequest) -> Result<sessions::Turn, Error> {
        let sessions = self.sessions.as_ref().ok_or(sessions::Error::Off)?;
        let target = request.target.as_ref();
        let target = target.ok_or(sessions::Error::Record)?;
        Ok(sessions.enter(target).await?)
    }

    async fn route(
        &self,
        request: ExecutionRequest,
        target: Target,
        ask: Ask,
    ) -> Result<Answer, Error> {
        let sessions = self.sessions.as_ref().ok_or(sessions::Error::Off)?;
        let cluster = self.cluster.as_ref().ok_or(sessions::Error::Off)?;
        let give_up = Instant::now() + ROUTING_MAX;
        let mut take_over = false;
        let mut relieved = false;
        loop {
            let owner = sessions.owner(&target, &request.principal, take_over);
            take_over = false;
            let answer = match owner.await? {
                Owner::Here => self.here(request.clone(), ask).await,
                Owner::There(node) => match Remote::answers(cluster, node).await {
                    true => there(cluster, node, &request, ask).await,
                    false => {
                        take_over = true;
                        Err(Error::Unreachable { node })
                    }
                },
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match &error {
                _ if Instant::now() >= give_up => return Err(error),
                Error::Unreachable { .. } => {}
                // With a key a run that may be kept already is found again, and not run twice.
                Error::BrokeOff { .. } if request.idempotency_key.is_some() => {}
                error if error.code() == ErrorCode::SessionMoved => sessions.refresh().await?,
                // It has no room: its sessions go on where there is some. Where there is none the claim is refused.
                Error::Remote {
                    code: ErrorCode::DiskFull,
                    ..
                } if !relieved && cluster.disk_level() == DiskLevel::Roomy => {
                    relieved = true;
                    take_over = true;
                }
                // It is about to end: its sessions go on elsewhere.
                Error::Remote {
                    code: ErrorCode::Draining,
                    ..
                } => take_over = true,
                _ => return Err(error),
            }
            tracing::debug!(%error, "a session is looked for again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn here(&self, request: ExecutionRequest, ask: Ask) -> Result<Answer, Error> {
        Ok(match ask {
            Ask::Execute => Answer::Executed(Box::new(self.execute_here(request).await?)),
            Ask::Submit => Answer::Submitted(self.submit_here(request).await?),
        })
    }
}

async fn there(
    cluster: &Cluster,
    node: u64,
    request: &ExecutionRequest,
    ask: Ask,
) -> Result<Answer, Error> {
    let remote = Remote::to(cluster, node)?;
    Ok(match ask {
        Ask::Execute => Answer::Executed(Box::new(remote.execute(request).await?)),
        Ask::Submit => Answer::Submitted(remote.submit(request).await?),
    })
}
