//! A closed loop: each client sends its next request when it has the answer to the last.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::task::LocalSet;

use crate::client::{Connection, Target, holds};
use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};
use crate::proc::{TreeMemory, tree_memory};

/// What to send, how, and for how long.
#[derive(Debug)]
pub struct Closed {
    /// Where to: each client to one of them.
    pub targets: Vec<Target>,
    /// The body of each request, with `{client}` and `{turn}` in it.
    pub body: Bytes,
    /// How far `{turn}` goes.
    pub turns: u64,
    /// Its type.
    pub content_type: String,
    /// Clients at the same time, a connection each.
    pub concurrency: usize,
    /// Before counting starts.
    pub warmup: Duration,
    /// While it counts.
    pub measured: Duration,
    /// What a right answer holds, beside the status 200.
    pub expect: String,
    /// The server's process: its tree's memory is read in the middle of the run.
    pub pid: Option<u32>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct ClosedReport {
    concurrency: usize,
    seconds: f64,
    per_second: f64,
    errors: u64,
    first_error: Option<String>,
    #[serde(flatten)]
    latency: LatencySummary,
    memory: Option<TreeMemory>,
}

#[derive(Default)]
struct Tally {
    errors: u64,
    first_error: Option<String>,
}

/// Runs it.
pub async fn run(closed: Closed) -> Result<ClosedReport, LoadError> {
    LocalSet::new().run_until(measure(Rc::new(closed))).await
}

async fn measure(closed: Rc<Closed>) -> Result<ClosedReport, LoadError> {
    let from = Instant::now() + closed.warmup;
    let until = from + closed.measured;
    let latency = Rc::new(RefCell::new(Latency::new()));
    let tally = Rc::new(RefCell::new(Tally::default()));
    let mut clients = Vec::new();
    let turn = Rc::new(Cell::new(0));
    for number in 0..closed.concurrency {
        let (closed, latency, tally) = (closed.clone(), latency.clone(), tally.clone());
        let bodies = Bodies::new(&closed, number, turn.clone());
        clients.push(tokio::task::spawn_local(async move {
            let target = &closed.targets[number % closed.targets.len()];
            while Instant::now() < until {
                let Err(error) = client(&closed, target, &bodies, from, until, &latency).await
                else {
                    break;
                };
                let mut tally = tally.borrow_mut();
                tally.errors += 1;
                tally.first_error.get_or_insert_with(|| error.to_string());
            }
        }));
    }
    let mut memory = None;
    if let Some(pid) = closed.pid {
        tokio::time::sleep_until((from + closed.measured / 2).into()).await;
        memory = Some(tree_memory(pid));
    }
    for client in clients {
        client.await.expect("a client does not panic");
    }
    let latency = latency.borrow().summary();
    let tally = tally.take();
    if latency.count == 0 {
        let first = tally
            .first_error
            .unwrap_or_else(|| "no request ended in time".into());
        return Err(LoadError::NothingMeasured { first });
    }
    let seconds = closed.measured.as_secs_f64();
    Ok(ClosedReport {
        concurrency: closed.concurrency,
        seconds,
        per_second: latency.count as f64 / seconds,
        errors: tally.errors,
        first_error: tally.first_error,
        latency,
        memory,
    })
}

/// What one client sends.
struct Bodies {
    body: Bytes,
    turns: Option<(String, u64, Rc<Cell<u64>>)>,
}

impl Bodies {
    fn new(closed: &Closed, client: usize, turn: Rc<Cell<u64>>) -> Self {
        let text = String::from_utf8_lossy(&closed.body);
        if !text.contains("{client}") && !text.contains("{turn}") {
            return Self {
                body: closed.body.clone(),
                turns: None,
            };
        }
        let text = text.replace("{client}", &client.to_string());
        Self {
            body: text.clone().into(),
            turns: text
                .contains("{turn}")
                .then(|| (text, closed.turns.max(1), turn)),
        }
    }

    fn next(&self) -> Bytes {
        let Some((text, turns, turn)) = &self.turns else {
            return self.body.clone();
        };
        let number = turn.get();
        turn.set((number + 1) % turns);
        text.replace("{turn}", &number.to_string()).into()
    }
}

/// One connection until the end or its first error; only requests that end in the window count.
async fn client(
    closed: &Closed,
    target: &Target,
    bodies: &Bodies,
    from: Instant,
    until: Instant,
    latency: &RefCell<Latency>,
) -> Result<(), LoadError> {
    let mut connection = Connection::open(target).await?;
    loop {
        let sent = Instant::now();
        if sent >= until {
            return Ok(());
        }
        let answer = connection.post(&closed.content_type, bodies.next()).await?;
        if answer.status != 200 || !holds(&answer.body, &closed.expect) {
            return Err(LoadError::WrongAnswer {
                status: answer.status,
                body: String::from_utf8_lossy(&answer.body)
                    .chars()
                    .take(200)
                    .collect(),
            });
        }
        let now = Instant::now();
        if now >= from && now < until {
            latency.borrow_mut().record(now - sent);
        }
    }
}
