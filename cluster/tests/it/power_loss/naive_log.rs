//! A log as simple as it can be, to show that the crash test passes a right one and catches a wrong one.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::machine::{End, Inside, Life, Machine};
use super::undo::{Loss, Undone};
use crate::draws::Draws;

pub const VICTIM: &str = "naive log";
const GENERATIONS: u64 = 4;
const ENTRIES: u64 = 100;

/// The entry with this number, whole: length, number, filling, checksum.
fn entry(number: u64) -> Vec<u8> {
    let mut draws = Draws::new(number);
    let length = 1 + draws.below(6000) as usize;
    let mut body = number.to_le_bytes().to_vec();
    body.extend(draws.bytes(length));
    let mut entry = (body.len() as u32).to_le_bytes().to_vec();
    entry.extend(&body);
    entry.extend(crc32fast::hash(&body).to_le_bytes());
    entry
}

/// How many entries stand in the file, and where they end.
fn read(path: &Path) -> (u64, u64) {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        file.read_to_end(&mut bytes).expect("the file can be read");
    }
    let (mut count, mut end) = (0, 0);
    while bytes[end..].starts_with(&entry(count)) {
        end += entry(count).len();
        count += 1;
    }
    (count, end as u64)
}

pub fn live(inside: &Inside) -> io::Result<()> {
    let path = inside.disk.join("log");
    let (count, end) = read(&path);
    let mut log = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    File::open(&inside.disk)?.sync_all()?;
    log.set_len(end)?;
    log.seek(SeekFrom::End(0))?;
    for number in count..count + ENTRIES {
        log.write_all(&entry(number))?;
        log.sync_data()?;
        fs::write(inside.desk.join("acknowledged"), (number + 1).to_string())?;
    }
    Ok(())
}

/// The first seed of so many whose crashes lost an acknowledged entry.
fn first_loss(seeds: u64, ignore_fdatasync: bool) -> (Option<u64>, Undone) {
    let mut undone = Undone::default();
    for seed in 0..seeds {
        let mut draws = Draws::new(seed);
        let mut machine = Machine::new();
        for _ in 0..GENERATIONS {
            let life = Life {
                victim: VICTIM,
                seed: draws.next(),
                crash_at: 1 + draws.below(2 * ENTRIES),
                ignore_fdatasync,
                ..Life::default()
            };
            let (end, journal) = machine.run(&life);
            assert_eq!(end, End::Crashed, "{life:?}");
            let loss = match draws.once_in(3) {
                true => Loss::Everything,
                false => Loss::Some(draws.clone()),
            };
            undone += machine.lose(&journal, loss);
            let acknowledged = fs::read_to_string(machine.desk().join("acknowledged"))
                .map_or(0, |text| text.parse().unwrap_or(0));
            let (found, _) = read(&machine.disk().join("log"));
            if found < acknowledged {
                return (Some(seed), undone);
            }
        }
    }
    (None, undone)
}

#[test]
fn a_log_that_syncs_loses_nothing() {
    let (loss, undone) = first_loss(8, false);
    assert_eq!(loss, None);
    assert!(undone.blocks_undone > 0, "no crash took anything back");
}

#[test]
fn a_log_that_does_not_sync_is_caught() {
    let (loss, _) = first_loss(30, true);
    assert!(loss.is_some());
}
