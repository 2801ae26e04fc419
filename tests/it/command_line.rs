//! What is asked of the program without serving.

use serde_json::Value;

use crate::support::{Node, program, run};

#[tokio::test]
async fn help_and_version_go_to_the_standard_output() {
    let help = run(program().arg("--help")).await;
    assert_eq!(help.code, Some(0));
    for word in [
        "curl -X POST",
        "--http-port",
        "MCP_V8_HTTP_PORT",
        "[default: 30]",
        "exec",
    ] {
        assert!(
            help.out.contains(word),
            "{word} is missing in\n{}",
            help.out
        );
    }
    let version = run(program().arg("--version")).await;
    assert_eq!(
        version.out,
        format!("mcp-v8 {}\n", env!("CARGO_PKG_VERSION"))
    );
}

/// Flags that wait for a later version are not there, rather than without effect.
#[tokio::test]
async fn a_flag_that_is_not_known_is_refused() {
    for flag in [
        "--directory=/tmp/x",
        "--s3-buckets=x",
        "--heap-dir=/tmp/x",
        "--htpp-port=1",
    ] {
        let ended = run(program().arg(flag)).await;
        assert_eq!(ended.code, Some(2), "{flag}");
        let name = flag.split('=').next().expect("it is a flag");
        assert!(ended.err.contains(name), "{}", ended.err);
    }
}

/// Everything that the sandbox must stop is tried from inside of a run, on this very machine.
#[tokio::test]
async fn the_sandbox_stops_every_attempt() {
    let ended = run(program().args(["sandbox", "--json"])).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let report: Value = serde_json::from_str(&ended.out).expect("it prints JSON");
    let attempts = report["attempts"].as_array().expect("a list");
    assert_eq!(attempts.len(), 11);
    for attempt in attempts {
        assert!(attempt["stopped_by"].is_string(), "{attempt}");
    }
    // With no layer at all the same attempts succeed: the probes do try something.
    let ended = run(program().args(["sandbox", "--json", "--sandbox", "off"])).await;
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    let report: Value = serde_json::from_str(&ended.out).expect("it prints JSON");
    let opened = &report["attempts"][0];
    assert_eq!(opened["what"], "open a file");
    assert!(opened["stopped_by"].is_null(), "{opened}");
}

#[tokio::test]
async fn health_asks_a_server() {
    let node = Node::start(&[]).await;
    let ended = run(program().args(["health", "--url", &node.url("")])).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let nobody = run(program().args(["health", "--url", "http://127.0.0.1:1"])).await;
    assert_eq!(nobody.code, Some(3));
    assert!(nobody.err.contains("127.0.0.1:1"), "{}", nobody.err);
}
