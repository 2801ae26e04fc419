//! The same sessions through the tools of MCP.

use reqwest::Client;
use serde_json::{Value, json};

use super::said;
use crate::support::Node;

/// Calls a tool and gives its result; `header` names the session of all calls of a client.
async fn call(node: &Node, tool: &str, arguments: Value, header: Option<&str>) -> Value {
    let body = json!({
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": { "name": tool, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        } },
    });
    let mut request = Client::new()
        .post(node.url("/mcp"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", tool)
        .body(body.to_string());
    if let Some(session) = header {
        request = request.header("x-mcp-session-id", session);
    }
    let text = request
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("it ends");
    let json = text
        .lines()
        .find_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}")));
    let reply: Value = serde_json::from_str(&json.unwrap_or(text)).expect("JSON");
    reply["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_goes_on_looks_back_and_forks() {
    let node = Node::start(&[]).await;
    let run = async |code: &str| {
        call(
            &node,
            "run_js",
            json!({"code": code, "session": "agent"}),
            None,
        )
        .await
    };
    let first = run("let n = 1; n").await;
    assert_eq!(first["structuredContent"]["result"], 1, "{first}");
    assert_eq!(run("++n").await["structuredContent"]["result"], 2);
    assert_eq!(run("++n").await["structuredContent"]["result"], 3);

    let listed = call(&node, "session_list", json!({}), None).await;
    assert_eq!(
        listed["structuredContent"]["sessions"][0]["commits"], 3,
        "{listed}"
    );
    let log = call(
        &node,
        "session_log",
        json!({"session": "agent", "limit": 2}),
        None,
    )
    .await;
    assert_eq!(
        log["structuredContent"]["commits"][0]["code"], "++n",
        "{log}"
    );
    assert!(log["structuredContent"]["next_from"].is_string());

    let fork = json!({"session": "agent", "name": "other", "commit": 1});
    let forked = call(&node, "session_fork", fork.clone(), None).await;
    assert_eq!(forked["structuredContent"]["commits"], 1, "{forked}");
    let again = call(&node, "session_fork", fork, None).await;
    assert_eq!(again["isError"], true, "{again}");
    assert_eq!(said(&node, "other", "n").await, "1");
    let reset = call(
        &node,
        "session_reset",
        json!({"session": "agent", "commit": 2}),
        None,
    )
    .await;
    assert_eq!(reset["structuredContent"]["commits"], 2, "{reset}");
    assert_eq!(said(&node, "agent", "n").await, "2");
    let nowhere = call(&node, "session_reset", json!({"session": "agent"}), None).await;
    assert_eq!(nowhere["isError"], true);
    call(&node, "session_delete", json!({"session": "other"}), None).await;
    let gone = call(&node, "session_log", json!({"session": "other"}), None).await;
    let text = gone["content"][0]["text"].as_str().expect("a text");
    assert!(text.starts_with("session_not_found"), "{text}");

    // A run from a heap leaves the session alone.
    let heap = first["structuredContent"]["heap"].clone();
    let branch = call(
        &node,
        "run_js",
        json!({"code": "n + 100", "heap": heap}),
        None,
    )
    .await;
    assert_eq!(branch["structuredContent"]["result"], 101, "{branch}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_names_its_session_in_a_header() {
    let node = Node::start(&[]).await;
    let run = async |arguments: Value| {
        let result = call(&node, "run_js", arguments, Some("of-the-client")).await;
        result["structuredContent"]["result"].clone()
    };
    assert_eq!(run(json!({"code": "let n = 1; n"})).await, 1);
    assert_eq!(run(json!({"code": "++n"})).await, 2);
    // What a call names itself counts more.
    assert_eq!(
        run(json!({"code": "typeof n", "session": "another"})).await,
        "undefined"
    );
    assert_eq!(said(&node, "of-the-client", "n").await, "2");
    // Tools that run nothing take no session from it.
    let listed = call(&node, "session_list", json!({}), Some("of-the-client")).await;
    assert_eq!(
        listed["structuredContent"]["sessions"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sessions_there_are_no_tools_for_them() {
    let node = Node::start(&["--stateless"]).await;
    let run = call(&node, "run_js", json!({"code": "1"}), None).await;
    assert_eq!(run["structuredContent"]["result"], 1);
    let list = call(&node, "session_list", json!({}), None).await;
    assert!(list.is_null(), "{list}");
}
