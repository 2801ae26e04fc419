use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::server::TestServer;

const CONFORMANCE: &str = include_str!("../../worker/src/prelude/conformance.json");

/// Levels stand before a line's text in the output, and the cases list the texts alone.
fn without_levels(output: &str) -> String {
    output
        .split_inclusive('\n')
        .map(|line| {
            ["[INFO] ", "[WARN] ", "[ERROR] "]
                .iter()
                .find_map(|level| line.strip_prefix(level))
                .unwrap_or(line)
        })
        .collect()
}

fn mismatch(case: &Value, got: &Value) -> Option<String> {
    let failed = got.get("error").is_some_and(|error| !error.is_null());
    let (expected, seen) = if let Some(name) = case.get("error") {
        (name.clone(), got["error"]["name"].clone())
    } else if failed {
        (json!("no error"), got["error"].clone())
    } else if let Some(result) = case.get("result") {
        (
            result.clone(),
            got.get("result").cloned().unwrap_or(json!("no result")),
        )
    } else if let Some(text) = case.get("result_text") {
        (text.clone(), got["result_text"].clone())
    } else {
        let lines = case["output"].as_array().expect("lines");
        let whole: String = lines
            .iter()
            .map(|line| format!("{}\n", line.as_str().expect("text")))
            .collect();
        let output = got["output"].as_str().unwrap_or_default();
        (json!(whole), json!(without_levels(output)))
    };
    (expected != seen).then(|| {
        let name = case["name"].as_str().unwrap_or_default();
        format!(
            "{name}\n  code     {}\n  expected {expected}\n  got      {seen}",
            case["code"]
        )
    })
}

/// The cases of the prelude's own suite hold through fork, sandbox, socket and HTTP too.
#[tokio::test(flavor = "multi_thread")]
async fn conformance() {
    let server = TestServer::start(&[]);
    let cases: Vec<Value> = serde_json::from_str(CONFORMANCE).expect("JSON");
    assert!(cases.len() > 200);
    let failures: Vec<String> = stream::iter(&cases)
        .map(async |case| {
            let got = server
                .exec(json!({"code": case["code"], "language": "js"}))
                .await;
            mismatch(case, &got)
        })
        .buffer_unordered(6)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    let count = failures.len();
    assert!(
        failures.is_empty(),
        "{count} failed:\n{}",
        failures.join("\n")
    );
}

/// Each code has this value, as a console would have it.
#[tokio::test(flavor = "multi_thread")]
async fn values() {
    let server = TestServer::start(&[]);
    for (code, expected) in [
        ("1 + 2", json!(3)),
        ("const a = 2; let b = 3; a * b", json!(6)),
        ("if (true) { 5 } else { 6 }", json!(5)),
        ("await Promise.resolve(8)", json!(8)),
        ("Promise.resolve(7)", json!(7)),
        (
            "const later = ms => new Promise(r => setTimeout(r, ms, 'done')); later(5)",
            json!("done"),
        ),
        ("async function f() { return [1] }; f()", json!([1])),
        (
            "var v = 1; var v = 2; function g() { return 1 } function g() { return v } g()",
            json!(2),
        ),
        ("{a: 1}", json!({"a": 1})),
        (" { a: 1, b: [2] } ", json!({"a": 1, "b": [2]})),
        ("{ const inner = 4; inner }", json!(4)),
        ("'a\\u00e9\\u{1f600}'", json!("aé😀")),
        ("/* only */ 1 // trailing", json!(1)),
    ] {
        let got = server.run(code).await;
        assert_eq!(got["status"], "completed", "{code}: {got}");
        assert_eq!(got["result"], expected, "{code}: {got}");
    }
}

/// Values that have no JSON are shown as a console shows them, and `result` is missing.
#[tokio::test(flavor = "multi_thread")]
async fn texts() {
    let server = TestServer::start(&[]);
    for (code, text) in [
        ("undefined", "undefined"),
        ("", "undefined"),
        ("10n ** 20n", "100000000000000000000n"),
        (
            "const a = {}; a.self = a; a",
            "<ref *1> { self: [Circular *1] }",
        ),
        (
            "({ get a() { throw new RangeError('seen') } })",
            "{ a: [Getter] }",
        ),
    ] {
        let got = server.run(code).await;
        assert_eq!(got["status"], "completed", "{code}: {got}");
        assert_eq!(got["result_text"], text, "{code}: {got}");
        assert!(got.get("result").is_none(), "{code}: {got}");
    }
    let got = server.run("new Map([[1, {a: 2}]])").await;
    assert_eq!(got["result_text"], "Map(1) { 1 => { a: 2 } }");
}

/// Many readers of JSON refuse a lone surrogate: the result has U+FFFD for it, the text tells what it
/// was.
#[tokio::test(flavor = "multi_thread")]
async fn lone_surrogates() {
    let server = TestServer::start(&[]);
    let got = server.run("'a\\ud800b'").await;
    assert_eq!(got["result"], "a\u{fffd}b", "{got}");
    assert_eq!(got["result_text"], "'a\\ud800b'", "{got}");
    assert_eq!(server.run("'\\ud83d\\ude00'.length").await["result"], 2);
}

/// `input` is what the request says, and undefined without it.
#[tokio::test(flavor = "multi_thread")]
async fn input() {
    let server = TestServer::start(&[]);
    let body = json!({"code": "[input.a, input.b.length, input.c]", "input": {"a": 1, "b": [2, 3], "c": null}});
    assert_eq!(server.exec(body).await["result"], json!([1, 2, null]));
    assert_eq!(server.run("typeof input").await["result"], "undefined");
}

/// TypeScript is found out or told, with what does not just go away: enums and namespaces.
#[tokio::test(flavor = "multi_thread")]
async fn typescript() {
    let server = TestServer::start(&[]);
    let code = "enum Color { Red, Green }\nnamespace N { export const x: number = 5 }\n\
                interface P { a?: string }\nconst p: P = {};\n[Color.Green, Color[0], N.x, p as P]";
    for language in [None, Some("typescript"), Some("ts")] {
        let mut body = json!({ "code": code });
        if let Some(language) = language {
            body["language"] = json!(language);
        }
        let got = server.exec(body).await;
        assert_eq!(
            got["result"],
            json!([1, "Red", 5, {}]),
            "{language:?} {got}"
        );
    }
    let got = server
        .exec(json!({"code": "const n: number = 1; n", "language": "js"}))
        .await;
    assert_eq!(got["error"]["code"], "syntax_error", "{got}");
}
