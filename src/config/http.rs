use std::net::{IpAddr, Ipv4Addr};

/// The listeners and who may use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address to listen on.
    pub bind_host: IpAddr,
    /// The port of the API and of MCP; 0 takes a free one. Without it and without `sse_port` the
    /// program speaks MCP on its standard streams.
    pub http_port: Option<u16>,
    /// The port of the old MCP transport, `/sse` and `/message`.
    pub sse_port: Option<u16>,
    /// Names that may stand in a request's `Host` beside the loopback ones; `*` allows all.
    pub allowed_hosts: Vec<String>,
    /// Origins of browser pages that may call; `*` allows all, none means that only requests without
    /// an `Origin` and those of the server's own pages are served.
    pub allowed_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            bind_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: None,
            sse_port: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            body_bytes_max: 4 << 20,
        }
    }
}
