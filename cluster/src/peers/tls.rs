//! Certificates of the node and of those it believes. They are read again when their files change: who connects
//! from then on sees the new ones, and what is connected already stays so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::watch;

/// Largest file that is read as a certificate or key, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What is spoken inside.
const HTTP_2: &[u8] = b"h2";

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
        "the CA in {}, the certificate in {} and the key in {} can't be used together: {source}",
        files.ca.display(), files.cert.display(), files.key.display()
    )]
    Unusable {
        /// Which.
        files: Box<TlsFiles>,
        /// What the TLS library says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What both ends of a connection show and check. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(super) struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    loaded: watch::Sender<Loaded>,
}

struct Loaded {
    texts: Texts,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// What is in the files.
#[derive(PartialEq, Eq)]
struct Texts {
    ca: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Reads the files and tries whether they fit.
    pub(super) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        if CryptoProvider::get_default().is_none() {
            // An error means that another thread was faster.
            let _ = aws_lc_rs::default_provider().install_default();
        }
        let loaded = Texts::read(files)?.load(files)?;
        Ok(Self(Arc::new(Inner {
            files: files.clone(),
            loaded: watch::Sender::new(loaded),
        })))
    }

    /// Reads the files again; tells whether they are others. When they don't fit, all stays as it is.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        let texts = Texts::read(&self.0.files)?;
        if self.0.loaded.borrow().texts == texts {
            return Ok(false);
        }
        let loaded = texts.load(&self.0.files)?;
        self.0.loaded.send_replace(loaded);
        Ok(true)
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.loaded.borrow().server)
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.loaded.borrow().client)
    }

    /// The name that a node's certificate has to carry, where it is not the host of its address.
    pub(super) fn domain(&self) -> Option<&str> {
        self.0.files.domain.as_deref()
    }
}

impl Texts {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            ca: read(&files.ca)?,
            cert: read(&files.cert)?,
            key: read(&files.key)?,
        })
    }

    fn load(self, files: &TlsFiles) -> Result<Loaded, TlsError> {
        match self.configs() {
            Ok((server, client)) => Ok(Loaded {
                texts: self,
                server: Arc::new(server),
                client: Arc::new(client),
            }),
            Err(source) => Err(TlsError::Unusable {
                files: Box::new(files.clone()),
                source,
            }),
        }
    }

    fn configs(
        &self,
    ) -> Result<(ServerConfig, ClientConfig), Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&self.ca) {
            roots.add(certificate?)?;
        }
        let roots = Arc::new(roots);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.cert).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)?;
        let operators = WebPkiClientVerifier::builder(Arc::clone(&roots)).build()?;
        let mut server = ServerConfig::builder()
            .with_client_cert_verifier(operators)
            .with_single_cert(chain.clone(), key.clone_key())?;
        let nodes = WebPkiServerVerifier::builder(roots).build()?;
        let mut client = ClientConfig::builder()
            .with_webpki_verifier(nodes)
            .with_client_auth_cert(chain, key)?;
        server.alpn_protocols = vec![HTTP_2.to_vec()];
        client.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok((server, client))
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
