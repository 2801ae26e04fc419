use axum::http::Uri;

use super::range::Range;
use super::{Error, Settings};

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesConfig {
    /// The collector's URL, of its gRPC port.
    pub endpoint: String,
    /// So many requests of a hundred are followed, of those of which nobody has decided it before.
    pub sample_percent: u8,
    /// What the node is called in them.
    pub node: Option<String>,
}

impl TracesConfig {
    /// Nothing is sent unless somebody says where.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, Error> {
        let percent = settings.otlp_sample_percent.unwrap_or(100);
        Range("otlp-sample-percent", 0, 100, "percent").check(percent)?;
        let Some(endpoint) = settings.otlp_endpoint.clone() else {
            return match settings.otlp_sample_percent {
                Some(_) => Err(Error::Needs {
                    flag: "otlp-sample-percent",
                    other: "otlp-endpoint",
                }),
                None => Ok(None),
            };
        };
        let uri = endpoint.parse::<Uri>().ok();
        let is_http = uri.is_some_and(|uri| uri.scheme_str() == Some("http"));
        if !is_http {
            return Err(Error::OtlpEndpoint { given: endpoint });
        }
        Ok(Some(Self {
            endpoint,
            sample_percent: u8::try_from(percent).expect("100 at most"),
            node: settings.node_id.clone(),
        }))
    }
}
