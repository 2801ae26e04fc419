//! Tasks that wait for a time, and those that come again.

use reqwest::{Client, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{create, ended, get};
use crate::cluster::fleet::{Fleet, PATIENCE};
use crate::server::wait_until;

const CREATED: StatusCode = StatusCode::CREATED;

/// The times, in milliseconds since 1970, of the tasks that a schedule has made, the newest first.
async fn fired(url: &str, schedule: &str) -> Vec<(u64, Value)> {
    let (_, page) = get(url, &format!("/api/tasks?limit=1000&parent={schedule}")).await;
    let tasks = page["tasks"].as_array().unwrap_or_else(|| panic!("{page}"));
    let time = |task: &Value| {
        let id = task["task_id"].as_str().expect("an id");
        let (_, time) = id.split_once('.').expect("a schedule has made it");
        time.parse().expect("a number")
    };
    tasks
        .iter()
        .map(|task| (time(task), task.clone()))
        .collect()
}

async fn cancel(url: &str, id: &str) {
    let cancel = Client::new().post(format!("{url}/api/tasks/{id}/cancel"));
    let reply = cancel.send().await.expect("the node answers");
    assert_eq!(reply.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_outlives_the_loss_of_its_node_before_its_time() {
    let mut fleet = Fleet::new();
    fleet.add("alone", &[]);
    fleet.start(0).await;
    let url = fleet.members[0].url("");
    let body = json!({"code": "'done'", "delay_ms": 1500, "session": "s"});
    let task = create(&url, &body, CREATED).await;
    assert_eq!(task["status"], "queued");
    fleet.kill(0);
    fleet.start(0).await;
    let task = ended(&url, &task).await;
    assert_eq!(
        (&task["status"], &task["report"]["result"]),
        (&json!("succeeded"), &json!("done"))
    );
    assert!(
        task["started_at"].as_str() >= task["run_at"].as_str(),
        "{task}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_time_of_a_schedule_makes_one_task_whoever_leads() {
    let mut fleet = Fleet::of_three().await;
    let url = fleet.members[0].url("");
    // Each is counted in a session: one that ran twice would be seen.
    let body = json!({
        "code": "globalThis.n = (globalThis.n ?? 0) + 1",
        "session": "count",
        "cron": "* * * * * *",
        "labels": {"every": "second"},
    });
    let schedule = create(&url, &body, CREATED).await;
    let id = schedule["task_id"].as_str().expect("an id").to_owned();
    assert_eq!(schedule["status"], "scheduled");
    // Told by the first node that serves.
    let count = async |fleet: &Fleet| {
        for member in 0..3 {
            if fleet.is_ready(member).await {
                return fired(&fleet.members[member].url(""), &id).await.len();
            }
        }
        0
    };
    wait_until("three times", PATIENCE, async || count(&fleet).await >= 3).await;
    // The leader goes, and another one goes on.
    let leader = fleet.leader().await;
    fleet.kill(leader);
    let next = fleet.leader().await;
    fleet.ready(next).await;
    let before = count(&fleet).await;
    wait_until("two more times", PATIENCE, async || {
        count(&fleet).await >= before + 2
    })
    .await;
    fleet.start(leader).await;
    // All go, and come back: what was missed meanwhile makes one task.
    for index in 0..3 {
        fleet.members[index].signal(Signal::KILL);
    }
    for index in 0..3 {
        fleet.ended(index).await;
    }
    fleet.start_all().await;
    let before = count(&fleet).await;
    wait_until("two more times", PATIENCE, async || {
        count(&fleet).await >= before + 2
    })
    .await;
    let url = fleet.members[0].url("");
    cancel(&url, &id).await;
    let tasks = fired(&url, &id).await;
    for (_, task) in &tasks {
        let task = ended(&url, task).await;
        assert_eq!(task["status"], "succeeded", "{task}");
        assert_eq!(task["labels"]["every"], "second");
    }
    let mut times: Vec<u64> = tasks.iter().map(|(time, _)| *time).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), tasks.len(), "a time was due twice");
    assert!(times.iter().all(|time| time % 1000 == 0), "{times:?}");
    let (_, session) = get(&url, "/api/sessions/count").await;
    assert_eq!(session["commits"], tasks.len(), "{session}");
    let after = fired(&url, &id).await.len();
    assert_eq!(after, tasks.len(), "a cancelled schedule makes no more");
}
