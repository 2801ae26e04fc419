//! What a node, or an operator, shows a cluster: settings, and what is read from them.

use std::path::PathBuf;

use cluster::peers::{ClusterSecret, Credentials, MalformedSecret, TlsError, TlsFiles};

/// Where the credentials are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialSource {
    /// The secret itself.
    pub secret: Option<String>,
    /// A file that has it.
    pub secret_file: Option<PathBuf>,
    /// Whose signature makes a node or an operator one of us.
    pub tls_ca: Option<PathBuf>,
    /// The certificate.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// The name in all certificates.
    pub tls_domain: Option<String>,
}

/// Why the credentials can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Both forms of the secret.
    #[error("--cluster-secret and --cluster-secret-file are both set: one of them is enough")]
    TwoSecrets,
    /// The file.
    #[error("can't read the cluster secret from {}: {source}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// It is no secret.
    #[error("{0}")]
    Secret(#[from] MalformedSecret),
    /// One of the three files is missing.
    #[error(
        "--cluster-tls-ca, --cluster-tls-cert and --cluster-tls-key belong together: set all or none"
    )]
    TlsInPart,
    /// The files.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl CredentialSource {
    /// Reads them.
    ///
    /// # Errors
    /// As [`CredentialsError`] tells.
    pub fn load(&self) -> Result<Credentials, CredentialsError> {
        let text = match (&self.secret, &self.secret_file) {
            (Some(_), Some(_)) => return Err(CredentialsError::TwoSecrets),
            (Some(secret), None) => Some(secret.clone()),
            (None, Some(path)) => Some(std::fs::read_to_string(path).map_err(|source| {
                CredentialsError::SecretFile {
                    path: path.clone(),
                    source,
                }
            })?),
            (None, None) => None,
        };
        let secret: Option<ClusterSecret> = text.map(|text| text.parse()).transpose()?;
        let files = match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(cert), Some(key)) => Some(TlsFiles {
                ca: ca.clone(),
                cert: cert.clone(),
                key: key.clone(),
                domain: self.tls_domain.clone(),
            }),
            (None, None, None) => None,
            _ => return Err(CredentialsError::TlsInPart),
        };
        Ok(Credentials::load(secret, files.as_ref())?)
    }
}
