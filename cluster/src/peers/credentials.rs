//! How this node shows that it belongs to the cluster, and what it asks of others.

use std::net::SocketAddr;

use super::secret::ClusterSecret;
use super::tls::{Tls, TlsError, TlsFiles};

/// A shared secret, certificates, both or nothing.
#[derive(Clone, Default)]
pub struct Credentials {
    secret: Option<ClusterSecret>,
    tls: Option<Tls>,
}

/// Anybody who reaches the port could do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cluster port would be open to the network at {address} without authentication: set \
     --cluster-secret or --cluster-tls-ca, --cluster-tls-cert and --cluster-tls-key, or bind it to \
     a loopback address such as 127.0.0.1"
)]
pub struct OpenBind {
    /// Where it was to listen.
    pub address: SocketAddr,
}

impl Credentials {
    /// Reads what there is to read.
    ///
    /// # Errors
    /// The certificates are missing, or don't fit each other.
    pub fn load(secret: Option<ClusterSecret>, tls: Option<&TlsFiles>) -> Result<Self, TlsError> {
        let tls = tls.map(Tls::load).transpose()?;
        Ok(Self { secret, tls })
    }

    /// Whether the cluster port may listen there: without authentication only for this machine.
    ///
    /// # Errors
    /// It may not; the message names the ways out.
    pub fn allowed_bind(&self, address: SocketAddr) -> Result<(), OpenBind> {
        let authenticated = self.secret.is_some() || self.tls.is_some();
        // 127.0.0.1 written as an IPv6 address is the same.
        if authenticated || address.ip().to_canonical().is_loopback() {
            Ok(())
        } else {
            Err(OpenBind { address })
        }
    }

    /// Reads the certificates again; tells whether they are others. It blocks for a moment.
    ///
    /// # Errors
    /// They are missing, or don't fit each other: those of before stay in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.tls.as_ref().map_or(Ok(false), Tls::reload)
    }

    /// Whether connections are encrypted.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether requests must carry a token.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    pub(super) fn secret(&self) -> Option<&ClusterSecret> {
        self.secret.as_ref()
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_authentication_only_this_machine_is_served() {
        let none = Credentials::default();
        let secret = Credentials::load("0123456789abcdef".parse().ok(), None).unwrap();
        for loopback in [
            "127.0.0.1:1",
            "127.8.9.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(none.allowed_bind(loopback.parse().unwrap()), Ok(()));
        }
        for open in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[::ffff:10.0.0.1]:1"] {
            let address = open.parse().unwrap();
            assert_eq!(none.allowed_bind(address), Err(OpenBind { address }));
            assert_eq!(secret.allowed_bind(address), Ok(()));
        }
        let message = none
            .allowed_bind("0.0.0.0:7".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(message.contains("--cluster-secret") && message.contains("127.0.0.1"));
    }
}
