use serde_json::{Value, json};

use super::server::TestServer;

async fn fails(server: &TestServer, code: &str, language: &str, error: Value) {
    let body = json!({"code": code, "language": language});
    let got = server.exec(body).await;
    assert_eq!(got["status"], "failed", "{code}: {got}");
    for (field, expected) in error.as_object().expect("fields") {
        assert_eq!(&got["error"][field], expected, "{field} of {code}: {got}");
    }
}

/// Where TypeScript threw is told in the lines that the user wrote, types and all.
#[tokio::test(flavor = "multi_thread")]
async fn place_of_a_typescript_error() {
    let server = TestServer::start(&[]);
    let code = "interface A {\n  x: number\n}\ntype B = A & { y: string };\n\
                function f(a: A): number {\n  if (a.x as any) throw new TypeError('place');\n  return 1\n}\nf({ x: 1 } as B)";
    let got = server.exec(json!({"code": code, "language": "ts"})).await;
    let stack = got["error"]["stack"].as_str().expect("a stack");
    assert!(stack.contains("at f (main.ts:6:25)"), "{stack}");
    let error = json!({"name": "TypeError", "message": "place", "line": 6, "column": 25});
    fails(&server, code, "ts", error).await;
}

/// Where plain code threw, or does not parse.
#[tokio::test(flavor = "multi_thread")]
async fn place_of_a_javascript_error() {
    let server = TestServer::start(&[]);
    let error = json!({"code": "syntax_error", "name": "SyntaxError", "line": 2, "column": 9});
    fails(&server, "let a = 1;\nlet b = ;\n", "js", error.clone()).await;
    let error = json!({"code": "script_error", "name": "RangeError", "line": 2, "column": 9});
    fails(
        &server,
        "1;\n  throw new RangeError('x')",
        "js",
        error.clone(),
    )
    .await;
    fails(
        &server,
        "setTimeout(() => {\n  throw new RangeError('x') }, 1); 1",
        "js",
        error,
    )
    .await;
    let error = json!({"code": "script_error", "name": "TypeError", "line": 1, "column": 16});
    fails(
        &server,
        "Promise.reject(new TypeError('no')); 1",
        "js",
        error,
    )
    .await;
    fails(&server, "throw 7", "js", json!({"code": "script_error"})).await;
    fails(
        &server,
        "let x = 1; let x = 2; x",
        "js",
        json!({"name": "SyntaxError"}),
    )
    .await;
}

/// There are no modules, in any language and in each form, and the error says so.
#[tokio::test(flavor = "multi_thread")]
async fn modules() {
    let server = TestServer::start(&[]);
    for code in [
        "import x from 'y'",
        "export const a = 1",
        "import * as fs from 'fs'; fs",
        "export default 1",
    ] {
        for language in ["js", "ts"] {
            fails(
                &server,
                code,
                language,
                json!({"code": "modules_unsupported"}),
            )
            .await;
        }
        let got = server.run(code).await;
        assert_eq!(got["error"]["code"], "modules_unsupported", "{code}: {got}");
    }
    fails(
        &server,
        "await import('fs')",
        "js",
        json!({"code": "script_error", "name": "TypeError"}),
    )
    .await;
    let got = server
        .run("import('fs').then(() => 'in', () => 'rejected')")
        .await;
    assert_eq!(got["result"], "rejected", "{got}");
}

/// What can never settle is told at once; what still ticks when the result is there is cleared.
#[tokio::test(flavor = "multi_thread")]
async fn pending_work() {
    let server = TestServer::start(&[]);
    for code in [
        "await new Promise(() => {})",
        "new Promise(() => {})",
        "setTimeout(() => {}, 2); new Promise(() => {})",
    ] {
        let got = server.run(code).await;
        assert_eq!(got["error"]["code"], "never_settles", "{code}: {got}");
        assert!(
            got["duration_ms"].as_f64().is_some_and(|ms| ms < 5_000.0),
            "{got}"
        );
    }
    let got = server.run("setInterval(() => {}, 1); 1").await;
    assert_eq!(
        (&got["status"], &got["result"]),
        (&json!("completed"), &json!(1))
    );
    assert_eq!(got["warnings"].as_array().map(Vec::len), Some(1), "{got}");
    let got = server
        .run("setTimeout(() => console.log('drained'), 5); 1")
        .await;
    assert_eq!(
        (&got["output"], &got["result"]),
        (&json!("drained\n"), &json!(1))
    );
    // A rejection that is handled later in the same turn of the loop is none.
    let got = server
        .run("const p = Promise.reject(1); p.catch(() => {}); 2")
        .await;
    assert_eq!(got["result"], 2, "{got}");
}
