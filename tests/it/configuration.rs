//! Where a setting comes from, and what is said when it makes no sense.

use std::io::Write as _;

use serde_json::json;

use crate::support::{Node, program, run};

/// One node with a setting in each source: the nearer one wins.
#[tokio::test]
async fn flags_win_over_variables_and_variables_over_the_file() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"heap-mb = 20\nstack-kb = 512\nqueue-max = 7\nhttp-port = 1\n")
        .expect("written");
    let mut command = program();
    command
        .arg("--config")
        .arg(file.path())
        .env("MCP_V8_STACK_KB", "600")
        .env("MCP_V8_QUEUE_MAX", "8")
        .env("MCP_V8_HEAP_MEMORY_MAX", "24")
        .args(["--queue-max", "9", "--http-port", "0"]);
    let node = Node::spawn(command, 1).await;
    let limits = &node.health().await["limits"];
    assert_eq!(
        limits["heap_mb"]["default"], 24,
        "the variable's other name, over the file"
    );
    assert_eq!(
        limits["stack_kb"]["default"], 600,
        "the variable, over the file"
    );
    assert_eq!(limits["queue_max"], 9, "the flag, over the variable");
    assert_eq!(
        limits["timeout_ms"],
        json!({"default": 30_000, "max": 300_000})
    );
}

/// Platforms that give a port by `PORT` need no flag; an empty variable is none.
#[tokio::test]
async fn the_port_of_the_platform_is_taken() {
    let mut command = program();
    command.env("PORT", "0").env("MCP_V8_HTTP_PORT", "");
    let node = Node::spawn(command, 1).await;
    assert!(node.get("/livez").await.status().is_success());
}

/// Both listeners serve the API; the older transport of MCP is on its own.
#[tokio::test]
async fn two_listeners() {
    let mut command = program();
    command.args(["--http-port", "0", "--sse-port", "0", "--stateless"]);
    let node = Node::spawn(command, 2).await;
    for listener in ["http", "sse"] {
        let reply = reqwest::get(node.url_of(listener, "/livez"))
            .await
            .expect("an answer");
        assert!(reply.status().is_success(), "{listener}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_start() {
    let refused = async |arguments: &[&str], words: &[&str]| {
        let ended = run(program().args(["--http-port", "0"]).args(arguments)).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.err);
        for word in words {
            assert!(
                ended.err.contains(word),
                "{arguments:?}: {word} is missing in {}",
                ended.err
            );
        }
    };
    refused(
        &["--heap-mb", "1"],
        &["--heap-mb is 1", "from 8 to 4096 MiB"],
    )
    .await;
    refused(&["--sse-port", "x"], &["--sse-port", "'x'"]).await;
    // The sum, so that one sees what to change.
    refused(
        &["--runs-max", "50000", "--memory-mb", "1024"],
        &[
            "50000 runs × 1024 MiB + ",
            " reserve",
            " = ",
            "more than the ",
            "lower --runs-max",
        ],
    )
    .await;
    let ended = run(program()
        .env("MCP_V8_TIMEOUT_SECS", "0")
        .args(["--http-port", "0"]))
    .await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("--timeout-secs is 0"), "{}", ended.err);
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let port = url.rsplit(':').next().expect("a port");
    let ended = run(program().args(["--http-port", port])).await;
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(
        ended.err.contains(&format!("127.0.0.1:{port}")),
        "{}",
        ended.err
    );
}
