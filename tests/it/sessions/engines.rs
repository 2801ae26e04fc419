//! A session goes on in the engine that made it, whatever version its nodes have by then.

use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{delete, get, node_in, run};
use crate::cluster::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;
use crate::support::{program, run as run_program};

const INCREMENT: &str = "globalThis.n = (globalThis.n ?? 0) + 1";

/// The file of another engine than the one of this build: other flags of V8.
pub async fn other_engine() -> PathBuf {
    static MADE: OnceCell<PathBuf> = OnceCell::const_new();
    let made = MADE.get_or_init(async || {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = directory.join(format!("other-{}.engine", std::process::id()));
        let mut command = program();
        command.args(["engine", "--v8-flags", "--no-opt", "--json", "--save"]);
        let ended = run_program(command.arg(&path)).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        path
    });
    made.await.clone()
}

async fn engine_of(path: Option<&Path>) -> String {
    let mut command = program();
    command.args(["engine", "--json"]);
    if let Some(path) = path {
        command.arg("--file").arg(path);
    }
    let ended = run_program(&mut command).await;
    let report: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    report["id"].as_str().expect("an id").to_owned()
}

async fn admin(directory: &Path, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = program();
    command.args(["admin", "-o", "json", "--directory-path"]);
    let ended = run_program(command.arg(directory).args(arguments)).await;
    let value = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
    (ended.code, value, ended.err)
}

fn listed<'a>(engines: &'a Value, id: &str) -> &'a Value {
    let found = engines["engines"].as_array().and_then(|all| {
        let mut all = all.iter();
        all.find(|engine| engine["id"] == id)
    });
    found.unwrap_or(&Value::Null)
}

#[tokio::test]
async fn another_version_of_the_node_runs_old_sessions_in_their_engine() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let node = node_in(path, &[]).await;
    run(&node, "old", INCREMENT).await;
    let (_, info) = get(&node, "/api/sessions/old").await;
    let own = engine_of(None).await;
    assert_eq!(info["engine"], own);
    wait_until("the engine's bytes are kept", PATIENCE, async || {
        let (_, engines, _) = admin(path, &["engines"]).await;
        listed(&engines, &own)["kept"] == true
    })
    .await;
    node.signal(Signal::TERM);
    node.ended().await;

    let file = other_engine().await;
    let other = engine_of(Some(&file)).await;
    assert_ne!(other, own);
    let flags = ["--engine-file", file.to_str().expect("text")];
    let node = node_in(path, &flags).await;
    assert_eq!(run(&node, "old", INCREMENT).await["result"], 2);
    assert_eq!(run(&node, "new", INCREMENT).await["result"], 1);
    let (_, info) = get(&node, "/api/sessions/new").await;
    assert_eq!(info["engine"], other);
    // A branch of an old heap is in the old engine, too.
    let (_, log) = get(&node, "/api/sessions/old/log").await;
    let heap = &log["commits"][1]["heap"];
    let (_, branch) = node.exec(json!({"code": INCREMENT, "heap": heap})).await;
    assert_eq!(branch["result"], 2, "{branch}");

    let (_, engines, _) = admin(path, &["engines", "list"]).await;
    assert_eq!(listed(&engines, &own)["sessions"], 1, "{engines}");
    assert_eq!(listed(&engines, &own)["nodes"], json!([]), "{engines}");
    assert_eq!(listed(&engines, &other)["sessions"], 1, "{engines}");
    // No new sessions in the node's own: the old ones go on.
    let (code, _, told) = admin(path, &["engines", "forbid", &other[..12]]).await;
    assert_eq!(code, Some(0), "{told}");
    let (status, problem) = node.exec(json!({"code": "1", "session": "third"})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["code"], "engine_unavailable", "{problem}");
    assert_eq!(run(&node, "new", INCREMENT).await["result"], 2);
    // What is in use is not retired by mistake.
    let (code, _, told) = admin(path, &["engines", "retire", &own]).await;
    assert_eq!(code, Some(1), "{told}");
    let gone = delete(&node, "/api/sessions/old").await;
    assert_eq!(gone, StatusCode::NO_CONTENT);
    let (code, _, told) = admin(path, &["engines", "retire", &own]).await;
    assert_eq!(code, Some(0), "{told}");
    let (status, problem) = node.exec(json!({"code": "n", "heap": heap})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
}

