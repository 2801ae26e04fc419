//! Clients that write and read tags through all nodes while something happens to these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use super::history::{Action, Call, History};

const CLIENTS: usize = 6;
/// Each client makes so many calls in a second at most, so that the search for an order stays short.
const PACE: Duration = Duration::from_millis(25);
/// A name is used for so long, and then the next one.
const NAME_PERIOD: Duration = Duration::from_millis(500);
/// Names in use at the same time.
const NAMES: usize = 3;

/// Clients at work.
pub struct Load {
    stop: CancellationToken,
    clients: JoinSet<Vec<Call>>,
    started: Instant,
}

impl Load {
    pub fn start(fleet: &Fleet) -> Self {
        let stop = CancellationToken::new();
        let started = Instant::now();
        let values = Arc::new(AtomicU64::new(1));
        let run =
            started.elapsed().as_nanos() as u64 ^ u64::from(getrandom::u32().expect("random"));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let index = client % fleet.members.len();
            let worker = Worker {
                url: fleet.members[index].url("/api/tags"),
                client: fleet.client.clone(),
                values: Arc::clone(&values),
                started,
                run,
            };
            clients.spawn(worker.run(stop.clone()));
        }
        Self {
            stop,
            clients,
            started,
        }
    }

    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends it and gives what was asked and answered.
    pub async fn end(self) -> History {
        self.stop.cancel();
        let calls = self.clients.join_all().await;
        History(calls.into_iter().flatten().collect())
    }
}

struct Worker {
    url: String,
    client: Client,
    values: Arc<AtomicU64>,
    started: Instant,
    run: u64,
}

impl Worker {
    async fn run(self, stop: CancellationToken) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0_usize.. {
            pace.tick().await;
            if stop.is_cancelled() {
                break;
            }
            let period = (self.started.elapsed().as_millis() / NAME_PERIOD.as_millis()) as usize;
            let draw = getrandom::u32().expect("the kernel has randomness") as usize;
            let name = period * NAMES + draw % NAMES;
            calls.extend(match number % 2 {
                0 => self.write(name).await,
                _ => self.read(name).await,
            });
        }
        calls
    }

    fn at(&self, name: usize) -> String {
        format!("{}/load-{:x}-{name}", self.url, self.run)
    }

    async fn write(&self, name: usize) -> Option<Call> {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        let start = self.started.elapsed();
        let body = json!({ "value": value });
        let reply = self.client.put(self.at(name)).json(&body).send().await;
        let end = self.started.elapsed();
        let end = match reply {
            Ok(reply) if reply.status() == 200 => Some(end),
            // Nothing was written, and that is sure.
            Ok(reply) if [429, 503].contains(&reply.status().as_u16()) => return None,
            Ok(reply) if reply.status() == 504 => None,
            Ok(reply) => panic!("a write was answered by {reply:?}"),
            Err(error) if error.is_connect() => return None,
            Err(_) => None,
        };
        Some(Call {
            name,
            action: Action::Write(value),
            start,
            end,
        })
    }

    async fn read(&self, name: usize) -> Option<Call> {
        let start = self.started.elapsed();
        let reply = self.client.get(self.at(name)).send().await.ok()?;
        let read = match reply.status().as_u16() {
            200 => {
                let body: Value = reply.json().await.ok()?;
                Some(body["value"].as_u64().expect("only numbers are written"))
            }
            404 => None,
            429 | 503 => return None,
            _ => panic!("a read was answered by {reply:?}"),
        };
        Some(Call {
            name,
            action: Action::Read(read),
            start,
            end: Some(self.started.elapsed()),
        })
    }
}
