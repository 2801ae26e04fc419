//! Twins: two sessions run the same random program; one of them is moved to fresh processes again and
//! again. What they say must be equal to the byte.

use std::fs::File;

use futures::StreamExt;
use process_image::fold::fold;
use process_image::{Delta, ImageHeader, StateId};
use tokio_util::sync::CancellationToken;

use super::programs::{OPENING, Program, Random};
use super::{request, said, workers};
use crate::workers::session::{Origin, Session, StateLimits};
use crate::workers::{Reproducible, VirtualClock, Workers};

/// What can be set from outside, for the long runs of `make soak`.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// A session that can be moved: its last image and what came after it.
struct Moving {
    session: Session,
    image: File,
    header: ImageHeader,
    deltas: Vec<(StateId, Delta)>,
}

/// What a run came to, all that can be seen of it.
#[derive(Debug, PartialEq)]
struct Seen {
    said: String,
    console: Vec<String>,
    refused: Option<String>,
}

fn limits() -> StateLimits {
    StateLimits {
        verify: true,
        ..StateLimits::default()
    }
}

fn state(number: u64) -> StateId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    StateId(bytes)
}

impl Moving {
    async fn open(workers: &Workers) -> Self {
        let session = Session::open(workers, Origin::Base, limits()).await;
        let session = session.expect("a session");
        let image = tempfile::tempfile().expect("a file");
        let header = session
            .save(image.try_clone().expect("a file"))
            .await
            .expect("saved");
        Self {
            session,
            image,
            header,
            deltas: Vec::new(),
        }
    }

    async fn run(&mut self, code: &str, number: u64) -> Seen {
        let mut request = request(code);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        request.reproducible = Some(Reproducible {
            seed,
            clock: VirtualClock {
                realtime_ns: 1_770_000_000_000_000_000 + number as i64 * 1_000_000_000,
                step_ns: 1_000,
            },
        });
        let mut console = Vec::new();
        let attempt = self
            .session
            .run(
                request,
                &mut |line| console.push(line.text),
                CancellationToken::new(),
            )
            .await
            .expect("a process");
        let delta = attempt.delta().ok().cloned();
        let said = said(&attempt.ended().outcome);
        let refused = match attempt.commit(state(number)) {
            Ok(_) => {
                self.deltas
                    .push((state(number), delta.expect("a run that is kept")));
                None
            }
            Err(refused) => Some(format!("{refused:?}")),
        };
        Seen {
            said,
            console,
            refused,
        }
    }

    /// Goes on in a fresh process: from a new image of the old one, or from the last image and what
    /// came after it.
    async fn go_to(&mut self, workers: &Workers, by_folding: bool) {
        let image = tempfile::tempfile().expect("a file");
        let out = image.try_clone().expect("a file");
        if by_folding {
            let bounds = self.session.engine().bounds();
            let (header, _) =
                fold(&self.header, &self.image, &self.deltas, bounds, out).expect("a chain");
            self.header = header;
        } else {
            self.header = self.session.save(out).await.expect("saved");
        }
        let origin = Origin::Image(image.try_clone().expect("a file"));
        let session = Session::open(workers, origin, limits()).await;
        let old = std::mem::replace(&mut self.session, session.expect("a session"));
        old.close().await;
        self.image = image;
        self.deltas.clear();
    }
}

struct Count {
    runs: u64,
    moves: u64,
    refused: u64,
}

async fn program(seed: u64, runs: u64, homes: &[Workers; 2]) -> Count {
    let mut random = Random(seed);
    let kinds = Program::new(&mut random);
    let mut stays = Moving::open(&homes[0]).await;
    let mut moves = Moving::open(&homes[1]).await;
    let mut count = Count {
        runs: 0,
        moves: 0,
        refused: 0,
    };
    let mut next_move = 3;
    for number in 1..=runs {
        let code = match number {
            1 => OPENING.to_owned(),
            _ => kinds.code(&mut random),
        };
        if number == next_move {
            next_move += 2 + random.below(20);
            count.moves += 1;
            let home = &homes[random.below(2) as usize];
            let by_folding = random.below(2) == 0;
            moves.go_to(home, by_folding).await;
        }
        let seen = stays.run(&code, number).await;
        let moved = moves.run(&code, number).await;
        assert_eq!(seen, moved, "seed {seed}, run {number}: {code}");
        if number == 1 {
            assert_eq!(seen.refused, None, "seed {seed}");
            assert_eq!(seen.said, "'open'", "seed {seed}");
        }
        count.runs += 1;
        match seen.refused {
            Some(why) => {
                println!("seed {seed}, run {number} was not kept: {why}; {code}");
                count.refused += 1;
            }
            None => {
                // So both are the same state, in every byte of their memory.
                let delta = |it: &Moving| it.deltas.last().map(|(_, delta)| delta.encode());
                let same = delta(&stays) == delta(&moves);
                assert!(same, "deltas differ: seed {seed}, run {number}: {code}");
            }
        }
        if stays.deltas.len() > 64 {
            stays.deltas.drain(..32);
        }
    }
    stays.session.close().await;
    moves.session.close().await;
    count
}

/// 0 differences in what they say, and each one's memory is its deltas' sum after every run.
#[tokio::test(flavor = "multi_thread")]
async fn twins_stay_equal_wherever_they_go() {
    let programs = setting("TWINS_PROGRAMS", 4);
    let runs = setting("TWINS_RUNS", 200);
    let seed = setting("TWINS_SEED", 1);
    println!("seed {seed}, {programs} programs of {runs} runs");
    let homes = [workers().await, workers().await];
    let started = std::time::Instant::now();
    let (mut total, mut done) = ([0; 3], 0);
    // One more than there are processors: each waits for its processes, or these for it.
    let at_once = std::thread::available_parallelism().map_or(2, |it| it.get() + 1);
    let each = (0..programs).map(|number| program(seed * 1_000_000 + number, runs, &homes));
    let mut counts = futures::stream::iter(each).buffer_unordered(at_once);
    while let Some(count) = counts.next().await {
        for (total, one) in total
            .iter_mut()
            .zip([count.runs, count.moves, count.refused])
        {
            *total += one;
        }
        done += 1;
        if done % 50 == 0 {
            let [runs, moves, _] = total;
            println!(
                "{done} programs, {runs} runs, {moves} moves in {:.0?}",
                started.elapsed()
            );
        }
    }
    let [runs, moves, refused] = total;
    println!(
        "seed {seed}: {done} programs, {runs} runs in each of both twins, 0 differences in what they \
         said and in their memory, {moves} moves, {refused} runs not kept, in {:.1?}",
        started.elapsed()
    );
    assert!(runs > 0 && (moves > 0 || runs < 10));
    drop(counts);
    for home in homes {
        home.shutdown().await;
    }
}
