//! The model itself: what is lost with the power, and what is not.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;

use super::journal::{Journal, Kind};
use super::machine::{End, Inside, Life, Machine};
use super::undo::{Loss, Undone};
use crate::draws::Draws;

const BLOCK: usize = 4096;
const BLOCKS: usize = 64;

/// Does what the test of the same name is about.
pub fn live(name: &str, inside: &Inside) -> io::Result<()> {
    let disk = inside.disk.as_path();
    match name {
        "synced and unsynced" => {
            let mut file = create(disk, "file")?;
            sync(disk)?;
            file.write_all(b"synced")?;
            file.sync_data()?;
            file.write_all(b", and more")?;
            file.write_all_at(b"SYN", 0)?;
        }
        "overwritten blocks" => {
            let file = create(disk, "file")?;
            sync(disk)?;
            file.write_all_at(&[b'o'; BLOCKS * BLOCK], 0)?;
            file.sync_data()?;
            file.write_all_at(&[b'n'; BLOCKS * BLOCK], 0)?;
        }
        "cut off" => {
            let file = create(disk, "file")?;
            sync(disk)?;
            file.write_all_at(&[b'o'; 3 * BLOCK], 0)?;
            file.sync_data()?;
            file.set_len(10)?;
            file.write_all_at(b"new", 10)?;
        }
        "emptied by open" => {
            create(disk, "file")?.write_all(b"old")?;
            sync(&disk.join("file"))?;
            sync(disk)?;
            create(disk, "file")?.write_all(b"newer")?;
        }
        "names" => {
            for name in ["replaced", "removed", "moved"] {
                let mut file = create(disk, name)?;
                file.write_all(name.as_bytes())?;
                file.sync_all()?;
            }
            fs::create_dir(disk.join("gone"))?;
            sync(disk)?;
            let mut file = create(disk, "new")?;
            file.write_all(b"new")?;
            file.sync_all()?;
            fs::rename(disk.join("new"), disk.join("replaced"))?;
            fs::remove_file(disk.join("removed"))?;
            fs::rename(disk.join("moved"), disk.join("moved away"))?;
            fs::remove_dir(disk.join("gone"))?;
            fs::create_dir(disk.join("made"))?;
            create(&disk.join("made"), "inside")?.sync_all()?;
            sync(&disk.join("made"))?;
        }
        "names, synced" => {
            let mut file = create(disk, "new")?;
            file.write_all(b"new")?;
            file.sync_all()?;
            fs::rename(disk.join("new"), disk.join("file"))?;
            sync(disk)?;
        }
        "a write during a sync" => {
            let file = create(disk, "file")?;
            sync(disk)?;
            thread::scope(|scope| {
                let syncing = scope.spawn(|| file.sync_data());
                let begun = || Journal::read(&inside.journal()).count(Kind::SyncBegin) == 2;
                while !begun() {
                    thread::yield_now();
                }
                file.write_all_at(b"late", 0)?;
                assert!(
                    !syncing.is_finished(),
                    "the write has to be during the sync"
                );
                syncing.join().expect("it does not panic")
            })?;
        }
        "system calls without libc" => {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::CREATE | OFlags::WRONLY;
            let file = rustix::fs::open(disk.join("file"), flags, Mode::RUSR | Mode::WUSR)?;
            sync(disk)?;
            rustix::io::pwrite(&file, b"synced", 0)?;
            rustix::fs::fdatasync(&file)?;
            rustix::io::pwrite(&file, b"unsynced", 0)?;
        }
        "one large write" => {
            let mut file = create(disk, "file")?;
            sync(disk)?;
            file.write_all(&[b'n'; BLOCKS * BLOCK])?;
        }
        "sled's flush" => {
            let db = sled::Config::new()
                .path(disk.join("sled"))
                .flush_every_ms(None);
            let db = db.open()?;
            sync(&disk.join("sled"))?;
            sync(disk)?;
            db.insert("key", "value")?;
            db.flush()?;
            if fs::exists(inside.desk.join("sync"))? {
                File::open(disk.join("sled/db"))?.sync_data()?;
            }
            // Its destructor would write on.
            std::mem::forget(db);
        }
        "a copy" => {
            create(disk, "file")?.write_all(b"text")?;
            // The kernel copies, without a write.
            fs::copy(disk.join("file"), disk.join("copy"))?;
        }
        other => panic!("there is no victim {other:?}"),
    }
    Ok(())
}

