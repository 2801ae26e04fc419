//! `mcp-v8 exec`: code without a server, and on one.

use std::io::Write as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support::{Ended, Node, program, run};

async fn exec(arguments: &[&str]) -> Ended {
    run(program().arg("exec").args(arguments)).await
}

#[tokio::test]
async fn the_console_and_then_the_result_are_printed() {
    let ended = exec(&[
        "console.log('a', 1); console.warn('b'); ({ sum: input.x + 2 })",
        "--input",
        r#"{"x": 1}"#,
    ])
    .await;
    assert_eq!(ended.out, "a 1\n[WARN] b\n{ sum: 3 }\n");
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn each_end_has_its_code() {
    for (arguments, code, word) in [
        (&["throw new TypeError('no')"][..], 1, "TypeError: no"),
        (&["let ="], 1, "syntax_error"),
        (&["for (;;);", "--timeout-secs", "1"], 124, "timeout"),
        (
            &[
                "let a = []; for (;;) a.push(new Array(1000).fill(1))",
                "--heap-mb",
                "16",
            ],
            137,
            "heap_limit",
        ),
        (&["1", "--input", "{"], 2, "--input"),
        (&["1", "--heap-mb", "1"], 2, "--heap-mb"),
        (&["no-such-file.ts"], 2, "no-such-file.ts"),
        (&["1", "--url", "http://127.0.0.1:1"], 3, "127.0.0.1:1"),
        (&["1", "--url", "https://127.0.0.1:1"], 3, "http://"),
    ] {
        let ended = exec(arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(word), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_file_and_the_standard_input_are_sources() {
    let mut file = tempfile::Builder::new()
        .suffix(".ts")
        .tempfile()
        .expect("a file");
    file.write_all(b"enum Size { Small, Large }\nconst size: Size = Size.Large;\nsize")
        .expect("written");
    let ended = exec(&[file.path().to_str().expect("a plain path")]).await;
    assert_eq!(
        (ended.out.as_str(), ended.code),
        ("1\n", Some(0)),
        "{}",
        ended.err
    );

    let mut child = program()
        .args(["exec", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"6 * 7").await.expect("it reads");
    drop(stdin);
    let ended = Ended::from(child.wait_with_output().await.expect("it ends"));
    assert_eq!((ended.out.as_str(), ended.code), ("42\n", Some(0)));
}

/// The console is printed while the run goes on, and an interrupt stops it.
#[tokio::test]
async fn an_interrupt_stops_the_run() {
    let mut child = program()
        .args(["exec", "console.log('here'); for (;;);"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    assert_eq!(
        lines.next_line().await.expect("it prints text").as_deref(),
        Some("here")
    );
    let id = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    kill_process(id.expect("it runs"), Signal::INT).expect("it is there");
    let ended = Ended::from(child.wait_with_output().await.expect("it ends"));
    assert_eq!(ended.code, Some(130), "{}", ended.err);
}

#[tokio::test]
async fn as_json_the_whole_execution_is_printed() {
    let ended = exec(&["--json", "console.log('x'); throw new Error('y')"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""));
    let execution: Value = serde_json::from_str(&ended.out).expect("it is JSON");
    assert_eq!(execution["status"], "failed");
    assert_eq!(execution["output"], "x\n");
    assert_eq!(execution["error"]["code"], "script_error");
}

#[tokio::test]
async fn on_a_server_it_is_the_same() {
    let node = Node::start(&[]).await;
    let url = node.url("");
    let here = exec(&["console.log('a'); [1, 2]"]).await;
    let there = exec(&["console.log('a'); [1, 2]", "--url", &url]).await;
    assert_eq!((here.out, here.code), (there.out, there.code));
    // The server's bounds hold there, and it tells what to do.
    let ended = exec(&["1", "--heap-mb", "100000", "--url", &url]).await;
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.err.contains("limit_too_large") && ended.err.contains("512"),
        "{}",
        ended.err
    );
    let listed: Value = node
        .get("/api/executions")
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(listed["executions"].as_array().expect("a list").len(), 1);
}
