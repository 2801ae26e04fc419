//! The state under the loss of power: it may fall back, since the log brings it forward again, but never
//! behind what it called durable, and never to anything that no log made.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::machine::Inside;
use super::trial::{Subject, is_caught_without_fdatasync, survives};
use crate::draws::Draws;
use crate::state::author::Author;
use crate::state::stage::Stage;

pub const VICTIM: &str = "state";
const BATCHES: u64 = 60;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("threads can be started")
}

/// All lives of one machine have one log.
fn author(desk: &Path, seed: u64) -> io::Result<Author> {
    let path = desk.join("author");
    if !path.exists() {
        fs::write(&path, seed.to_string())?;
    }
    let seed = fs::read_to_string(&path)?;
    Ok(Author {
        seed: seed.parse().map_err(io::Error::other)?,
    })
}

/// Applies batches of random sizes, and writes down what was durable when it looked.
pub fn live(inside: &Inside) -> io::Result<()> {
    runtime().block_on(work(inside))
}

async fn work(inside: &Inside) -> io::Result<()> {
    let author = author(&inside.desk, inside.seed)?;
    let mut draws = Draws::new(inside.seed);
    let mut stage = Stage::open(&inside.disk).map_err(io::Error::other)?;
    let mut story = File::options()
        .create(true)
        .append(true)
        .open(inside.desk.join("story"))?;
    let mut told = 0;
    for batch in 0..BATCHES {
        let next = stage.next();
        if batch > 0 && draws.once_in(25) {
            // A leader that is ahead sends its whole state.
            let leader = tempfile::tempdir_in(&inside.desk)?;
            let mut ahead = Stage::open(leader.path()).map_err(io::Error::other)?;
            ahead
                .apply(author.entries(0..next + 1 + draws.below(100)))
                .await;
            let snapshot = ahead.snapshot().await;
            stage.install(&snapshot).await;
        } else {
            stage
                .apply(author.entries(next..next + 1 + draws.below(30)))
                .await;
        }
        if draws.once_in(3) {
            stage.reader.flush().await.map_err(io::Error::other)?;
        }
        let durable = stage.next_synced();
        if durable > told {
            told = durable;
            story.write_all(format!("{durable}\n").as_bytes())?;
        }
    }
    Ok(())
}

struct State;

impl Subject for State {
    const VICTIM: &'static str = VICTIM;
    const CRASH_AT_MAX: u64 = 400;
    type Known = ();

    fn check((): &mut (), disk: &Path, desk: &Path) -> Result<(), String> {
        let story = fs::read_to_string(desk.join("story")).unwrap_or_default();
        let durable: u64 = story
            .lines()
            .last()
            .map_or(0, |line| line.parse().unwrap_or(0));
        if !desk.join("author").exists() {
            // The power went before anything began.
            return Ok(());
        }
        let author = author(desk, 0).map_err(|error| error.to_string())?;
        runtime().block_on(async {
            let mut found = Stage::open(disk)?;
            let next = found.next();
            if next < durable {
                return Err(format!("{durable} entries were durable, {next} are there"));
            }
            let reference = tempfile::tempdir().map_err(|error| error.to_string())?;
            let mut right = Stage::open(reference.path())?;
            right.apply(author.entries(0..next)).await;
            if found.hash() != right.hash() {
                return Err(format!("the state after {next} entries is another one"));
            }
            let scanned = found.reader.scan_hash().await;
            let (_, scanned) = scanned.map_err(|error| format!("{error:?}"))?;
            if scanned != right.hash() {
                return Err(format!("the rows after {next} entries are other ones"));
            }
            // It goes on.
            found.apply(author.entries(next..next + 20)).await;
            right.apply(author.entries(next..next + 20)).await;
            found
                .reader
                .flush()
                .await
                .map_err(|error| format!("{error:?}"))?;
            match found.hash() == right.hash() {
                true => Ok(()),
                false => Err(format!("20 entries after {next} give another state")),
            }
        })
    }
}

#[test]
fn what_the_state_called_durable_survives() {
    survives::<State>(60);
}

#[test]
fn a_state_that_left_out_its_fdatasync_is_caught() {
    is_caught_without_fdatasync::<State>(30);
}