fn create(directory: &Path, name: &str) -> io::Result<File> {
    File::create(directory.join(name))
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Runs the victim to its end and turns the power off.
fn outlive(victim: &'static str, loss: Loss) -> (Machine, Journal, Undone) {
    outlive_with(
        Life {
            victim,
            ..Life::default()
        },
        loss,
    )
}

fn outlive_with(life: Life, loss: Loss) -> (Machine, Journal, Undone) {
    let mut machine = Machine::new();
    let (end, journal) = machine.run(&life);
    assert_eq!(end, End::Finished);
    let undone = machine.lose(&journal, loss);
    (machine, journal, undone)
}

#[test]
fn what_was_synced_stays_and_what_was_not_goes() {
    let (machine, _, undone) = outlive("synced and unsynced", Loss::Everything);
    assert_eq!(text(&machine, "file"), "synced");
    assert_eq!((undone.blocks, undone.blocks_undone), (1, 1));
}

#[test]
fn each_block_is_old_or_new() {
    let (old, new) = ([b'o'; BLOCK], [b'n'; BLOCK]);
    let seen: Vec<usize> = (0..3)
        .map(|seed| {
            let loss = Loss::Some(Draws::new(seed));
            let (machine, _, undone) = outlive("overwritten blocks", loss);
            let bytes = fs::read(machine.disk().join("file")).unwrap();
            assert_eq!(bytes.len(), BLOCKS * BLOCK);
            let olds = bytes.chunks(BLOCK).filter(|block| *block == old).count();
            let news = bytes.chunks(BLOCK).filter(|block| *block == new).count();
            assert_eq!(olds + news, BLOCKS);
            assert_eq!(olds as u64, undone.blocks_undone);
            olds
        })
        .collect();
    assert!(
        seen.iter().all(|olds| (10..BLOCKS - 10).contains(olds)),
        "{seen:?}"
    );
    assert_ne!(seen[0], seen[1], "the seed decides");
}

#[test]
fn what_was_cut_off_comes_back_and_never_in_part() {
    let (machine, _, _) = outlive("cut off", Loss::Everything);
    assert_eq!(text(&machine, "file"), "o".repeat(3 * BLOCK));
    let mut sizes = Vec::new();
    for seed in 0..12 {
        let (machine, _, _) = outlive("cut off", Loss::Some(Draws::new(seed)));
        let text = text(&machine, "file");
        match text.len() {
            12288 => assert_eq!(text, "o".repeat(3 * BLOCK)),
            10 => assert_eq!(text, "o".repeat(10)),
            // The new size without the new bytes reads as zeros.
            13 => assert!(
                text == "oooooooooonew" || text == "oooooooooo\0\0\0",
                "{text:?}"
            ),
            other => panic!("a size of {other} was never there"),
        }
        sizes.push(text.len());
    }
    sizes.sort_unstable();
    sizes.dedup();
    assert!(sizes.len() >= 2, "{sizes:?}");
}

#[test]
fn a_file_that_was_opened_to_be_emptied_comes_back() {
    let (machine, _, _) = outlive("emptied by open", Loss::Everything);
    assert_eq!(text(&machine, "file"), "old");
}

#[test]
fn names_are_lost_until_their_directory_is_synced() {
    let (machine, _, undone) = outlive("names", Loss::Everything);
    for name in ["replaced", "removed", "moved"] {
        assert_eq!(text(&machine, name), name);
    }
    let mut names: Vec<_> = fs::read_dir(machine.disk())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["gone", "moved", "removed", "replaced"]);
    assert_eq!((undone.names, undone.names_undone), (6, 6));

    let (machine, _, undone) = outlive("names, synced", Loss::Everything);
    assert_eq!(text(&machine, "file"), "new");
    assert!(!machine.disk().join("new").exists());
    assert_eq!(undone, Undone::default());
}

#[test]
fn names_are_lost_from_the_last_on() {
    let mut kept = Vec::new();
    for seed in 0..12 {
        let (machine, _, undone) = outlive("names", Loss::Some(Draws::new(seed)));
        let there = |name: &str| machine.disk().join(name).exists();
        // In the order in which they were made.
        let done = [
            there("new") || text(&machine, "replaced") == "new",
            text(&machine, "replaced") == "new",
            !there("removed"),
            there("moved away"),
            !there("gone"),
            there("made"),
        ];
        let count = done.iter().filter(|done| **done).count();
        assert!(done.is_sorted_by(|a, b| a >= b), "{done:?}");
        assert_eq!(undone.names_undone as usize, done.len() - count);
        kept.push(count);
    }
    kept.sort_unstable();
    kept.dedup();
    assert!(kept.len() >= 4, "{kept:?}");
}

#[test]
fn a_sync_covers_only_what_was_written_before_it_began() {
    let life = Life {
        victim: "a write during a sync",
        sync_us_max: Some(500_000),
        ..Life::default()
    };
    let (machine, _, _) = outlive_with(life, Loss::Everything);
    assert_eq!(text(&machine, "file"), "");
}

#[test]
fn system_calls_that_libc_does_not_make_are_seen() {
    let (machine, journal, _) = outlive("system calls without libc", Loss::Everything);
    assert_eq!(text(&machine, "file"), "synced");
    assert_eq!(journal.count(Kind::Write), 2);
}

#[test]
fn a_crash_tears_a_write() {
    let mut sizes = Vec::new();
    for seed in 0..8 {
        let mut machine = Machine::new();
        let life = Life {
            victim: "one large write",
            seed,
            // After the file's creation and its directory's sync.
            crash_at: 3,
            ..Life::default()
        };
        assert_eq!(machine.run(&life).0, End::Crashed);
        sizes.push(text(&machine, "file").len());
    }
    let torn = |size: &usize| (1..BLOCKS * BLOCK).contains(size);
    assert!(sizes.iter().any(torn), "{sizes:?}");
}

#[test]
fn what_sled_flushes_is_lost_until_it_is_synced() {
    for synced in [false, true] {
        let mut machine = Machine::new();
        if synced {
            fs::write(machine.desk().join("sync"), "").unwrap();
        }
        let life = Life {
            victim: "sled's flush",
            ..Life::default()
        };
        let (_, journal) = machine.run(&life);
        assert!(journal.count(Kind::SyncFileRange) > 0);
        machine.lose(&journal, Loss::Everything);
        let db = sled::open(machine.disk().join("sled")).unwrap();
        assert_eq!(db.get("key").unwrap().is_some(), synced);
    }
}

#[test]
fn syncs_can_be_left_out() {
    let life = Life {
        victim: "synced and unsynced",
        ignore_fdatasync: true,
        ..Life::default()
    };
    let (machine, _, _) = outlive_with(life, Loss::Everything);
    assert_eq!(text(&machine, "file"), "");
}

#[test]
#[should_panic(expected = "copy_file_range is not modelled")]
fn what_is_not_modelled_is_refused() {
    outlive("a copy", Loss::Everything);
}

fn text(machine: &Machine, name: &str) -> String {
    fs::read_to_string(machine.disk().join(name)).expect("the file is there")
}
