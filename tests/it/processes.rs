use std::time::{Duration, Instant};

use futures::future::join_all;
use rustix::process::Signal;
use serde_json::json;

use super::server::{TestServer, children, process, signal, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// The process of the only run: it is the child that spends time, and no zygote, also none that
/// starts just now: a zygote leads its process group.
async fn busy_child(server: &TestServer) -> i32 {
    let mut busy = None;
    wait_until("a busy process", SOON, async || {
        busy = children(server.pid())
            .into_iter()
            .filter(|child| child.pid != child.group)
            .find(|child| child.state == 'R' && child.user_ticks >= 5);
        busy.is_some()
    })
    .await;
    busy.expect("just seen").pid
}

/// A signal that kills a run fails this execution and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_fails_alone() {
    let server = TestServer::start(&[]);
    for deadly in [Signal::KILL, Signal::SEGV, Signal::ABORT] {
        let other = server
            .submit(json!({"code": "await new Promise(r => setTimeout(r, 1500)); 'other'"}))
            .await;
        let id = server.submit_loop().await;
        signal(busy_child(&server).await, deadly);
        let got = server.wait(&id).await;
        assert_eq!(got["status"], "crashed", "{deadly:?}: {got}");
        assert_eq!(got["error"]["code"], "worker_crashed", "{got}");
        assert_eq!(got["output"], "on\n");
        assert_eq!(server.wait(&other).await["result"], "other", "{deadly:?}");
        assert_eq!(server.run("1 + 2").await["result"], 3);
    }
}

/// The zygote's death under load fails no request, and another takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_zygote_is_replaced() {
    let server = TestServer::start(&["--runs-ready", "2"]);
    let first = server.zygote_pid().await;
    let load = join_all((0..6).map(async |_| {
        for _ in 0..60 {
            assert_eq!(server.run("1 + 2").await["result"], 3);
        }
    }));
    let killer = async {
        let mut last = 0;
        for deadly in [Signal::KILL, Signal::SEGV, Signal::ABORT] {
            let pid = server.zygote_pid().await;
            signal(pid, deadly);
            wait_until("another zygote", SOON, async || {
                last = server.zygote_pid().await;
                last != pid
            })
            .await;
        }
        last
    };
    let (_, last) = tokio::join!(load, killer);
    assert_ne!(first, last);
    assert!(server.figures().await["zygote_starts"].as_u64() >= Some(4));
    assert_eq!(server.run("1 + 2").await["result"], 3);
}

/// After a crash the runs get a new zygote; many crashes at once don't get one each, since a start
/// costs more than a run.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_renew_the_zygote_but_not_without_pause() {
    let server = TestServer::start(&["--runs-ready", "2"]);
    let first = server.zygote_pid().await;
    let start = Instant::now();
    for _ in 0..6 {
        let id = server.submit_loop().await;
        signal(busy_child(&server).await, Signal::KILL);
        assert_eq!(server.wait(&id).await["status"], "crashed");
    }
    wait_until("another zygote", SOON, async || {
        server.zygote_pid().await != first
    })
    .await;
    let starts = server.figures().await["zygote_starts"].as_u64();
    let seconds = start.elapsed().as_secs();
    assert!(starts <= Some(2 + seconds), "{starts:?} in {seconds} s");
    assert_eq!(server.run("1 + 2").await["result"], 3);
}