#[tokio::test]
async fn a_session_is_migrated_when_its_runs_say_the_same_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node_in(directory.path(), &[]).await;
    for code in [
        "let n = 40; n",
        "n += 2; console.log('n', n)",
        "null.x",
        "[n, 'ü']",
    ] {
        node.exec(json!({"code": code, "session": "same"})).await;
    }
    run(&node, "other", "globalThis.x = Math.random()").await;
    run(&node, "other", "'same'").await;
    wait_until("the engine's bytes are kept", PATIENCE, async || {
        let (_, engines, _) = admin(directory.path(), &["engines"]).await;
        engines["engines"][0]["kept"] == true
    })
    .await;
    node.signal(Signal::TERM);
    node.ended().await;
    let file = other_engine().await;
    let other = engine_of(Some(&file)).await;
    let flags = ["--engine-file", file.to_str().expect("text")];
    let node = node_in(directory.path(), &flags).await;
    let migrate = async |arguments: &[&str]| {
        let mut command = program();
        command.args(["session", "--json", "--url", &node.url(""), "migrate"]);
        let ended = run_program(command.args(arguments)).await;
        let report = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
        (ended.code, report)
    };
    let engine = async |session: &str| {
        let (_, info) = get(&node, &format!("/api/sessions/{session}")).await;
        info["engine"].clone()
    };
    let (code, report) = migrate(&["same"]).await;
    assert_eq!((code, &report["runs"]), (Some(0), &json!(4)), "{report}");
    assert_eq!(report["differences"], json!([]), "{report}");
    assert_eq!(engine("same").await, other);
    assert_eq!(run(&node, "same", "n").await["result"], 42);
    let (code, report) = migrate(&["other"]).await;
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(report["differences"][0]["number"], 1, "{report}");
    assert_ne!(engine("other").await, other);
    let (code, report) = migrate(&["other", "--force"]).await;
    assert_eq!(
        (code, &report["migrated"]),
        (Some(0), &json!(true)),
        "{report}"
    );
    assert_eq!(engine("other").await, other);
    // Nothing is left of it, and there is nothing more to do.
    let (code, report) = migrate(&["same"]).await;
    assert_eq!(
        (code, &report["migrated"]),
        (Some(0), &json!(false)),
        "{report}"
    );
    let (_, listed) = get(&node, "/api/sessions").await;
    assert_eq!(
        listed["sessions"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_survives_a_rolling_upgrade_of_three_nodes() {
    let mut fleet = Fleet::of_three().await;
    let exec = async |fleet: &Fleet, index: usize, session: &str| {
        let body = json!({"code": INCREMENT, "session": session});
        super::cluster::until_answered(fleet, index, &body).await
    };
    assert_eq!(exec(&fleet, 0, "old").await["result"], 1);
    let own = engine_of(None).await;
    wait_until("the engine's bytes are kept", PATIENCE, async || {
        let told = fleet.administer(&["engines", "list", "-o", "json"]).await;
        let engines: Value = serde_json::from_str(&told).expect("JSON");
        listed(&engines, &own)["kept"] == true
    })
    .await;
    let file = other_engine().await;
    let flags = ["--engine-file", file.to_str().expect("text")].map(str::to_owned);
    let mut count = 1;
    for index in 0..3 {
        fleet.stop(index).await;
        fleet.members[index].flags.extend(flags.clone());
        fleet.start(index).await;
        for through in 0..3 {
            count += 1;
            assert_eq!(exec(&fleet, through, "old").await["result"], count);
        }
    }
    let other = engine_of(Some(&file)).await;
    assert_eq!(exec(&fleet, 0, "new").await["result"], 1);
    let (_, info) = fleet.get(1, "/api/sessions/new").await;
    assert_eq!(info["engine"], other);
    let (_, info) = fleet.get(1, "/api/sessions/old").await;
    assert_eq!(info["engine"], own);
    fleet.same_state().await;
}
