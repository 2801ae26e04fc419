//! An open loop: requests come at a constant rate, whether or not the last is answered.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use crate::client::{Connection, Target};
use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};

/// Due requests that may wait for the client itself. A client that is even slower loses no request
/// of the schedule, since each carries the moment at which it was due.
const TICKS_AHEAD_MAX: usize = 1_024;

/// Small programs and what must come of each; none is any number.
fn snippets() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("1 + 1", Some(json!(2))),
        ("Math.sqrt(144)", Some(json!(12))),
        (
            "JSON.stringify({a: 1, b: 2})",
            Some(json!(r#"{"a":1,"b":2}"#)),
        ),
        (
            "Array.from({length: 10}, (_, i) => i * i).reduce((a, b) => a + b, 0)",
            Some(json!(285)),
        ),
        ("'hello'.repeat(3)", Some(json!("hellohellohello"))),
        ("Date.now()", None),
        ("Object.keys({x: 1, y: 2, z: 3}).length", Some(json!(3))),
        (
            "[1, 2, 3, 4].filter(n => n % 2 === 0).map(n => n * 10)",
            Some(json!([20, 40])),
        ),
    ]
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct ArrivalReport {
    rate: u32,
    seconds: f64,
    /// Answered right, for each second of the schedule.
    per_second: f64,
    ok_percent: f64,
    wrong: u64,
    dropped: u64,
    first_error: Option<String>,
    connections: usize,
    #[serde(flatten)]
    latency: LatencySummary,
}

struct State {
    latency: Latency,
    idle: Vec<Connection>,
    connections: usize,
    wrong: u64,
    dropped: u64,
    first_error: Option<String>,
}

/// Sends `rate` requests a second for that long; one more than `rate` under way is dropped.
pub async fn run(target: Target, rate: u32, lasting: Duration) -> Result<ArrivalReport, LoadError> {
    LocalSet::new()
        .run_until(measure(target, rate, lasting))
        .await
}

async fn measure(target: Target, rate: u32, lasting: Duration) -> Result<ArrivalReport, LoadError> {
    let snippets: Rc<Vec<_>> = Rc::new(
        snippets()
            .into_iter()
            .map(|(code, expected)| (Bytes::from(json!({ "code": code }).to_string()), expected))
            .collect(),
    );
    let connections_max = usize::try_from(rate).unwrap_or(usize::MAX).clamp(16, 5_000);
    let state = Rc::new(RefCell::new(State {
        latency: Latency::new(),
        idle: Vec::new(),
        connections: 0,
        wrong: 0,
        dropped: 0,
        first_error: None,
    }));
    let mut schedule = ticks(rate, lasting);
    let mut requests = JoinSet::new();
    let mut number = 0;
    while let Some(scheduled) = schedule.recv().await {
        let idle = {
            let mut state = state.borrow_mut();
            let idle = state.idle.pop();
            if idle.is_none() {
                if state.connections >= connections_max {
                    state.dropped += 1;
                    continue;
                }
                state.connections += 1;
            }
            idle
        };
        let (snippets, state, target) = (snippets.clone(), state.clone(), target.clone());
        // A multiplier that shares no factor with 8 mixes the programs without a random number.
        let (body, index) = {
            let index = number * 5 % snippets.len();
            (snippets[index].0.clone(), index)
        };
        number += 1;
        requests.spawn_local(async move {
            let outcome = one(idle, &target, body, &snippets[index].1).await;
            let mut state = state.borrow_mut();
            match outcome {
                Ok(connection) => {
                    state.latency.record(scheduled.elapsed());
                    state.idle.push(connection);
                }
                Err(error) => {
                    state.wrong += 1;
                    state.connections -= 1;
                    state.first_error.get_or_insert_with(|| error.to_string());
                }
            }
        });
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
    let state = state.borrow();
    let latency = state.latency.summary();
    let made = latency.count + state.wrong;
    Ok(ArrivalReport {
        rate,
        seconds: lasting.as_secs_f64(),
        per_second: latency.count as f64 / lasting.as_secs_f64(),
        ok_percent: 100.0 * latency.count as f64 / made.max(1) as f64,
        wrong: state.wrong,
        dropped: state.dropped,
        first_error: state.first_error.clone(),
        connections: state.connections,
        latency,
    })
}

/// The moments at which a request is due. A thread of its own: the runtime's timer knows only
/// whole milliseconds, which is more than many of the answers take.
fn ticks(rate: u32, lasting: Duration) -> mpsc::Receiver<Instant> {
    let (due, schedule) = mpsc::channel(TICKS_AHEAD_MAX);
    thread::spawn(move || {
        let start = Instant::now() + Duration::from_millis(10);
        let count = (f64::from(rate) * lasting.as_secs_f64()) as u64;
        for number in 0..count {
            let at = start + Duration::from_secs_f64(number as f64 / f64::from(rate));
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if due.blocking_send(at).is_err() {
                return;
            }
        }
    });
    schedule
}

async fn one(
    idle: Option<Connection>,
    target: &Target,
    body: Bytes,
    expected: &Option<Value>,
) -> Result<Connection, LoadError> {
    let mut connection = match idle {
        Some(connection) => connection,
        None => Connection::open(target).await?,
    };
    let answer = connection.post("application/json", body).await?;
    let wrong = || LoadError::WrongAnswer {
        status: answer.status,
        body: String::from_utf8_lossy(&answer.body)
            .chars()
            .take(200)
            .collect(),
    };
    if answer.status != 200 {
        return Err(wrong());
    }
    let reply: Value = serde_json::from_slice(&answer.body)?;
    let right = reply["status"] == "completed"
        && match expected {
            Some(expected) => &reply["result"] == expected,
            None => reply["result"].is_number(),
        };
    if right { Ok(connection) } else { Err(wrong()) }
}
