use std::time::Duration;

use axum::http::HeaderMap;

/// The preferences of a request (RFC 7240) that are kept here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    /// Answer at once rather than at the end.
    pub respond_async: bool,
    /// With it: but wait so long for the end before that.
    pub wait: Option<Duration>,
}

/// The longest that a reply is held back for a caller who is ready to come back.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

impl Prefer {
    /// What the headers ask for; unknown preferences are passed over, as the RFC has it.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let values = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        for token in values.flat_map(|value| value.split(',')) {
            let token = token
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            if token == "respond-async" {
                prefer.respond_async = true;
            } else if let Some(seconds) = token.strip_prefix("wait=") {
                let seconds = seconds.trim_matches('"').parse().ok();
                prefer.wait = prefer.wait.or(seconds.map(Duration::from_secs));
            }
        }
        prefer.wait = prefer.wait.map(|wait| wait.min(WAIT_MAX));
        prefer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefer(values: &[&str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", value.parse().expect("a header"));
        }
        Prefer::of(&headers)
    }

    #[test]
    fn preferences_are_read_wherever_they_stand() {
        assert_eq!(prefer(&[]), Prefer::default());
        assert!(prefer(&["handling=lenient, Respond-Async; foo=bar"]).respond_async);
        let both = prefer(&["return=minimal", "wait=5, respond-async"]);
        assert!(both.respond_async);
        assert_eq!(both.wait, Some(Duration::from_secs(5)));
        assert_eq!(prefer(&["wait=999999"]).wait, Some(WAIT_MAX));
        assert_eq!(prefer(&["wait=soon"]), Prefer::default());
    }
}
