use std::process::Command;

use serde_json::{Value, json};

use super::server::TestServer;

/// Holds this many MiB in the JavaScript heap.
fn hold_mib(count: u64) -> String {
    format!(
        "const a = []; for (let i = 0; i < {count}; i++) a.push(new Array(131072).fill(i + 0.5)); a.length"
    )
}

fn assert_ended(got: &Value, status: &str, code: &str) {
    assert_eq!(
        (&got["status"], &got["error"]["code"]),
        (&json!(status), &json!(code)),
        "{got}"
    );
}

/// The heap's limit holds at three sizes: what is just under it works, what is over it ends.
#[tokio::test(flavor = "multi_thread")]
async fn heap() {
    let server = TestServer::start(&[]);
    for (heap_mb, under, over) in [(16, 9, 20), (64, 50, 70), (512, 480, 530)] {
        let body = |mib| json!({"code": hold_mib(mib), "heap_mb": heap_mb, "memory_mb": 1024});
        let got = server.exec(body(under)).await;
        assert_eq!(
            (&got["status"], &got["result"]),
            (&json!("completed"), &json!(under)),
            "{got}"
        );
        assert_ended(
            &server.exec(body(over)).await,
            "out_of_memory",
            "heap_limit",
        );
    }
    // The other names of the field mean the same.
    let body = json!({"code": hold_mib(20), "heap_memory_max_mb": 16});
    assert_ended(&server.exec(body).await, "out_of_memory", "heap_limit");
}

/// All ArrayBuffers count together, and those that are collected count no more.
#[tokio::test(flavor = "multi_thread")]
async fn array_buffers() {
    let server = TestServer::start(&[]);
    let body = |code| json!({"code": code, "array_buffer_mb": 8});
    let got = server
        .exec(body("new ArrayBuffer(7 << 20).byteLength"))
        .await;
    assert_eq!(got["result"], 7 << 20, "{got}");
    let got = server.exec(body("new ArrayBuffer(9 << 20)")).await;
    assert_ended(&got, "out_of_memory", "array_buffer_limit");
    let two = "[new Uint8Array(5 << 20), new Uint8Array(5 << 20)].length";
    assert_ended(
        &server.exec(body(two)).await,
        "out_of_memory",
        "array_buffer_limit",
    );
    let dropped = "let n = 0; for (let i = 0; i < 100; i++) n += new Uint8Array(5 << 20).length; n";
    assert_eq!(server.exec(body(dropped)).await["result"], 100 * (5 << 20));
}

/// More stack is more depth, and its end is an error of its own.
#[tokio::test(flavor = "multi_thread")]
async fn stack() {
    let server = TestServer::start(&[]);
    let code = "const f = n => n === 0 ? 0 : 1 + f(n - 1); f(5000)";
    let got = server.exec(json!({"code": code, "stack_kb": 100})).await;
    assert_ended(&got, "failed", "stack_overflow");
    assert_eq!(server.exec(json!({ "code": code })).await["result"], 5000);
    let deep = "let d = 0; const f = () => { d++; f() }; try { f() } catch {} d";
    let got = server.exec(json!({"code": deep, "stack_kb": 8192})).await;
    assert!(
        got["result"].as_u64().is_some_and(|depth| depth > 50_000),
        "{got}"
    );
}

/// The wall clock, by either name, from the request or from the flags.
#[tokio::test(flavor = "multi_thread")]
async fn wall_clock() {
    let server = TestServer::start(&["--timeout-secs", "1", "--timeout-secs-max", "2"]);
    for (body, ms) in [
        (
            json!({"code": "for (;;);", "timeout_ms": 200}),
            200.0..900.0,
        ),
        (
            json!({"code": "await new Promise(r => setTimeout(r, 60000))", "timeout_ms": 200}),
            200.0..900.0,
        ),
        (json!({"code": "for (;;);"}), 1000.0..1900.0),
        (
            json!({"code": "for (;;);", "execution_timeout_secs": 2}),
            2000.0..2900.0,
        ),
    ] {
        let got = server.exec(body).await;
        assert_ended(&got, "timed_out", "timeout");
        assert!(
            got["duration_ms"]
                .as_f64()
                .is_some_and(|took| ms.contains(&took)),
            "{got}"
        );
    }
}

