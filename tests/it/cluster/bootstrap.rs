//! How clusters begin, grow, and refuse what is not theirs.

use std::time::Duration;

use serde_json::json;

use super::fleet::{Fleet, PATIENCE, free_port};
use crate::server::wait_until;
use crate::support::{program, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_form_the_cluster_and_the_third_comes_later() {
    let mut fleet = Fleet::of_three_planned();
    fleet.launch(0);
    let missing = fleet.members[1].endpoint();
    // Alone it waits, and tells for whom.
    wait_until("it to wait", PATIENCE, async || {
        let ended = fleet.admin(&["-o", "json", "status"]).await;
        ended.out.contains("\"waiting\"") && ended.out.contains(&missing)
    })
    .await;
    assert!(!fleet.is_ready(0).await);
    fleet.launch(1);
    fleet.ready(0).await;
    fleet.ready(1).await;
    assert_eq!(fleet.put(1, "early", json!(1)).await.status(), 200);
    fleet.start(2).await;
    let (status, tag) = fleet.get(2, "/api/tags/early").await;
    assert_eq!((status.as_u16(), &tag["value"]), (200, &json!(1)));
    fleet.same_state().await;
}

/// A node alone is a voter, and becomes one of three without a migration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_grows_to_three() {
    let mut fleet = Fleet::new();
    fleet.add("n1", &[]);
    fleet.start(0).await;
    assert_eq!(fleet.put(0, "before", json!([1])).await.status(), 200);
    // Nobody confirms it, so nobody's silence can make it unready.
    let status = fleet.status().await;
    assert!(status["nodes"][0]["quorum_silent_ms"].is_null(), "{status}");
    assert_eq!(status["problems"], json!([]));
    let first = fleet.members[0].endpoint();
    let second = fleet.add("n2", &["--join", &first]);
    fleet.start(second).await;
    let third = fleet.add("n3", &["--standby"]);
    fleet.launch(third);
    let address = fleet.members[third].endpoint();
    wait_until("it to be let in", PATIENCE, async || {
        fleet.admin(&["members", "add", &address]).await.code == Some(0)
    })
    .await;
    fleet.administer(&["members", "wait", "n2"]).await;
    fleet.ready(third).await;
    let (status, tag) = fleet.get(third, "/api/tags/before").await;
    assert_eq!((status.as_u16(), &tag["value"]), (200, &json!([1])));
    // It is one of three now: the first can go.
    let leader = fleet.leader().await;
    fleet.kill(leader);
    let rest = (0..3)
        .find(|index| *index != leader)
        .expect("there are others");
    wait_until("the others to go on", PATIENCE, async || {
        fleet.put(rest, "after", json!(1)).await.status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_directory_ends_the_node_with_the_way_out() {
    let mut fleet = Fleet::of_three().await;
    let mut other = Fleet::of_three().await;
    fleet.kill(2);
    other.kill(2);
    let (own, foreign) = (&fleet.members[2].directory, &other.members[2].directory);
    let aside = own.with_extension("aside");
    std::fs::rename(own, &aside).expect("one file system");
    std::fs::rename(foreign, own).expect("one file system");
    fleet.launch(2);
    let status = fleet.ended(2).await;
    assert!(!status.success());
    let log = fleet.members[2].log();
    assert!(log.contains("belongs to cluster"), "{log}");
    // With its own it is back.
    std::fs::remove_dir_all(&fleet.members[2].directory).expect("it is there");
    std::fs::rename(&aside, &fleet.members[2].directory).expect("one file system");
    fleet.start(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_finds_nobody_to_join_forms_nothing() {
    let mut fleet = Fleet::new();
    let nobody = format!("127.0.0.1:{}", free_port());
    fleet.add("n1", &["--join", &nobody]);
    fleet.launch(0);
    wait_until("it to wait", PATIENCE, async || {
        let ended = fleet.admin(&["-o", "json", "status"]).await;
        ended.out.contains("\"waiting\"")
    })
    .await;
    let health = fleet.get(0, "/health").await;
    assert_eq!(
        (health.0.as_u16(), &health.1["status"]),
        (503, &json!("starting"))
    );
    let refused = fleet.put(0, "x", json!(1)).await;
    assert_eq!(refused.status(), 503);
    let body = json!({"code": "1"});
    let exec = fleet
        .client
        .post(fleet.members[0].url("/api/exec"))
        .json(&body)
        .send()
        .await;
    assert_eq!(exec.expect("an answer").status(), 503);
}

/// Whoever does not know the secret is no operator and no node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_opens_the_cluster_port() {
    let mut fleet = Fleet::new();
    fleet.add("n1", &["--cluster-secret", "correct horse battery staple"]);
    fleet.start(0).await;
    let ask = async |secret: &[&str]| {
        let mut command = program();
        let endpoint = fleet.members[0].endpoint();
        command.args(["admin", "--timeout-secs", "5", "--endpoints", &endpoint]);
        run(command.args(secret).arg("members")).await
    };
    assert_eq!(
        ask(&["--cluster-secret", "correct horse battery staple"])
            .await
            .code,
        Some(0)
    );
    for wrong in [&["--cluster-secret", "incorrect horse battery"][..], &[]] {
        let refused = ask(wrong).await;
        assert_eq!(refused.code, Some(1), "{} {}", refused.out, refused.err);
        assert!(refused.err.contains("secret"), "{}", refused.err);
    }
    // By the socket in its directory no secret is asked for.
    let mut command = program();
    command.args(["admin", "--timeout-secs", "5", "--directory-path"]);
    let local = run(command.arg(&fleet.members[0].directory).arg("members")).await;
    assert_eq!(local.code, Some(0), "{}", local.err);
}

#[tokio::test]
async fn what_can_not_work_is_refused_at_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    for (flags, told) in [
        (
            vec!["--cluster-addr", "0.0.0.0:0", "--advertise-addr", "h:1"],
            "--cluster-secret",
        ),
        (
            vec![
                "--node-id",
                "a",
                "--peers",
                "b=h:1",
                "--cluster-addr",
                "127.0.0.1:0",
            ],
            "no node a",
        ),
        (vec!["--node-id", "a", "--join", "h:1"], "--cluster-addr"),
    ] {
        let mut command = program();
        command.args(["--http-port", "0", "--directory-path"]);
        command.arg(&path).args(&flags);
        let ended = tokio::time::timeout(Duration::from_secs(30), run(&mut command)).await;
        let ended = ended.expect("it ends");
        assert_ne!(ended.code, Some(0));
        assert!(ended.err.contains(told), "{flags:?}: {}", ended.err);
        assert!(!path.exists(), "what is refused leaves nothing behind");
    }
}
