//! What operators do, with the command that they have.

use serde_json::{Value, json};

use super::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;

async fn members(fleet: &Fleet) -> Vec<Value> {
    let told = fleet.administer(&["-o", "json", "members"]).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    told["members"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_is_handed_over_and_members_lose_and_get_votes() {
    let fleet = Fleet::of_three().await;
    let leader = fleet.leader().await;
    let to = fleet.members[(leader + 1) % 3].name.clone();
    fleet.administer(&["transfer-leader", &to]).await;
    assert_eq!(fleet.members[fleet.leader().await].name, to);
    // The leader too can be told to go: another one leads then.
    fleet.administer(&["members", "demote", &to]).await;
    let row = members(&fleet)
        .await
        .into_iter()
        .find(|it| it["name"] == to.as_str());
    assert_eq!(row.expect("it is a member")["role"], "learner");
    fleet.administer(&["members", "promote", &to]).await;
    let row = members(&fleet)
        .await
        .into_iter()
        .find(|it| it["name"] == to.as_str());
    assert_eq!(row.expect("it is a member")["role"], "voter");
    let unknown = fleet.admin(&["members", "demote", "nobody"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("nobody"), "{}", unknown.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_lose_the_quorum_is_refused_unless_forced() {
    let mut fleet = Fleet::of_three().await;
    let dead = fleet.follower().await;
    let leader = fleet.leader().await;
    let other = fleet.members[(0..3)
        .find(|it| *it != dead && *it != leader)
        .expect("three")]
    .name
    .clone();
    fleet.kill(dead);
    let name = fleet.members[dead].name.clone();
    wait_until("its life to be over", PATIENCE, async || {
        members(&fleet)
            .await
            .iter()
            .any(|it| it["name"] == name.as_str() && it["alive"] == false)
    })
    .await;
    let refused = fleet.admin(&["members", "remove", &other]).await;
    assert_eq!(refused.code, Some(1), "{} {}", refused.out, refused.err);
    assert!(refused.err.contains("force"), "{}", refused.err);
    // The dead one may go: those that are left answer.
    fleet.administer(&["members", "remove", &name]).await;
    assert_eq!(members(&fleet).await.len(), 2);
    assert_eq!(fleet.put(leader, "x", json!(1)).await.status(), 200);
    // A removed node that comes back is told so, and ends.
    fleet.launch(dead);
    let status = fleet.ended(dead).await;
    assert!(!status.success());
    let log = fleet.members[dead].log();
    assert!(log.contains("removed from the cluster"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_takes_no_new_work() {
    let fleet = Fleet::of_three().await;
    fleet.administer(&["drain", "n2"]).await;
    let (status, health) = fleet.get(1, "/health").await;
    assert_eq!(
        (status.as_u16(), &health["status"]),
        (503, &json!("draining"))
    );
    let exec = async |index: usize| {
        let request = fleet.client.post(fleet.members[index].url("/api/exec"));
        let reply = request
            .json(&json!({"code": "1"}))
            .send()
            .await
            .expect("an answer");
        (
            reply.status().as_u16(),
            reply.json::<Value>().await.expect("JSON"),
        )
    };
    let (status, problem) = exec(1).await;
    assert_eq!((status, &problem["code"]), (503, &json!("draining")));
    assert_eq!(exec(0).await.0, 200);
    fleet.administer(&["undrain", "n2"]).await;
    fleet.ready(1).await;
    assert_eq!(exec(1).await.0, 200);
}

/// Without a quorum nothing can be decided, and the command tells so, and what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_quorum_is_diagnosed() {
    let mut fleet = Fleet::of_three().await;
    fleet.kill(1);
    fleet.kill(2);
    let mut told = String::new();
    wait_until("the node to know", PATIENCE, async || {
        let ended = fleet.admin(&["status"]).await;
        told = ended.out;
        ended.code == Some(1) && told.contains("leader none")
    })
    .await;
    for part in [
        "no quorum",
        "1 of 3 voters answer and 2 are needed",
        "n2 (",
        "n3 (",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let write = fleet.put(0, "x", json!(1)).await;
    assert!([503, 504].contains(&write.status().as_u16()), "{write:?}");
    let refused = fleet
        .admin(&["transfer-leader", "--timeout-secs", "2"])
        .await;
    assert_eq!(refused.code, Some(3), "{} {}", refused.out, refused.err);
    // Code runs all the same.
    let request = fleet.client.post(fleet.members[0].url("/api/exec"));
    let reply = request
        .json(&json!({"code": "1"}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(reply.status(), 200);
    fleet.start(1).await;
    fleet.leader().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_a_rolling_restart() {
    let mut fleet = Fleet::of_three().await;
    for index in 0..3 {
        assert!(fleet.stop(index).await.success());
        let other = (index + 1) % 3;
        wait_until("the others to go on", PATIENCE, async || {
            fleet.put(other, "restart", json!(index)).await.status() == 200
        })
        .await;
        fleet.start(index).await;
    }
    fleet.same_state().await;
}

#[tokio::test]
async fn nobody_answers() {
    let endpoint = format!("127.0.0.1:{}", super::fleet::free_port());
    let mut command = crate::support::program();
    command.args([
        "admin",
        "--timeout-secs",
        "1",
        "--endpoints",
        &endpoint,
        "status",
    ]);
    let ended = crate::support::run(&mut command).await;
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains(&endpoint), "{}", ended.err);
}