/// A request for more than the operator allows is refused, and the maximum named.
#[tokio::test(flavor = "multi_thread")]
async fn maxima() {
    let server = TestServer::start(&[]);
    for (field, asked, named, max) in [
        ("timeout_ms", 300_001u64, "timeout_ms", "300000"),
        ("execution_timeout_secs", 301, "timeout_ms", "300000"),
        ("heap_mb", 513, "heap_mb", "512"),
        ("heap_memory_max_mb", 513, "heap_mb", "512"),
        ("array_buffer_mb", 513, "array_buffer_mb", "512"),
        ("memory_mb", 1025, "memory_mb", "1024"),
        ("stack_kb", 8193, "stack_kb", "8192"),
        ("result_bytes", (16 << 20) + 1, "result_bytes", "16777216"),
        ("output_bytes", (16 << 20) + 1, "output_bytes", "16777216"),
        ("heap_mb", u64::MAX, "heap_mb", "512"),
        ("execution_timeout_secs", u64::MAX, "timeout_ms", "300000"),
    ] {
        let (status, problem) = server.refused(json!({"code": "1", field: asked})).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("limit_too_large")),
            "{problem}"
        );
        assert_eq!(problem["field"], named);
        let detail = problem["detail"].as_str().expect("text");
        assert!(detail.contains(max), "{detail}");
    }
    let (status, problem) = server.refused(json!({"code": "1", "timeout_ms": 0})).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")));
}

/// Memory that no limit of V8 covers is watched from outside: WebAssembly and typed arrays.
#[tokio::test(flavor = "multi_thread")]
async fn private_memory() {
    let server = TestServer::start(&[]);
    let wasm =
        "const m = new WebAssembly.Memory({initial: 3200}); new Uint8Array(m.buffer).fill(1); 1";
    let arrays = "const all = []; for (let i = 0; i < 300; i++) all.push(new Uint8Array(1 << 20).fill(1)); all.length";
    for code in [wasm, arrays] {
        let body = json!({"code": code, "memory_mb": 64, "array_buffer_mb": 512});
        assert_ended(&server.exec(body).await, "out_of_memory", "memory_limit");
    }
    let body = json!({"code": arrays, "memory_mb": 512, "array_buffer_mb": 512});
    assert_eq!(server.exec(body).await["result"], 300);
}

/// Code, result and output have sizes.
#[tokio::test(flavor = "multi_thread")]
async fn sizes() {
    let server = TestServer::start(&["--code-bytes-max", "2000"]);
    let (status, problem) = server.refused(json!({"code": " ".repeat(2001)})).await;
    assert_eq!((status, &problem["code"]), (413, &json!("code_too_large")));
    assert_eq!(
        server.run(&format!("1{}", " ".repeat(1999))).await["result"],
        1
    );

    let body =
        |length: usize| json!({"code": format!("'x'.repeat({length})"), "result_bytes": 1000});
    assert_ended(&server.exec(body(1001)).await, "failed", "result_too_large");
    assert_eq!(server.exec(body(900)).await["status"], "completed");

    let body = json!({"code": "for (let i = 0; i < 1000; i++) console.log('line ' + i)", "output_bytes": 200});
    let got = server.exec(body).await;
    assert_eq!(
        (&got["status"], &got["truncated"]),
        (&json!("completed"), &json!(true)),
        "{got}"
    );
    assert_eq!(got["output_bytes"], 10 * 7 + 90 * 8 + 900 * 9);
    let output = got["output"].as_str().expect("text");
    assert!(
        output.starts_with("line 0\n") && output.ends_with("line 999\n"),
        "{output}"
    );
    assert!(output.len() < 300, "{output}");
}

/// Flags that promise more memory than there is are refused at the start, with the sum.
#[test]
fn flags_that_do_not_fit() {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-v8"))
        .args([
            "--http-port",
            "0",
            "--runs-max",
            "60000",
            "--memory-mb",
            "1024",
        ])
        .output()
        .expect("the program was built");
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(
        error.contains("60000 runs × 1024 MiB") && error.contains(" = 61440"),
        "{error}"
    );
    assert!(error.contains("lower --runs-max"), "{error}");
}
