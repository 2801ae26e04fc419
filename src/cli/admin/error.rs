use std::time::Duration;

use cluster::peers::AddressError;
use tonic::{Code, Status};

use crate::cli::Exit;
use crate::config::CredentialsError;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What is to be shown the cluster.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// An endpoint.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody answers.
    #[error("no endpoint answers ({}); the last one said: {last}", tried.join(", "))]
    NoAnswer {
        /// Whom we asked.
        tried: Vec<String>,
        /// What the last one said.
        last: String,
    },
    /// The cluster said no.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// The secret or the certificate is wrong.
    #[error("{message} (--cluster-secret, --cluster-tls-*)")]
    Unauthenticated {
        /// What the node said.
        message: String,
    },
    /// The change did not come in time.
    #[error("not in force after {} s: {waiting}; it may still come, and the command can be given again", waited.as_secs())]
    TimedOut {
        /// How long we waited.
        waited: Duration,
        /// For what.
        waiting: String,
    },
    /// A file.
    #[error("can't write {}: {source}", path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The output.
    #[error("can't write to the standard output")]
    Output(#[from] std::io::Error),
}

impl AdminError {
    /// The program's exit.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Credentials(_) | Self::Address(_) => Exit::Usage,
            Self::Refused { .. } | Self::Unauthenticated { .. } => Exit::Failed,
            Self::NoAnswer { .. } | Self::Output(_) | Self::File { .. } => Exit::CouldNotRun,
            Self::TimedOut { .. } => Exit::TimedOut,
        }
    }
}

/// What a status means for an operator's call.
pub enum Verdict {
    /// Another endpoint, or the same one later, may do it.
    Again,
    /// Nobody will.
    Final(AdminError),
}

/// What to make of a status.
pub fn verdict(status: &Status) -> Verdict {
    let message = status.message().to_owned();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled => {
            Verdict::Again
        }
        Code::Unauthenticated | Code::PermissionDenied => {
            Verdict::Final(AdminError::Unauthenticated { message })
        }
        _ => Verdict::Final(AdminError::Refused { message }),
    }
}
