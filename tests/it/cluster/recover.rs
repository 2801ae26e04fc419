//! Two of three nodes are lost for good: what the third has goes on as a new cluster.

use serde_json::{Value, json};

use super::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;
use crate::sessions::until_answered;
use crate::support::{Ended, program, run};

const SURE: &str = "--i-know-that-the-majority-is-lost";
/// Its delta is a blob.
const LARGE: &str = "var big = Array.from({length: 30_000}, (_, i) => 'x' + i * 7919); big.length";

async fn recover(arguments: &[&str]) -> Ended {
    let mut command = program();
    command.args(["admin", "-o", "json", "unsafe-recover"]);
    run(command.args(arguments)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_has_goes_on_as_a_new_cluster() {
    let mut fleet = Fleet::of_three().await;
    let run_in = async |fleet: &Fleet, code: &str| -> Value {
        let body = json!({"code": code, "session": "s"});
        until_answered(fleet, 0, &body).await["result"].clone()
    };
    assert_eq!(run_in(&fleet, "globalThis.n = 1").await, 1);
    assert_eq!(run_in(&fleet, LARGE).await, 30_000);
    for number in 0..20 {
        fleet
            .put(number % 3, &format!("tag-{number}"), json!(number))
            .await;
    }
    fleet.same_state().await;
    // Of what is not on all nodes, the one that ran it has its own.
    let (_, session) = fleet.get(0, "/api/sessions/s").await;
    let owner = fleet.members.iter().find(|it| session["owner"] == it.name);
    let left = owner.expect("a member").directory.clone();
    let left = left.to_str().expect("text");
    let new = tempfile::tempdir().expect("a directory");
    let new = new.path().join("n1");
    let new = new.to_str().expect("text");
    // A node runs with it; and who is not sure is asked.
    let busy = recover(&[left, new, SURE]).await;
    assert_eq!(busy.code, Some(1), "{busy:?}");
    assert!(busy.err.contains("another process"), "{}", busy.err);
    for index in 0..3 {
        fleet.kill(index);
    }
    let asked = recover(&[left, new]).await;
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(asked.err.contains(SURE), "{}", asked.err);
    let empty = recover(&[new, left, SURE]).await;
    assert_eq!(empty.code, Some(1), "{empty:?}");

    let told = recover(&[left, new, "--node-id", "n1", SURE]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_ne!(told["cluster_id"], told["old_cluster_id"]);
    // Twice is once too often.
    assert_eq!(recover(&[left, new, SURE]).await.code, Some(1));

    let mut after = Fleet::new();
    after.add("n1", &[]);
    after.members[0].directory = new.into();
    after.start(0).await;
    for number in 0..20 {
        let (_, tag) = after.get(0, &format!("/api/tags/tag-{number}")).await;
        assert_eq!(tag["value"], number, "{tag}");
    }
    assert_eq!(run_in(&after, "++n").await, 2);
    let length = json!({"code": "big.length", "session": "s"});
    assert_eq!(until_answered(&after, 0, &length).await["result"], 30_000);
    // Others join it.
    let endpoint = after.members[0].endpoint();
    let joined = after.add("n2", &["--join", &endpoint]);
    after.start(joined).await;
    wait_until("two voters", PATIENCE, async || {
        after.status().await["voters"] == 2
    })
    .await;
    after.same_state().await;
}
