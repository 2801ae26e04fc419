//! Two states of a session, compared.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{get, run};
use crate::support::{Node, program, run as run_program};

fn names(diff: &Value) -> Vec<(String, Value, Value)> {
    let differences = diff["differences"]
        .as_array()
        .unwrap_or_else(|| panic!("{diff}"));
    let told = |it: &Value| {
        let name = it["name"].as_str().expect("a name").to_owned();
        (
            name,
            it["before"]["text"].clone(),
            it["after"]["text"].clone(),
        )
    };
    differences.iter().map(told).collect()
}

#[tokio::test]
async fn names_that_stand_for_other_values_are_told() {
    let node = Node::start(&[]).await;
    run(&node, "s", "let a = 1; const list = [1, 2]; var v = {deep: {x: 1}}; function f() { return 1 } late = 5").await;
    run(
        &node,
        "s",
        "a = 2; list.push(3); v.deep.x = 2; f = () => 2; class C {}; delete globalThis.late",
    )
    .await;
    run(&node, "s", "a").await;
    let (status, diff) = get(&node, "/api/sessions/s/diff?from=1&to=2").await;
    assert_eq!(status, StatusCode::OK, "{diff}");
    let found = names(&diff);
    let expected = [
        ("C", Value::Null, json!("class C {}")),
        ("a", json!("1"), json!("2")),
        ("f", json!("function f() { return 1 }"), json!("() => 2")),
        ("late", json!("5"), Value::Null),
        ("list", json!("[ 1, 2 ]"), json!("[ 1, 2, 3 ]")),
        (
            "v",
            json!("{ deep: { x: 1 } }"),
            json!("{ deep: { x: 2 } }"),
        ),
    ];
    let expected = expected.map(|(name, before, after)| (name.to_owned(), before, after));
    assert_eq!(found, expected, "{diff}");
    // Without points: what the last run has changed.
    let (_, last) = get(&node, "/api/sessions/s/diff").await;
    assert_eq!(names(&last), [], "{last}");
    // From before the first run, all that there is; the engine's own names are none of it.
    let (_, all) = get(&node, "/api/sessions/s/diff?from=0").await;
    let all: Vec<_> = names(&all).into_iter().map(|it| it.0).collect();
    assert_eq!(all, ["C", "a", "f", "list", "v"]);
    // A built-in that was replaced is told, an accessor does not run, nothing of it stays.
    let trap = "globalThis.parseInt = 7; Object.defineProperty(globalThis, 'trap', \
                {get() { globalThis.hit = 1; return 1 }, configurable: true}); 0";
    run(&node, "s", trap).await;
    let (_, diff) = get(&node, "/api/sessions/s/diff").await;
    let found: Vec<_> = names(&diff).into_iter().map(|it| (it.0, it.2)).collect();
    let expected = [
        ("parseInt".to_owned(), json!("7")),
        ("trap".to_owned(), json!("[Accessor]")),
    ];
    assert_eq!(found, expected);
    let said = run(&node, "s", "typeof hit").await;
    assert_eq!(said["result"], "undefined");
    assert_eq!(said["result_text"], "'undefined'");
    for (query, status, code) in [
        ("from=x", 400, "invalid_request"),
        ("from=99", 404, "heap_not_found"),
        ("to=0", 200, ""),
    ] {
        let (told, body) = get(&node, &format!("/api/sessions/s/diff?{query}")).await;
        assert_eq!(told.as_u16(), status, "{query}: {body}");
        assert_eq!(body["code"].as_str().unwrap_or_default(), code, "{body}");
    }
    let mut command = program();
    command.args([
        "session",
        "--url",
        &node.url(""),
        "diff",
        "s",
        "--from",
        "1",
        "--to",
        "2",
    ]);
    let told = run_program(&mut command).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.contains("- a = 1\n+ a = 2\n"), "{}", told.out);
}
