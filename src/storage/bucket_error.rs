use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// What lies behind a failed request.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a request was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// An object was to be written.
    Writing,
    /// An object was to be read.
    Reading,
    /// An object was to be removed.
    Removing,
    /// Objects were to be listed.
    Listing,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Writing => "write",
            Self::Reading => "read",
            Self::Removing => "remove",
            Self::Listing => "list",
        })
    }
}

/// Why a bucket did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// There is none of the name.
    #[error("there is no bucket {bucket}: make it, or correct --s3-bucket")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The credentials are wrong, or don't allow it.
    #[error(
        "S3 lets nobody {doing} {key:?} in bucket {bucket} with these credentials ({code}): look at \
         AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the policy of the bucket"
    )]
    Denied {
        /// Its name.
        bucket: String,
        /// What was to be done.
        doing: Doing,
        /// With which object.
        key: String,
        /// What the server calls it.
        code: String,
    },
    /// There are no credentials, or the request can't be made with what is configured.
    #[error(
        "no request to {doing} {key:?} in bucket {bucket} can be made ({cause}): look at AWS_REGION, \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NotSent {
        /// Its name.
        bucket: String,
        /// What was to be done.
        doing: Doing,
        /// With which object.
        key: String,
        /// Why.
        cause: Cause,
    },
    /// The server can't be reached, or does not answer in time; this often.
    #[error("S3 does not answer: can't {doing} {key:?} in bucket {bucket}: {cause}")]
    Unavailable {
        /// Its name.
        bucket: String,
        /// What was to be done.
        doing: Doing,
        /// With which object.
        key: String,
        /// Why.
        cause: Cause,
    },
    /// The server answered something else.
    #[error("S3 can't {doing} {key:?} in bucket {bucket} ({code}): {message}")]
    Refused {
        /// Its name.
        bucket: String,
        /// What was to be done.
        doing: Doing,
        /// With which object.
        key: String,
        /// What the server calls it.
        code: String,
        /// What the server says.
        message: String,
    },
    /// An object's bytes broke off.
    #[error("S3 gave {bytes} bytes of {key:?} in bucket {bucket}, and no more")]
    Broken {
        /// Its name.
        bucket: String,
        /// Which object.
        key: String,
        /// How many bytes came.
        bytes: usize,
        /// Why, where that is known.
        cause: Option<Cause>,
    },
}

impl BucketError {
    pub(super) fn new<E>(bucket: &str, doing: Doing, key: &str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let bucket = bucket.to_owned();
        let key = key.to_owned();
        match error {
            SdkError::ServiceError(error) => {
                let status = error.raw().status().as_u16();
                let meta = error.err().meta();
                let code = meta
                    .code()
                    .map_or_else(|| status.to_string(), str::to_owned);
                let message = meta.message().unwrap_or_default().to_owned();
                match status {
                    404 if code == "NoSuchBucket" => Self::NoBucket { bucket },
                    401 | 403 => Self::Denied {
                        bucket,
                        doing,
                        key,
                        code,
                    },
                    429 | 500.. => Self::Unavailable {
                        bucket,
                        doing,
                        key,
                        cause: format!("{code}: {message}").into(),
                    },
                    _ => Self::Refused {
                        bucket,
                        doing,
                        key,
                        code,
                        message,
                    },
                }
            }
            SdkError::ConstructionFailure(_) => Self::NotSent {
                bucket,
                doing,
                key,
                cause: innermost(error),
            },
            SdkError::DispatchFailure(ref failure) if failure.is_other() || failure.is_user() => {
                Self::NotSent {
                    bucket,
                    doing,
                    key,
                    cause: innermost(error),
                }
            }
            _ => Self::Unavailable {
                bucket,
                doing,
                key,
                cause: innermost(error),
            },
        }
    }

    /// Whether the operator has to do something: trying again does not help.
    pub fn is_for_good(&self) -> bool {
        matches!(
            self,
            Self::NoBucket { .. } | Self::Denied { .. } | Self::NotSent { .. }
        )
    }
}

/// The library wraps what happened several times; the cause alone says something.
fn innermost<E: std::error::Error + Send + Sync + 'static>(error: SdkError<E>) -> Cause {
    let mut found: &dyn std::error::Error = &error;
    while let Some(source) = found.source() {
        found = source;
    }
    found.to_string().into()
}
