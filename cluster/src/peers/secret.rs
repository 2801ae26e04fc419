//! What nodes of one cluster share, so that nobody else speaks to them.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Shortest secret, in bytes: what is sent is a plain hash of it, which short ones would not survive.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;

/// Keeps the token apart from any other use that is made of the same secret.
const LABEL: &[u8] = b"mcp-v8 cluster token 1\0";

/// The cluster's secret. It is not kept, only what is derived from it, and it prints as `***`.
#[derive(Clone)]
pub struct ClusterSecret {
    // 64 hexadecimal digits.
    token: HeaderValue,
}

/// The text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cluster secret has {bytes} bytes; it takes {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}, \
     best made by `openssl rand -hex 32`"
)]
pub struct MalformedSecret {
    /// How long it is.
    pub bytes: usize,
}

impl FromStr for ClusterSecret {
    type Err = MalformedSecret;

    fn from_str(text: &str) -> Result<Self, MalformedSecret> {
        // A file or variable often ends with a newline that nobody meant.
        let text = text.trim();
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()) {
            return Err(MalformedSecret { bytes: text.len() });
        }
        let digest = Sha256::new()
            .chain_update(LABEL)
            .chain_update(text)
            .finalize();
        let mut token = HeaderValue::try_from(format!("{digest:x}"))
            .expect("hexadecimal digits are a header's value");
        token.set_sensitive(true);
        Ok(Self { token })
    }
}

impl ClusterSecret {
    /// What a request carries.
    pub(super) fn token(&self) -> HeaderValue {
        self.token.clone()
    }

    /// Whether a request that carries this knows the secret. Takes as long for any wrong one.
    pub(super) fn accepts(&self, token: &HeaderValue) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_accepts_its_own_token_and_prints_nothing() {
        let secret: ClusterSecret = "correct horse battery staple\n".parse().unwrap();
        let same: ClusterSecret = "correct horse battery staple".parse().unwrap();
        let other: ClusterSecret = "correct horse battery stable".parse().unwrap();
        assert!(secret.accepts(&same.token()));
        assert!(!secret.accepts(&other.token()));
        assert!(!secret.accepts(&HeaderValue::from_static("")));
        assert!(!secret.accepts(&HeaderValue::from_static("correct horse battery staple")));
        assert_eq!(format!("{secret:?} {:?}", secret.token()), "*** Sensitive");
    }

    #[test]
    fn short_secrets_are_refused() {
        assert_eq!(
            "123456789012345 ".parse::<ClusterSecret>().unwrap_err(),
            MalformedSecret { bytes: 15 }
        );
        assert!("1234567890123456".parse::<ClusterSecret>().is_ok());
    }
}
