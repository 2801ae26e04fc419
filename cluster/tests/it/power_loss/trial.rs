//! Many crashes, several in a row on each machine, and what they may not do.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::journal::{Journal, Kind};
use super::machine::{End, Life, Machine};
use super::undo::{Loss, Undone};
use crate::draws::Draws;

/// Crashes of one machine before the next one is taken.
const GENERATIONS: u64 = 5;
/// Seed of the first machine, unless told.
const SEED: u64 = 1;

/// What is tried.
pub trait Subject {
    /// The victim that works on the disk.
    const VICTIM: &'static str;
    /// The largest number of changes before a crash.
    const CRASH_AT_MAX: u64;
    /// What is known about the disk from the lives before.
    type Known: Default;

    /// Looks at what a life and the loss of power left. `disk` is a copy: looking may change it.
    ///
    /// # Errors
    /// What was lost or is wrong.
    fn check(known: &mut Self::Known, disk: &Path, desk: &Path) -> Result<(), String>;
}

/// What happened in some trials.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lives that ended with the power.
    pub crashes: u64,
    /// Lives that were through before.
    pub missed: u64,
    pub undone: Undone,
    pub writes: usize,
    pub syncs: usize,
    pub sync_file_ranges: usize,
}

impl Tally {
    fn add(&mut self, end: End, journal: &Journal, undone: Undone) {
        match end {
            End::Crashed => self.crashes += 1,
            End::Finished => self.missed += 1,
        }
        self.undone += undone;
        self.writes += journal.count(Kind::Write);
        self.syncs += journal.count(Kind::SyncEnd);
        self.sync_file_ranges += journal.count(Kind::SyncFileRange);
    }
}

fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
        Err(_) => default,
    }
}

/// A share, in percent, of the crashes that are asked for: none may lose or spoil anything.
pub fn survives<S: Subject>(percent: u64) {
    let crashes = (variable("POWER_LOSS_CRASHES", 100) * percent).div_ceil(100);
    let mut seed = variable("POWER_LOSS_SEED", SEED);
    let mut tally = Tally::default();
    while tally.crashes < crashes {
        let missed_max = crashes + 10;
        assert!(
            tally.missed < missed_max,
            "too few lives end in a crash: {tally:?}"
        );
        let wanted = crashes - tally.crashes;
        if let Err(fault) = machine_of::<S>(seed, false, wanted, &mut tally) {
            panic!(
                "{fault}\nafter {tally:?}\nOnce more, but for the order of its threads: \
                 POWER_LOSS_SEED={seed} POWER_LOSS_CRASHES={} cargo test -p cluster --test it -- \
                 power_loss",
                (GENERATIONS * 100).div_ceil(percent),
            );
        }
        seed += 1;
    }
    println!("{}: {tally:?}", S::VICTIM);
    // A run that took nothing back, or saw no sync, has tried nothing.
    assert!(tally.undone.blocks_undone > 0, "{tally:?}");
    assert!(tally.syncs > 0 && tally.writes > 0, "{tally:?}");
}

/// Without `fdatasync` one of so many crashes has to lose or spoil something.
pub fn is_caught_without_fdatasync<S: Subject>(crashes_max: u64) {
    let mut seed = variable("POWER_LOSS_SEED", SEED);
    let mut tally = Tally::default();
    while tally.crashes < crashes_max {
        let wanted = crashes_max - tally.crashes;
        if let Err(fault) = machine_of::<S>(seed, true, wanted, &mut tally) {
            println!("{}: after {} crashes: {fault}", S::VICTIM, tally.crashes);
            return;
        }
        seed += 1;
    }
    panic!("nothing was lost without fdatasync: {tally:?}");
}

/// Crashes on one machine, at most so many. A panic while it is looked at is a fault of the subject.
fn machine_of<S: Subject>(
    seed: u64,
    ignore_fdatasync: bool,
    crashes_max: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut draws = Draws::new(seed);
    let mut machine = Machine::new();
    let mut known = S::Known::default();
    for generation in 0..GENERATIONS.min(crashes_max) {
        // Some in what a start does, most in the work after it.
        let crash_at = match draws.below(4) {
            0 => 1 + draws.below(S::CRASH_AT_MAX / 20),
            _ => 1 + draws.below(S::CRASH_AT_MAX),
        };
        let life = Life {
            victim: S::VICTIM,
            seed: draws.next(),
            crash_at,
            ignore_fdatasync,
            sync_us_max: None,
        };
        let loss = match draws.once_in(3) {
            true => Loss::Everything,
            false => Loss::Some(draws.clone()),
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            let (end, journal) = machine.run(&life);
            let undone = machine.lose(&journal, loss.clone());
            tally.add(end, &journal, undone);
            let copy = tempfile::tempdir().expect("there is a directory for temporary files");
            copy_tree(&machine.disk(), copy.path());
            S::check(&mut known, copy.path(), &machine.desk())
        }));
        let fault = match result {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault,
            Err(panic) => match panic.downcast_ref::<String>() {
                Some(text) => text.clone(),
                None => "a panic without text".to_owned(),
            },
        };
        return Err(format!(
            "machine {seed}, generation {generation}, {life:?}, {loss:?}: {fault}"
        ));
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the directory is there") {
        let entry = entry.expect("the directory can be read");
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            fs::create_dir(&copy).expect("the directory is new");
            copy_tree(&path, &copy);
        } else if path.is_file() {
            fs::copy(&path, &copy).expect("the file can be copied");
        }
    }
}
