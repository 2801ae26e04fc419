//! Tasks through MCP: the extension, on any node, and the plain tools.

use reqwest::Client;
use serde_json::{Value, json};

use crate::cluster::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;
use crate::support::Node;

/// Sends a request of a client that knows tasks, or does not; gives its result, or its error.
async fn ask(url: &str, method: &str, name: &str, mut params: Value, knows_tasks: bool) -> Value {
    let capabilities = match knows_tasks {
        true => json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }),
        false => json!({}),
    };
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let request = Client::new()
        .post(format!("{url}/mcp"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method)
        .header("mcp-name", name)
        .body(body.to_string());
    let reply = request.send().await.expect("an answer");
    let text = reply.text().await.expect("it ends");
    let json = text
        .lines()
        .find_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}")));
    let reply: Value = serde_json::from_str(&json.unwrap_or(text)).expect("JSON");
    match reply.get("result") {
        Some(result) => result.clone(),
        None => reply["error"].clone(),
    }
}

async fn tool(url: &str, name: &str, arguments: Value, knows_tasks: bool) -> Value {
    let params = json!({ "name": name, "arguments": arguments });
    ask(url, "tools/call", name, params, knows_tasks).await
}

async fn task(url: &str, method: &str, id: &str) -> Value {
    ask(url, method, id, json!({ "taskId": id }), true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_one_node_gave_is_known_to_all_and_outlives_it() {
    let mut fleet = Fleet::of_three().await;
    let urls: Vec<String> = fleet.members.iter().map(|member| member.url("")).collect();
    // What ends soon is answered as ever.
    let quick = tool(&urls[0], "run_js", json!({"code": "1 + 2"}), true).await;
    assert_eq!(quick["resultType"], "complete", "{quick}");
    assert_eq!(quick["structuredContent"]["result"], 3);
    // A client that knows of no tasks is never given one.
    let slow = json!({
        "code": "await new Promise((done) => setTimeout(done, input)); console.log('late'); 'done'",
        "input": 3000,
        "timeout_ms": 20_000,
    });
    let waited = tool(&urls[0], "run_js", slow.clone(), false).await;
    assert_eq!(waited["structuredContent"]["result"], "done", "{waited}");
    let refused = ask(&urls[0], "tasks/get", "x", json!({"taskId": "x"}), false).await;
    assert_eq!(refused["code"], -32021, "{refused}");

    let given = tool(&urls[0], "run_js", slow, true).await;
    assert_eq!(
        (&given["resultType"], &given["status"]),
        (&json!("task"), &json!("working")),
        "{given}"
    );
    let id = given["taskId"].as_str().expect("an id").to_owned();
    assert_eq!(task(&urls[1], "tasks/get", &id).await["status"], "working");
    // The node that gave it goes, whoever runs it.
    fleet.kill(0);
    let mut last = Value::Null;
    wait_until("the task to end", PATIENCE, async || {
        last = task(&urls[2], "tasks/get", &id).await;
        last["status"] == "completed"
    })
    .await;
    assert_eq!(
        last["result"]["structuredContent"]["result"], "done",
        "{last}"
    );
    assert_eq!(last["result"]["structuredContent"]["output"], "late\n");
    assert_eq!(last["result"]["isError"], false);
    fleet.start(0).await;

    // Cancelled on another node than that which gave it; twice, and after its end.
    let endless = json!({"code": "for (;;);", "timeout_ms": 60_000, "wait_ms": 0});
    let given = tool(&urls[1], "run_js", endless, true).await;
    let id = given["taskId"].as_str().expect("an id").to_owned();
    for url in [&urls[2], &urls[0]] {
        assert_eq!(
            task(url, "tasks/cancel", &id).await["resultType"],
            "complete"
        );
    }
    let cancelled = task(&urls[1], "tasks/get", &id).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert_eq!(cancelled.get("result"), None);
    // A script that fails is a result; what can't begin is an error.
    let thrown = tool(
        &urls[0],
        "run_js",
        json!({"code": "throw new Error('no')"}),
        true,
    )
    .await;
    assert_eq!(thrown["isError"], true, "{thrown}");
    for unknown in ["x", "00000000000000000000000000000000"] {
        let error = task(&urls[0], "tasks/get", unknown).await;
        assert_eq!(error["code"], -32602, "{error}");
    }
}

#[tokio::test]
async fn agents_without_the_extension_have_tools() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let call = async |name: &str, arguments: Value| tool(&url, name, arguments, false).await;
    let made = call(
        "task_create",
        json!({"code": "input.n + 1", "input": {"n": 1}, "labels": {"by": "agent"}, "retries": 2}),
    )
    .await;
    let id = made["structuredContent"]["task_id"].clone();
    assert_eq!(made["structuredContent"]["retries"], 2, "{made}");
    let got = call("task_get", json!({"task_id": id, "wait_ms": 20_000})).await;
    assert_eq!(got["structuredContent"]["report"]["result"], 2, "{got}");
    let text = got["content"][0]["text"].as_str().expect("a text");
    assert!(
        text.contains("is succeeded.") && text.contains("Result:\n2"),
        "{text}"
    );
    let cron = json!({"code": "1", "cron": "0 3 * * *", "time_zone": "Europe/Berlin"});
    let cron = call("task_create", cron).await;
    assert_eq!(cron["structuredContent"]["status"], "scheduled", "{cron}");
    let listed = call("task_list", json!({"labels": {"by": "agent"}})).await;
    assert_eq!(
        listed["structuredContent"]["tasks"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let listed = call("task_list", json!({"status": "scheduled"})).await;
    let tasks = &listed["structuredContent"]["tasks"];
    assert_eq!(tasks[0]["task_id"], cron["structuredContent"]["task_id"]);
    let id = tasks[0]["task_id"].clone();
    let cancelled = call("task_cancel", json!({"task_id": id})).await;
    assert_eq!(cancelled["structuredContent"]["status"], "cancelled");
    for (name, arguments, word) in [
        ("task_create", json!({"code": "1", "cron": "often"}), "cron"),
        (
            "task_create",
            json!({"code": "1", "labels": {"a": 1}}),
            "labels",
        ),
        ("task_create", json!({"code": "1", "delay": 1}), "delay"),
        ("task_get", json!({"task_id": "x"}), "task_id"),
        ("task_list", json!({"status": "done"}), "status"),
        ("task_list", json!({"cursor": "x"}), "cursor"),
    ] {
        let refused = call(name, arguments).await;
        assert_eq!(refused["isError"], true, "{refused}");
        let text = refused["content"][0]["text"].as_str().expect("a text");
        assert!(
            text.starts_with("invalid_request") && text.contains(word),
            "{text}"
        );
    }
}
