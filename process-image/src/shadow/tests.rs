use super::*;
use crate::StateId;
use crate::capture::{self, Child, KnownPages, Parent};
use crate::testing::ENGINE;
use crate::testing::live::{Memory, PAGES, soon, this_process};

const FIRST: StateId = StateId([1; 32]);

fn shadow_of(memory: &Memory) -> Shadow {
    let ours = this_process();
    let (table, mut pages) = (memory.table_of(0..PAGES), Pages::new());
    let present = ours.scan(&table, 1000, soon()).expect("its own").present;
    ours.read(&present, soon(), |page, bytes| {
        pages.insert(page, Box::new(*bytes));
    })
    .expect("its own memory");
    Shadow { pages }
}

/// Whatever a delta leaves out or makes up is found, at its page.
#[test]
fn a_delta_that_is_wrong_is_found() {
    let memory = Memory::new(20);
    let table = memory.table_of(0..PAGES);
    let (ours, mut shadow) = (this_process(), shadow_of(&memory));
    let present = shadow.pages.keys().copied().collect();
    let fork = memory.fork(|memory| {
        memory.write(4, 99);
        memory.write(5, 99);
        memory.advise(8, libc::MADV_DONTNEED);
        memory.advise(10, libc::MADV_DONTNEED);
        memory.read(10);
    });
    let (theirs, scan) = (fork.memory(), fork.scan(&table));
    let (before, after) = (
        Parent {
            state: FIRST,
            memory: &ours,
            table: &table,
            present: &present,
            known: &KnownPages::default(),
        },
        Child {
            memory: &theirs,
            table: &table,
            scan: &scan,
        },
    );
    let (delta, _) = capture::delta(ENGINE, before, after, 1000, soon()).expect("readable");
    let different = |shadow: &Shadow, delta: Option<&Delta>| -> Vec<u64> {
        let found = shadow.differences(delta, &theirs, &table, soon());
        let found = found.expect("readable");
        found.iter().map(|page| page - memory.number(0)).collect()
    };
    assert_eq!(different(&shadow, Some(&delta)), [0; 0]);
    assert_eq!(different(&shadow, None), [4, 5, 8, 10]);

    let mut wrong = delta.clone();
    wrong.xor[PAGE + 7] ^= 1;
    assert_eq!(different(&shadow, Some(&wrong)), [5]);
    wrong.dropped = [memory.number(8), memory.number(12)].into_iter().collect();
    assert_eq!(different(&shadow, Some(&wrong)), [5, 10, 12]);
    wrong.changed = [memory.number(4)].into_iter().collect();
    wrong.xor.truncate(PAGE);
    assert_eq!(different(&shadow, Some(&wrong)), [5, 10, 12]);

    shadow.apply(&delta);
    assert_eq!(different(&shadow, None), [0; 0]);
    let beyond = memory.number(PAGES - 1);
    shadow.pages.insert(beyond, Box::new([1; PAGE]));
    shadow.pages.remove(&memory.number(0));
    assert_eq!(different(&shadow, None), [0, PAGES as u64 - 1]);
}
