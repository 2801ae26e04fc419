//! Who may call: the `Host` and `Origin` checks that keep a web page away from a server on the
//! visitor's own machine or network.
//!
//! A page can make a browser send requests anywhere. Its `Origin` gives it away, unless it let its own
//! name point here (DNS rebinding): then `Host` does.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;
use crate::config::HttpConfig;
use crate::error_code::ErrorCode;

/// The hosts and origins that are served.
#[derive(Clone, Debug)]
pub struct Guard {
    hosts: Arc<[String]>,
    any_host: bool,
    /// Bound to loopback, only this machine's names make sense. Otherwise an address as the host is
    /// fine too: rebinding needs a name.
    loopback_only: bool,
    origins: Arc<[String]>,
    any_origin: bool,
}

/// These tell nothing and do nothing, and load balancers ask for them under any name.
const UNGUARDED: [&str; 3] = ["/health", "/livez", "/readyz"];

impl Guard {
    /// The guard that the configuration asks for.
    pub fn new(config: &HttpConfig) -> Self {
        let lower = |names: &[String]| -> Arc<[String]> {
            names
                .iter()
                .map(|name| name.trim().trim_end_matches('/').to_ascii_lowercase())
                .collect()
        };
        Self {
            hosts: lower(&config.allowed_hosts),
            any_host: config.allowed_hosts.iter().any(|host| host == "*"),
            loopback_only: config.bind_host.is_loopback(),
            origins: lower(&config.allowed_origins),
            any_origin: config.allowed_origins.iter().any(|origin| origin == "*"),
        }
    }

    fn host_is_allowed(&self, host: &Authority) -> bool {
        if self.any_host {
            return true;
        }
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let name = name.to_ascii_lowercase();
        if let Ok(address) = name.parse::<IpAddr>() {
            if address.is_loopback() || !self.loopback_only {
                return true;
            }
        } else if name == "localhost" {
            return true;
        }
        let with_port = host.as_str().to_ascii_lowercase();
        self.hosts.iter().any(|known| {
            let known_name = known.trim_start_matches('[').trim_end_matches(']');
            known_name == name || *known == with_port
        })
    }

    fn origin_is_allowed(&self, origin: &str, host: &Authority) -> bool {
        if self.any_origin {
            return true;
        }
        let origin = origin.to_ascii_lowercase();
        // A page of this very server: the host was found good before.
        let own = origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority == host.as_str().to_ascii_lowercase());
        own || self.origins.contains(&origin)
    }

    fn check(&self, request: &Request) -> Result<Option<HeaderValue>, Problem> {
        let host = authority(request).ok_or_else(|| {
            Problem::new(
                ErrorCode::HostNotAllowed,
                "the request has no valid Host header",
            )
            .in_field(Some("host".into()))
        })?;
        if !self.host_is_allowed(&host) {
            let detail = format!("the host {host} is not one that this server answers for");
            return Err(Problem::new(ErrorCode::HostNotAllowed, detail)
                .hint("an operator can add it with --allowed-hosts")
                .in_field(Some("host".into())));
        }
        let Some(origin) = request.headers().get(header::ORIGIN) else {
            return Ok(None);
        };
        let allowed = origin
            .to_str()
            .is_ok_and(|text| self.origin_is_allowed(text, &host));
        if !allowed {
            let detail = format!("pages of {origin:?} may not call this server");
            return Err(Problem::new(ErrorCode::OriginNotAllowed, detail)
                .hint("an operator can add the origin with --allowed-origins")
                .in_field(Some("origin".into())));
        }
        Ok(Some(origin.clone()))
    }
}

/// The host that the request is for: HTTP/2 has it in the URI, HTTP/1 in a header.
fn authority(request: &Request) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    let host = Authority::try_from(host.as_bytes()).ok()?;
    (!host.as_str().contains('@')).then_some(host)
}

/// Refuses what the guard does not let through, and answers the questions that a browser asks before
/// it lets a page of an allowed origin call.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if UNGUARDED.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let origin = match guard.check(&request) {
        Ok(origin) => origin,
        Err(problem) => return problem.into_response(),
    };
    let Some(origin) = origin else {
        return next.run(request).await;
    };
    let asks_first = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first {
        preflight(request.headers())
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "location, retry-after, preference-applied, idempotency-replayed, x-request-id, \
             mcp-session-id, mcp-protocol-version",
        ),
    );
    response
}

/// Allows the methods of all routes, and the headers that are asked for: the origin is trusted.
fn preflight(asked: &HeaderMap) -> Response {
    const MAX_AGE_SECS: HeaderName = header::ACCESS_CONTROL_MAX_AGE;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE"),
    );
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.insert(MAX_AGE_SECS, HeaderValue::from_static("600"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn guard(bind_host: &str, hosts: &[&str], origins: &[&str]) -> Guard {
        Guard::new(&HttpConfig {
            bind_host: bind_host.parse().expect("an address"),
            allowed_hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            allowed_origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
            ..HttpConfig::default()
        })
    }

    fn code(guard: &Guard, host: &str, origin: Option<&str>) -> u16 {
        let mut request = Request::builder().uri("/api/exec").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.body(Body::empty()).expect("a request");
        match guard.check(&request) {
            Ok(_) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn on_loopback_only_its_names_are_served() {
        let guard = guard("127.0.0.1", &[], &[]);
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "[::1]:80",
            "127.0.0.2",
        ] {
            assert_eq!(code(&guard, good, None), 200, "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "192.168.1.4",
            "evil@localhost:x",
        ] {
            assert_eq!(code(&guard, bad, None), 403, "{bad}");
        }
    }

    #[test]
    fn on_every_address_addresses_are_served_and_names_must_be_listed() {
        let guard = guard("0.0.0.0", &["api.example", "other.example:81"], &[]);
        for good in [
            "192.168.1.4:8080",
            "[2001:db8::1]",
            "localhost",
            "API.example:9",
            "other.example:81",
        ] {
            assert_eq!(code(&guard, good, None), 200, "{good}");
        }
        for bad in ["evil.example", "other.example:82", "other.example"] {
            assert_eq!(code(&guard, bad, None), 403, "{bad}");
        }
    }

    #[test]
    fn a_star_serves_every_host_but_not_every_page() {
        let guard = guard("0.0.0.0", &["*"], &[]);
        assert_eq!(code(&guard, "any.example", None), 200);
        assert_eq!(
            code(&guard, "any.example", Some("https://any.example")),
            200
        );
        assert_eq!(
            code(&guard, "any.example", Some("https://evil.example")),
            403
        );
        assert_eq!(code(&guard, "any.example", Some("null")), 403);
    }

    #[test]
    fn listed_origins_are_served() {
        let listed = guard("127.0.0.1", &[], &["https://App.example/"]);
        assert_eq!(
            code(&listed, "localhost:1", Some("https://app.example")),
            200
        );
        assert_eq!(
            code(&listed, "localhost:1", Some("http://app.example")),
            403
        );
        assert_eq!(
            code(&listed, "localhost:1", Some("http://localhost:2")),
            403
        );
        assert_eq!(code(&guard("::1", &[], &["*"]), "[::1]", Some("null")), 200);
    }

    #[test]
    fn a_request_without_one_clear_host_is_refused() {
        let guard = guard("127.0.0.1", &[], &[]);
        let request = Request::builder()
            .uri("/")
            .body(Body::empty())
            .expect("a request");
        assert!(guard.check(&request).is_err());
        let request = Request::builder()
            .uri("/")
            .header("host", "localhost")
            .header("host", "evil.example")
            .body(Body::empty())
            .expect("a request");
        assert!(guard.check(&request).is_err());
    }
}
