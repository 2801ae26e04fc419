//! Lines of processes, through the node's own API of workers.

mod programs;
mod rules;
mod twins;

use std::os::fd::AsFd;
use std::time::Duration;

use super::{Origin, Refused, Session, SessionError, StateLimits};
use crate::workers::child::Forking;
use crate::workers::line::LineSockets;
use crate::workers::{
    Engine, Language, Options, Outcome, RunLimits, RunRequest, SandboxMode, Workers,
};
use process_image::StateId;
use tokio_util::sync::CancellationToken;
use worker_protocol::Role;

/// The bounds of a run in these tests.
pub fn run_limits() -> RunLimits {
    RunLimits {
        timeout: Duration::from_secs(60),
        heap_bytes_max: 256 << 20,
        array_buffer_bytes_max: 256 << 20,
        memory_bytes_max: 512 << 20,
        stack_bytes_max: 1 << 20,
        result_bytes_max: 1 << 20,
    }
}

pub fn request(code: &str) -> RunRequest {
    RunRequest {
        code: code.to_owned(),
        language: Language::JavaScript,
        input_json: None,
        limits: run_limits(),
        reproducible: None,
        globals: false,
    }
}

pub async fn workers() -> Workers {
    let options = Options::new(1, SandboxMode::Auto);
    Workers::start(Engine::embedded().expect("the engine"), options)
        .await
        .expect("V8 starts")
}

/// A session at the base image, whose whole memory is compared after each run.
pub async fn open(workers: &Workers) -> Session {
    let limits = StateLimits {
        verify: true,
        ..StateLimits::default()
    };
    Session::open(workers, Origin::Base, limits)
        .await
        .expect("a session")
}

/// What a run printed as its result, or its error.
pub fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(done) => match &done.error {
            None => done.result_text.clone(),
            Some(error) => format!("{}: {}", error.name, error.message),
        },
        other => format!("{other:?}"),
    }
}

/// Runs code and keeps it; the state is named by how many there were before.
pub async fn keep(session: &mut Session, code: &str) -> (String, usize) {
    let mut name = session.state().0;
    name[0] = name[0].wrapping_add(1);
    let attempt = session
        .run(request(code), &mut |_| {}, CancellationToken::new())
        .await
        .expect("a process");
    let bytes = attempt.encoded().map_or(0, <[u8]>::len);
    let ended = attempt
        .commit(StateId(name))
        .unwrap_or_else(|refused| panic!("{code}: {refused:?}"));
    (said(&ended.outcome), bytes)
}

/// The same session in another process.
pub async fn move_to_fresh(session: Session, workers: &Workers) -> Session {
    let file = tempfile::tempfile().expect("a file");
    let out = file.try_clone().expect("a file");
    session.save(out).await.expect("saved");
    session.close().await;
    let limits = StateLimits {
        verify: true,
        ..StateLimits::default()
    };
    Session::open(workers, Origin::Image(file), limits)
        .await
        .expect("a session")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_its_world() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    for (code, result) in [
        ("let n = 1; const f = () => ++n; n", "1"),
        ("f(); f()", "3"),
        (
            "class A { #x = n; get x() { return this.#x } } const a = new A(); a.x",
            "3",
        ),
        ("n = 10; a.x + f()", "14"),
        (
            "const g = (function*() { yield 1; yield 2 })(); g.next().value",
            "1",
        ),
        ("g.next().value", "2"),
        (
            "throw new Error('kept all the same: ' + (n = 20))",
            "Error: kept all the same: 20",
        ),
        ("n", "20"),
        ("let n = 'again'; n", "'again'"),
    ] {
        let (got, bytes) = keep(&mut session, code).await;
        println!("{bytes:>8} bytes  {code}");
        assert_eq!(got, result, "{code}");
    }
    session.close().await;
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_given_up_has_not_happened() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "let n = 1").await;
    let attempt = session
        .run(request("n = 2"), &mut |_| {}, CancellationToken::new())
        .await
        .expect("a process");
    assert_eq!(said(&attempt.abort().outcome), "2");
    assert_eq!(keep(&mut session, "n").await.0, "1");

    let mut endless = request("n = 3; for (;;);");
    endless.limits.timeout = Duration::from_millis(300);
    let attempt = session
        .run(endless, &mut |_| {}, CancellationToken::new())
        .await
        .expect("a process");
    assert!(matches!(attempt.ended().outcome, Outcome::TimedOut));
    assert!(matches!(
        attempt.commit(StateId([9; 32])),
        Err(Refused::NotDone)
    ));
    assert_eq!(keep(&mut session, "n").await.0, "1");
    session.close().await;
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_entered_elsewhere() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "const m = new Map([['a', 1]]); let n = 41; const p = new Promise(r => globalThis.go = r).then(x => n = x); 0").await;
    let file = tempfile::tempfile().expect("a file");
    let header = session
        .save(file.try_clone().expect("a file"))
        .await
        .expect("saved");
    println!("{} pages", header.present().count());
    session.close().await;
    let mut moved = Session::open(&workers, Origin::Image(file), StateLimits::default())
        .await
        .expect("a session");
    assert_eq!(moved.state(), header.state());
    assert_eq!(keep(&mut moved, "++n + m.get('a')").await.0, "43");
    assert_eq!(
        keep(&mut moved, "go('resumed'); await p; n").await.0,
        "'resumed'"
    );
    moved.close().await;
    workers.shutdown().await;
}

/// A fork that is killed before it took its channel leaves it to the next one: the process says so in
/// time, instead of waiting for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_fork_died_early_is_gone() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "var n = 1").await;
    // The fork that is ordered already has its own channel.
    let ready = session.take_ready().await.expect("a fork");
    let (_dead, channel) = Forking::pair().expect("a channel");
    let (_sockets, [handoff, orders]) = LineSockets::pair().expect("sockets");
    let descriptors = [channel.as_fd(), handoff.as_fd(), orders.as_fd()];
    let line = session.living.line.get();
    line.hand(Role::Line, &descriptors).expect("handed over");
    drop(ready);
    let refused = session
        .run(request("n"), &mut |_| {}, CancellationToken::new())
        .await
        .err();
    assert!(matches!(refused, Some(SessionError::Gone)), "{refused:?}");
    workers.shutdown().await;
}
