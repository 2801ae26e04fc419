use reqwest::{Method, Response};

use super::problem;
use crate::server::TestServer;

async fn send(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = server.client.get(server.at(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("a reply")
}

/// A web page that lets its own name point here, or that calls across origins, is refused.
#[tokio::test]
async fn foreign_hosts_and_pages_are_refused() {
    let server = TestServer::start(&[]);
    let reply = send(&server, "/api/executions", &[("host", "evil.example")]).await;
    assert_eq!(reply.status(), 403);
    assert_eq!(problem(reply).await["code"], "host_not_allowed");
    let reply = send(
        &server,
        "/api/executions",
        &[("origin", "https://evil.example")],
    )
    .await;
    assert_eq!(reply.status(), 403);
    assert!(!reply.headers().contains_key("access-control-allow-origin"));
    assert_eq!(problem(reply).await["code"], "origin_not_allowed");
    let own = server.url.to_owned();
    assert_eq!(
        send(&server, "/api/executions", &[("origin", &own)])
            .await
            .status(),
        200
    );
    // A load balancer asks for these under any name.
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(
            send(&server, path, &[("host", "10.0.0.7.probe")])
                .await
                .status(),
            200,
            "{path}"
        );
    }
}

/// What the operator allows is served, and a browser is told so.
#[tokio::test]
async fn allowed_hosts_and_origins_are_served() {
    let server = TestServer::start(&[
        "--allowed-hosts",
        "api.example",
        "--allowed-origins",
        "https://app.example",
    ]);
    let reply = send(&server, "/api/executions", &[("host", "api.example:81")]).await;
    assert_eq!(reply.status(), 200);
    let origin = ("origin", "https://app.example");
    let reply = send(&server, "/api/executions", &[origin]).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(
        reply.headers()["access-control-allow-origin"],
        "https://app.example"
    );
    let request = server
        .client
        .request(Method::OPTIONS, server.at("/api/exec"));
    let request = request
        .header(origin.0, origin.1)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let reply = request.send().await.expect("a reply");
    assert_eq!(reply.status(), 204);
    assert_eq!(
        reply.headers()["access-control-allow-headers"],
        "content-type"
    );
}
