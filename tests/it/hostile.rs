use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::server::{TestServer, wait_until};

/// What can't end by itself.
pub const ENDLESS: &[&str] = &[
    "for (;;);",
    "for (;;) await 0",
    "const f = () => Promise.resolve().then(f); f()",
    "const f = () => queueMicrotask(f); f()",
    "const f = () => setTimeout(f); f()",
    "/^(a+)+$/.test('a'.repeat(60) + 'b')",
    "try { for (;;); } finally { for (;;); }",
    "for (;;) try { (function f() { f() })() } catch {}",
    "for (;;) console.log('x')",
    "({ toJSON() { for (;;); } })",
];

/// Ways to use up memory, with how that ends.
pub const MEMORY: &[(&str, &str, &str)] = &[
    ("new Array(1e9).fill(0)", "out_of_memory", "heap_limit"),
    (
        "const all = []; for (let s = 'x'; ; s = s.length < 1e6 ? s + s : s) all.push(s.split(''))",
        "out_of_memory",
        "heap_limit",
    ),
    ("let s = 'x'; for (;;) s += s", "failed", "script_error"),
    (
        "let s = 'x'; for (;;) { s += s; s.charCodeAt(0) }",
        "out_of_memory",
        "heap_limit",
    ),
    (
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, {i})",
        "out_of_memory",
        "heap_limit",
    ),
    (
        "new ArrayBuffer(2 * 2 ** 30)",
        "out_of_memory",
        "array_buffer_limit",
    ),
    (
        "const m = new WebAssembly.Memory({initial: 1}); for (;;) { const n = m.grow(256); \
             new Uint8Array(m.buffer, n * 65536).fill(1) }",
        "out_of_memory",
        "memory_limit",
    ),
];

/// What throws while the result is rendered.
pub const RESULTS: &[&str] = &[
    "({ get a() { throw new RangeError('seen') } })",
    "({ toJSON() { throw 1 } })",
    "new Proxy({}, { ownKeys() { throw 1 }, get() { throw 2 }, getPrototypeOf() { throw 3 } })",
    "const r = Proxy.revocable({}, {}); r.revoke(); r.proxy",
    "Object.prototype.then = 5; Object.prototype.toJSON = () => 'p'; ({a: 1})",
    "class A { get [Symbol.toStringTag]() { throw 1 } } new A",
    "globalThis.JSON = null; globalThis.Object = null; globalThis.String = null; ({a: 1})",
    "delete globalThis.console; [1]",
];

/// Hostile values that are thrown.
pub const THROWN: &[&str] = &[
    "throw { get message() { throw 1 }, get stack() { for (;;); }, get name() { throw 2 } }",
    "throw new Proxy({}, { get() { throw 1 } })",
    "Promise.reject(null)",
    "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { throw 1 } }); throw e",
    "throw Symbol('s')",
];

async fn assert_serves(server: &TestServer) {
    assert_eq!(server.run("1 + 2").await["result"], 3);
}

/// What can't end by itself is ended at its deadline.
#[tokio::test(flavor = "multi_thread")]
async fn endless_code_is_timed_out() {
    let server = TestServer::start(&[]);
    for code in ENDLESS {
        let got = server.exec(json!({"code": code, "timeout_ms": 300})).await;
        assert_eq!(got["status"], "timed_out", "{code}: {}", got["error"]);
        assert_eq!(got["error"]["code"], "timeout");
    }
    assert_serves(&server).await;
}

/// Each way to use up memory ends in the error that names it.
#[tokio::test(flavor = "multi_thread")]
async fn memory_runs_out() {
    let server = TestServer::start(&[]);
    for (code, status, error) in MEMORY {
        let got = server.run(code).await;
        assert_eq!(
            (&got["status"], &got["error"]["code"]),
            (&json!(status), &json!(error)),
            "{code}: {got}"
        );
    }
    assert_serves(&server).await;
}

/// A string that doubles until memory is out: flattened copies are kept, so the heap ends first.
#[tokio::test(flavor = "multi_thread")]
async fn doubled_strings() {
    let server = TestServer::start(&[]);
    let code = "const kept = []; let s = 'x'; for (;;) { \
                if (s.length < 2 ** 22) s += s; kept.push(Array.from(s.slice(0, 1000)).join('') + s); \
                kept.at(-1).charCodeAt(5); JSON.stringify(kept.at(-1)) }";
    let got = server.run(code).await;
    assert_eq!(got["status"], "out_of_memory", "{got}");
    assert_eq!(got["error"]["code"], "heap_limit", "{got}");
    assert_serves(&server).await;
}

/// Depth without end is an ordinary error, in the parser as in code.
#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion() {
    let server = TestServer::start(&[]);
    let got = server.run("JSON.parse('['.repeat(1e6))").await;
    assert_eq!(
        (&got["status"], &got["error"]["name"]),
        (&json!("failed"), &json!("SyntaxError"))
    );
    let got = server.run("const f = () => f() + 1; f()").await;
    assert_eq!(got["error"]["code"], "stack_overflow", "{got}");
    // A value that is deep, while it is rendered.
    let got = server
        .run("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a")
        .await;
    assert_ne!(got["status"], "crashed", "{got}");
    assert_serves(&server).await;
}

