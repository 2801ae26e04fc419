//! Log, vote and committed index under the loss of power.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use cluster::log::{LogOptions, LogStore};
use cluster::types::TypeConfig;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt as _;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::log_model::{Call, LogModel};
use super::machine::Inside;
use super::trial::{Subject, is_caught_without_fdatasync, survives};
use crate::draws::Draws;

pub const VICTIM: &str = "log";
const CALLS: u64 = 2_000;
/// Appends that nobody has waited for yet.
const UNDER_WAY_MAX: usize = 32;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("threads can be started")
}

/// Makes random calls, and tells the desk before and after each.
pub fn live(inside: &Inside) -> io::Result<()> {
    runtime().block_on(work(inside))
}

async fn work(inside: &Inside) -> io::Result<()> {
    let directory = inside.disk.join("raft");
    let mut log = LogStore::open(LogOptions::new(directory)).map_err(io::Error::other)?;
    let mut model = LogModel::read(&mut log).await?;
    let mut draws = Draws::new(inside.seed);
    let story = File::options()
        .create(true)
        .append(true)
        .open(inside.desk.join("story"))?;
    let story = Arc::new(story);
    let mut under_way = JoinSet::new();
    for number in 0..CALLS {
        let call = model.draw(&mut draws);
        tell(&story, &format!("{number} {}", call.to_text()))?;
        match &call {
            Call::Vote(vote) => RaftLogStorage::save_vote(&mut log, vote).await?,
            Call::Append { .. } => {
                let (sender, receiver) = TypeConfig::oneshot();
                let flushed = IOFlushed::signal(sender);
                RaftLogStorage::append(&mut log, call.entries(), flushed).await?;
                let story = story.clone();
                under_way.spawn(async move {
                    receiver.await.expect("the log answers each append")?;
                    tell(&story, &format!("done {number}"))
                });
            }
            Call::TruncateAfter(last) => RaftLogStorage::truncate_after(&mut log, *last).await?,
            Call::Purge(upto) => RaftLogStorage::purge(&mut log, *upto).await?,
            Call::Committed(upto) => RaftLogStorage::save_committed(&mut log, Some(*upto)).await?,
        }
        if !matches!(call, Call::Append { .. }) {
            tell(&story, &format!("done {number}"))?;
        }
        model.apply(&call);
        while under_way.len() > UNDER_WAY_MAX || (draws.once_in(3) && !under_way.is_empty()) {
            let done = under_way.join_next().await.expect("it is not empty");
            done.expect("it does not panic")?;
        }
    }
    Ok(())
}

/// One call for the whole line: several tasks tell, and each may be the last.
fn tell(mut story: &File, line: &str) -> io::Result<()> {
    story.write_all(format!("{line}\n").as_bytes())
}

struct Log;

impl Subject for Log {
    const VICTIM: &'static str = VICTIM;
    const CRASH_AT_MAX: u64 = 400;
    type Known = LogModel;

    fn check(known: &mut LogModel, disk: &Path, desk: &Path) -> Result<(), String> {
        let story = desk.join("story");
        let text = fs::read_to_string(&story).unwrap_or_default();
        fs::remove_file(&story).ok();
        let mut calls = Vec::new();
        let mut promised = 0;
        for line in text.lines() {
            let (first, rest) = line.split_once(' ').expect("each line has a number");
            if first == "done" {
                let number: usize = rest.parse().expect("it is a number");
                if calls.get(number).is_some_and(Call::is_promise) {
                    promised = promised.max(number + 1);
                }
            } else {
                calls.push(Call::parse(rest));
            }
        }

        let found = runtime().block_on(reopened(disk))?;
        // It is what it was after some call, and not before the last that was acknowledged.
        let mut expected = std::mem::take(known);
        for call in &calls[..promised] {
            expected.apply(call);
        }
        let least = expected.clone();
        let mut rest = calls[promised..].iter();
        while expected != found {
            match rest.next() {
                Some(call) => expected.apply(call),
                None => return Err(difference(&least, &found, calls.len() - promised)),
            }
        }
        *known = found;
        Ok(())
    }
}

/// What stands in the log now, after it has shown that it goes on working.
async fn reopened(disk: &Path) -> Result<LogModel, String> {
    let directory = disk.join("raft");
    let open = || {
        LogStore::open(LogOptions::new(directory.clone()))
            .map_err(|error| format!("the log does not open: {error:?}"))
    };
    let wrong = |error: io::Error| format!("the log does not work: {error:?}");
    let mut log = open()?;
    let found = LogModel::read(&mut log).await.map_err(wrong)?;

    let call = found.append(&mut Draws::new(1));
    let mut later = found.clone();
    later.apply(&call);
    let (sender, receiver) = TypeConfig::oneshot();
    RaftLogStorage::append(&mut log, call.entries(), IOFlushed::signal(sender))
        .await
        .map_err(wrong)?;
    receiver
        .await
        .expect("the log answers each append")
        .map_err(wrong)?;
    let read = LogModel::read(&mut log).await.map_err(wrong)?;
    if read != later {
        return Err(format!(
            "after one more append: {}",
            difference(&later, &read, 0)
        ));
    }
    Ok(found)
}

fn difference(least: &LogModel, found: &LogModel, open: usize) -> String {
    let short = |model: &LogModel| {
        format!(
            "vote {:?}, committed {:?}, purged {:?}, last {:?}, entries {:?}",
            model.vote,
            model.committed,
            model.purged,
            model.last,
            model.entries.keys().next()..=model.entries.keys().next_back(),
        )
    };
    let other: Vec<_> = least
        .entries
        .iter()
        .filter(|(index, entry)| found.entries.get(index) != Some(entry))
        .map(|(index, _)| index)
        .take(5)
        .collect();
    format!(
        "acknowledged was {}\nand {open} calls were under way, but found was {}\nother or missing: {other:?}",
        short(least),
        short(found)
    )
}

#[test]
fn what_the_log_acknowledged_survives() {
    survives::<Log>(40);
}

#[test]
fn a_log_that_left_out_its_fdatasync_is_caught() {
    is_caught_without_fdatasync::<Log>(30);
}
