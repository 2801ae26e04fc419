//! Certificates of the node and of those it believes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

use super::limits::TLS_HANDSHAKE_TIMEOUT;

/// Largest file that is read as a certificate or key, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the certificates are, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whose signature makes a node or an operator one of us.
    pub ca: PathBuf,
    /// This node's certificate, with those between it and the CA.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The name that all nodes' certificates carry; without it, each must name the host in its address.
    pub domain: Option<String>,
}

/// TLS can't be used as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Files of certificates are small.
    #[error("{} has {bytes} bytes; no certificate or key is larger than {FILE_BYTES_MAX}", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// They are no certificates or keys, or don't belong together.
    #[error(
        "the CA in {}, the certificate in {} and the key in {} can't be used together: {}",
        files.ca.display(), files.cert.display(), files.key.display(), chain(source)
    )]
    Unusable {
        /// Which.
        files: Box<TlsFiles>,
        /// What the TLS library says.
        source: tonic::transport::Error,
    },
}

// tonic's own text is only "transport error".
fn chain(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What both ends of a connection show and check.
#[derive(Clone)]
pub(super) struct Tls {
    server: ServerTlsConfig,
    client: ClientTlsConfig,
}

impl Tls {
    /// Reads the files and tries whether they fit.
    pub(super) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        if CryptoProvider::get_default().is_none() {
            // An error means that another thread was faster.
            let _ = aws_lc_rs::default_provider().install_default();
        }
        let ca = Certificate::from_pem(read(&files.ca)?);
        let identity = Identity::from_pem(read(&files.cert)?, read(&files.key)?);
        let server = ServerTlsConfig::new()
            .identity(identity.clone())
            .client_ca_root(ca.clone())
            .timeout(TLS_HANDSHAKE_TIMEOUT);
        let mut client = ClientTlsConfig::new()
            .ca_certificate(ca)
            .identity(identity)
            .timeout(TLS_HANDSHAKE_TIMEOUT);
        if let Some(domain) = &files.domain {
            client = client.domain_name(domain);
        }
        let unusable = |source| TlsError::Unusable {
            files: Box::new(files.clone()),
            source,
        };
        Server::builder()
            .tls_config(server.clone())
            .map_err(unusable)?;
        Endpoint::from_static("https://localhost")
            .tls_config(client.clone())
            .map_err(unusable)?;
        Ok(Self { server, client })
    }

    pub(super) fn server(&self) -> ServerTlsConfig {
        self.server.clone()
    }

    pub(super) fn client(&self) -> ClientTlsConfig {
        self.client.clone()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(TlsError::TooLarge {
            path: path.to_owned(),
            bytes,
        });
    }
    fs::read(path).map_err(failed)
}