/// Source text that is deep in brackets or operators, for the compiler and for the TypeScript parser.
#[tokio::test(flavor = "multi_thread")]
async fn deep_source() {
    let server = TestServer::start(&[]);
    let mut crashed = Vec::new();
    for part in ["[", "(", "-~", "!", "{", "a.b?", "`${", "<", "x=>", "if(1)"] {
        for end in ["", "1"] {
            for language in ["js", "ts", "auto"] {
                let code = format!("{}{end}", part.repeat(150_000));
                let mut body = json!({ "code": code });
                if language != "auto" {
                    body["language"] = json!(language);
                }
                let got = server.exec(body).await;
                if got["status"] == "crashed" {
                    crashed.push(format!(
                        "{part:?} … {end:?} as {language}: {}",
                        got["error"]["message"]
                    ));
                }
            }
        }
    }
    assert_serves(&server).await;
    assert!(crashed.is_empty(), "{crashed:#?}");
}

/// A million timers all fire when there is memory for them, and are an ordinary end when not.
#[tokio::test(flavor = "multi_thread")]
async fn a_million_timers() {
    let server = TestServer::start(&[]);
    let code = "let n = 0; for (let i = 0; i < 1e6; i++) setTimeout(() => { if (++n === 1e6) console.log('all') }, i % 10); 1";
    let got = server
        .exec(json!({"code": code, "heap_mb": 512, "memory_mb": 1024, "timeout_ms": 120_000}))
        .await;
    assert_eq!(
        (&got["status"], &got["output"]),
        (&json!("completed"), &json!("all\n")),
        "{got}"
    );
    let got = server.exec(json!({"code": code, "heap_mb": 16})).await;
    assert_eq!(got["error"]["code"], "heap_limit", "{got}");
    assert_serves(&server).await;
}

/// Of a hundred megabytes of console the head and the tail are kept, and the whole size is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output() {
    let server = TestServer::start(&[]);
    let code = "console.log('HEAD'); const line = 'x'.repeat(999); \
                for (let i = 0; i < 100_000; i++) console.log(line); console.log('TAIL')";
    let got = server
        .exec(json!({"code": code, "timeout_ms": 60_000}))
        .await;
    assert_eq!(got["status"], "completed", "{}", got["error"]);
    assert_eq!(
        (&got["truncated"], &got["output_bytes"]),
        (&json!(true), &json!(100_000_010))
    );
    let output = got["output"].as_str().expect("text");
    assert!(output.starts_with("HEAD\nxxx") && output.ends_with("xxx\nTAIL\n"));
    assert!(output.len() < (1 << 20) + 200, "{}", output.len());
    assert_serves(&server).await;
}

/// What throws while the result is rendered spoils neither the node nor the answer.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_results() {
    let server = TestServer::start(&[]);
    for code in RESULTS {
        let got = server.run(code).await;
        assert!(
            got["status"] == "completed" || got["status"] == "failed",
            "{code}: {got}"
        );
        assert_serves(&server).await;
    }
    // Hostile values are thrown too.
    for code in THROWN {
        let got = server
            .exec(json!({"code": code, "timeout_ms": 2_000}))
            .await;
        assert!(
            got["status"] == "failed" || got["status"] == "timed_out",
            "{code}: {got}"
        );
        assert!(got["error"]["code"].is_string(), "{code}: {got}");
    }
}

/// More requests than places and queue: the rest is told to come back, those that were taken are
/// served, and afterwards everything is as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_requests() {
    let server = TestServer::start(&[
        "--runs-max",
        "4",
        "--runs-ready",
        "4",
        "--queue-max",
        "8",
        "--timeout-secs",
        "2",
    ]);
    assert_serves(&server).await;
    let (processes, descriptors) = server.settled().await;
    let flood = join_all((0..100).map(async |i| {
        let hostile = [
            "for (;;);",
            "new Array(1e9).fill(0)",
            "for (;;) console.log('x')",
            "i = 1",
        ];
        let body = json!({"code": hostile[i % 4], "timeout_ms": 500});
        let response = server.post_exec(&body).await;
        let retry = response.headers().get("retry-after").cloned();
        let status = response.status().as_u16();
        let body: Value = response.json().await.expect("JSON");
        (status, retry, body)
    }));
    let mut refused = 0;
    for (status, retry, body) in flood.await {
        match status {
            200 => assert!(body["status"] != "crashed", "{body}"),
            429 => {
                refused += 1;
                assert_eq!(body["code"], "queue_full");
                let seconds = retry
                    .expect("Retry-After")
                    .to_str()
                    .ok()
                    .and_then(|s| s.parse::<u64>().ok());
                assert!(seconds.is_some_and(|seconds| seconds >= 1));
            }
            other => panic!("{other}: {body}"),
        }
    }
    assert!((1..=88).contains(&refused), "{refused} refused");
    assert_serves(&server).await;
    let mut now = (0, 0);
    wait_until(
        "processes and descriptors",
        Duration::from_secs(60),
        async || {
            now = server.settled().await;
            // Connections that the client keeps open for its next request are descriptors too.
            now.0 == processes && now.1 <= descriptors + 100
        },
    )
    .await;
    // A second flood leaves no more behind than the first one.
    let body = json!({"code": "1", "timeout_ms": 500});
    join_all((0..100).map(|_| server.post_exec(&body))).await;
    let again = server.settled().await;
    assert_eq!(again.0, processes);
    assert!(again.1 <= now.1 + 20, "{again:?} after {now:?}");
}
