use std::time::Duration;

use serde_json::{Value, json};

use super::LOOP;
use crate::server::{TestServer, wait_until};

async fn page(server: &TestServer, id: &str, query: &str) -> Value {
    let (status, page) = server
        .status_and_json(&format!("/api/executions/{id}/output?{query}"))
        .await;
    assert_eq!(status, 200, "{page}");
    page
}

/// All of a long output comes page by page, by lines and by bytes.
#[tokio::test]
async fn output_is_paged_by_lines_and_by_bytes() {
    let server = TestServer::start(&[]);
    let code = "for (let i = 1; i <= 2000; i++) console.info(`line ${i} ü`)";
    let reply = server.exec(json!({ "code": code })).await;
    let whole: String = (1..=2000).map(|i| format!("[INFO] line {i} ü\n")).collect();
    assert_eq!(reply["output"], whole);
    assert_eq!(reply["output_bytes"], whole.len());
    let id = reply["execution_id"].as_str().expect("an id");

    let first = page(&server, id, "").await;
    assert_eq!(
        (&first["start_line"], &first["end_line"]),
        (&json!(1), &json!(100))
    );
    assert_eq!(first["total_lines"], 2000);
    for (query, position, next) in [
        ("line_limit=333", "line_offset", "next_line_offset"),
        ("byte_limit=1000", "byte_offset", "next_byte_offset"),
    ] {
        let mut text = String::new();
        let mut offset = u64::from(position == "line_offset");
        loop {
            let page = page(&server, id, &format!("{query}&{position}={offset}")).await;
            text += page["data"].as_str().expect("text");
            offset = page[next].as_u64().expect("a number");
            if page["has_more"] == false {
                break;
            }
        }
        assert!(text == whole, "by {position}");
    }
    let last = page(&server, id, "line_offset=2001").await;
    assert_eq!(
        (&last["data"], &last["next_line_offset"]),
        (&json!(""), &json!(2001))
    );
}

/// What is printed can be read while the script runs.
#[tokio::test]
async fn output_can_be_read_while_it_is_printed() {
    let server = TestServer::start(&[]);
    let id = server
        .exec_async(&format!("console.log('started'); {LOOP}"))
        .await;
    wait_until("a line", Duration::from_secs(20), async || {
        let page = page(&server, &id, "").await;
        let status = page["status"].as_str().expect("a status");
        assert!(status == "queued" || status == "running", "{page}");
        page["data"] == "started\n"
    })
    .await;
}

/// Of an output over its limit the head and the tail are kept, and the size of all is told.
#[tokio::test]
async fn a_flood_keeps_head_and_tail() {
    let server = TestServer::start(&[]);
    let code = "const s = 'x'.repeat(100); for (let i = 1; i <= 50000; i++) console.log(i + s)";
    let reply = server
        .exec(json!({"code": code, "output_bytes": 10_000}))
        .await;
    assert_eq!(
        (&reply["status"], &reply["truncated"]),
        (&json!("completed"), &json!(true))
    );
    let output = reply["output"].as_str().expect("text");
    assert!(output.len() < 10_100);
    assert!(output.starts_with("1xxx"), "the head");
    assert!(
        output.ends_with("x\n") && output.contains("\n50000xxx"),
        "the tail"
    );
    assert!(output.contains("bytes left out"), "the gap");
    let total: u64 = (1..=50_000_u64)
        .map(|i| i.to_string().len() as u64 + 101)
        .sum();
    assert_eq!(reply["output_bytes"], total);

    let id = reply["execution_id"].as_str().expect("an id");
    let tail = page(&server, id, "line_offset=50000").await;
    assert_eq!(tail["data"].as_str().map(|data| &data[..6]), Some("50000x"));
    assert_eq!(tail["total_lines"], 50_000);
    assert!(
        tail["dropped_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 5_000_000)
    );
}
