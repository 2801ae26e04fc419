use std::io::{Cursor, Write as _};

use super::*;
use crate::fold::fold;
use crate::testing::live::{Forked, Memory, PAGES, soon, this_process};
use crate::testing::{ENGINE, bounds};

const FIRST: StateId = StateId([1; 32]);
const SECOND: StateId = StateId([2; 32]);

fn image_of(state: StateId, process: Child<'_>) -> (ImageHeader, Vec<u8>) {
    let out = Cursor::new(Vec::new());
    let (header, out) = image(ENGINE, state, process, soon(), out).expect("readable");
    (header, out.into_inner())
}

/// Runs `work` in a fork, and compares the parent's image and the delta with the fork's own image.
fn folds_to_the_same(memory: &Memory, after: &MappingTable, work: impl FnOnce(&Memory)) -> Delta {
    let before = memory.table_of(0..PAGES);
    let ours = this_process();
    let scan = ours.scan(&before, 1000, soon()).expect("its own memory");
    let (header, bytes) = image_of(
        FIRST,
        Child {
            memory: &ours,
            table: &before,
            scan: &scan,
        },
    );

    let fork: Forked = memory.fork(work);
    let (theirs, scan) = (fork.memory(), fork.scan(after));
    let child = Child {
        memory: &theirs,
        table: after,
        scan: &scan,
    };
    let parent = Parent {
        state: FIRST,
        memory: &ours,
        table: &before,
        present: header.present(),
        known: &KnownPages::default(),
    };
    let (delta, known) = delta(ENGINE, parent, child, 1000, soon()).expect("readable");
    // What is known of the child is what it has; with all of the parent known, nothing of it is read.
    for (page, bytes) in known.iter() {
        theirs
            .read(&[page].into_iter().collect(), soon(), |_, read| {
                assert_eq!(read, bytes)
            })
            .expect("readable");
    }
    let mut all = KnownPages::default();
    ours.read(header.present(), soon(), |page, bytes| {
        all.note(page, bytes)
    })
    .expect("readable");
    let parent = Parent {
        known: &all,
        ..parent
    };
    let (again, _) = super::delta(ENGINE, parent, child, 1000, soon()).expect("readable");
    assert!(again == delta, "known pages make another delta");

    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&bytes).expect("room");
    let deltas = [(SECOND, delta.clone())];
    let out = Cursor::new(Vec::new());
    let (_, folded) = fold(&header, &file, &deltas, &bounds(), out).expect("it applies");
    assert!(
        folded.into_inner() == image_of(SECOND, child).1,
        "whole memory differs"
    );
    delta
}

#[test]
fn an_idle_fork_changes_nothing() {
    let memory = Memory::new(8);
    let delta = folds_to_the_same(&memory, &memory.table_of(0..PAGES), |_| ());
    assert!(delta.changed.is_empty() && delta.dropped.is_empty());
}

#[test]
fn everything_that_can_happen_to_a_page() {
    let memory = Memory::new(9);
    let after = memory.table(&[0..20, 21..PAGES]);
    let delta = folds_to_the_same(&memory, &after, |memory| {
        memory.write(0, 200);
        // The same bytes again: its own page, but no change.
        memory.write(2, 3);
        // New pages, one of them with nothing in it.
        memory.write(5, 1);
        memory.write(7, 0);
        // Dropped, dropped and read, dropped and written, made all zeros.
        memory.advise(8, libc::MADV_DONTNEED);
        memory.advise(10, libc::MADV_DONTNEED);
        memory.read(10);
        memory.advise(12, libc::MADV_DONTNEED);
        memory.write(12, 1);
        memory.write(14, 0);
        memory.unmap(20);
        memory.protect_nothing(22);
    });
    let relative =
        |set: &PageSet| -> Vec<u64> { set.pages().map(|page| page - memory.number(0)).collect() };
    assert_eq!(relative(&delta.changed), [0, 5, 12]);
    assert_eq!(relative(&delta.dropped), [8, 10, 14, 20]);
    assert_eq!((delta.table.removed.len(), delta.table.added.len()), (1, 2));
}

/// Five hundred random changes, in twenty forks.
#[test]
fn random_changes() {
    let memory = Memory::new(10);
    let mut random = crate::testing::Random(0x5851_f42d_4c95_7f2d);
    println!("seed {:#x}", random.0);
    for _ in 0..20 {
        // Made here: a fork must not allocate.
        let changes: [(u64, usize, u8); 25] = std::array::from_fn(|_| {
            (
                random.below(4),
                random.below(PAGES as u64) as usize,
                random.below(3) as u8,
            )
        });
        folds_to_the_same(&memory, &memory.table_of(0..PAGES), |memory| {
            for (kind, page, byte) in changes {
                match kind {
                    0 => drop(memory.advise(page, libc::MADV_DONTNEED)),
                    1 => drop(memory.read(page)),
                    _ => memory.write(page, byte),
                }
            }
        });
    }
}

#[test]
fn too_many_candidates_are_refused_before_they_are_read() {
    let memory = Memory::new(11);
    let table = memory.table_of(0..PAGES);
    let ours = this_process();
    let present = ours
        .scan(&table, 1000, soon())
        .expect("its own memory")
        .present;
    let fork = memory.fork(|memory| (0..8).for_each(|page| memory.write(page, 77)));
    let (theirs, scan) = (fork.memory(), fork.scan(&table));
    let parent = Parent {
        state: FIRST,
        memory: &ours,
        table: &table,
        present: &present,
        known: &KnownPages::default(),
    };
    let child = Child {
        memory: &theirs,
        table: &table,
        scan: &scan,
    };
    let refused = delta(ENGINE, parent, child, 7, soon());
    assert!(matches!(
        refused,
        Err(ScanError::TooManyPages { pages_max: 7 })
    ));
    assert_eq!(
        delta(ENGINE, parent, child, 8, soon())
            .expect("it fits")
            .0
            .changed
            .count(),
        8
    );
}