/// A zygote that is renewed serves until its successor is warm: under load there is a zygote at each
/// look, every answer is right, and every process that a renewal gave up is reaped.
#[tokio::test(flavor = "multi_thread")]
async fn renewals_leave_no_gap_and_no_zombie() {
    let server = TestServer::start(&["--runs-ready", "4"]);
    let renewed = std::sync::atomic::AtomicBool::new(false);
    let over = || renewed.load(std::sync::atomic::Ordering::Relaxed);
    let load = join_all((0..8).map(async |_| {
        while !over() {
            assert_eq!(server.run("1 + 2").await["result"], 3);
        }
    }));
    let watch = wait_until("three renewals", 6 * SOON, async || {
        let figures = server.figures().await;
        assert!(figures["zygote_pid"].is_i64(), "no zygote: {figures}");
        over()
    });
    let crashes = async {
        for round in 2..=4 {
            let id = server.submit_loop().await;
            let busy = busy_child(&server).await;
            signal(busy, Signal::SEGV);
            assert_eq!(server.wait(&id).await["status"], "crashed");
            wait_until("another zygote", SOON, async || {
                server.figures().await["zygote_starts"].as_u64() >= Some(round)
            })
            .await;
        }
        renewed.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(load, watch, crashes);
    let (processes, _) = server.settled().await;
    assert_eq!(processes, 5);
}

/// Processes that died while they waited are not given a request.
#[tokio::test(flavor = "multi_thread")]
async fn killed_forks_are_not_used() {
    let server = TestServer::start(&["--runs-ready", "4"]);
    for _ in 0..5 {
        server.settled().await;
        let zygote = server.zygote_pid().await;
        let waiting = children(server.pid());
        for child in waiting.iter().filter(|child| child.pid != zygote) {
            signal(child.pid, Signal::KILL);
        }
        assert_eq!(waiting.len(), 5);
        // Dying takes the kernel a moment.
        wait_until("the forks to die", SOON, async || {
            let dead = |pid| process(pid).is_none_or(|now| now.state == 'Z');
            waiting
                .iter()
                .all(|child| child.pid == zygote || dead(child.pid))
        })
        .await;
        let got = server.run("1 + 2").await;
        assert_eq!(got["result"], 3, "{got}");
    }
}

/// Nothing outlives the node, also when it had no chance to clean up: not the zygote, not the
/// forks that wait, not a run that never yields.
#[tokio::test(flavor = "multi_thread")]
async fn everything_dies_with_the_node() {
    let mut server = TestServer::start(&["--runs-ready", "4"]);
    server.submit_loop().await;
    server.submit_loop().await;
    let all = children(server.pid());
    assert!(all.len() >= 3, "{all:?}");
    server.signal(Signal::KILL);
    server.ended(SOON).await;
    let start = Instant::now();
    wait_until("all workers to end", Duration::from_secs(5), async || {
        // A zombie is dead: reaping it is up to whoever inherited it.
        all.iter().all(|worker| {
            process(worker.pid)
                .is_none_or(|now| now.start_ticks != worker.start_ticks || now.state == 'Z')
        })
    })
    .await;
    println!("all workers ended {:?} after the node", start.elapsed());
}

/// Asked to stop, the node says that it is not ready, finishes what runs, and ends with success.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_drains() {
    let mut server = TestServer::start(&[]);
    let body =
        json!({"code": "console.log('on'); await new Promise(r => setTimeout(r, 2500)); 'whole'"});
    let request = server.post("/api/exec").json(&body).send();
    let request = tokio::spawn(request);
    wait_until("the run", SOON, async || {
        server.figures().await["running"] == 1
    })
    .await;
    // A stopping server takes no new connection, so the question goes over one that is open.
    let ready = server.get("/readyz").send().await.expect("an answer");
    assert_eq!(ready.status(), 200);
    server.signal(Signal::TERM);
    wait_until("the node to be not ready", SOON, async || {
        let answer = server.get("/readyz").send().await;
        answer.is_ok_and(|answer| answer.status() == 503)
    })
    .await;
    let response = request.await.expect("no panic").expect("an answer");
    assert_eq!(response.status(), 200);
    let got: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(got["result"], "whole", "{got}");
    assert!(server.ended(SOON).await.success());
}

/// Every process that ended is reaped.
#[tokio::test(flavor = "multi_thread")]
async fn no_zombies() {
    let server = TestServer::start(&["--runs-ready", "4"]);
    for _ in 0..30 {
        join_all((0..10).map(|_| server.run("1 + 2"))).await;
    }
    let (processes, _) = server.settled().await;
    assert_eq!(processes, 5);
    let zombies = children(server.pid())
        .into_iter()
        .filter(|child| child.state == 'Z')
        .count();
    assert_eq!(zombies, 0);
}

/// The mappings of a process in the region that images will be made of.
fn region(pid: i32) -> Vec<String> {
    const REGION: std::ops::Range<u64> = 0x1000_0000_0000..0x1800_0000_0000;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("readable");
    maps.lines()
        .filter(|line| {
            let start = line.split('-').next().unwrap_or_default();
            u64::from_str_radix(start, 16).is_ok_and(|start| REGION.contains(&start))
        })
        .map(|line| {
            line.split_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

/// Two zygotes with the same start have the same memory map: addresses, sizes and protections.
#[tokio::test(flavor = "multi_thread")]
async fn two_starts_have_the_same_mappings() {
    let (one, other) = (TestServer::start(&[]), TestServer::start(&[]));
    let (one, other) = (
        region(one.zygote_pid().await),
        region(other.zygote_pid().await),
    );
    assert!(one.len() > 10, "{one:?}");
    assert_eq!(one, other);
}
