//! The same log gives the same state, however it is cut into batches, and whatever is between them:
//! restarts with and without what waits for the disk, snapshots taken, snapshots installed.

use cluster::command::Command;
use cluster::proto::{self, command::Kind};
use cluster::state::Table;
use cluster::types::{Entry, EntryPayload};
use proptest::prelude::*;

use super::author::{Author, log_id, prelude};
use super::stage::Stage;

/// What happens to a replica between two batches.
#[derive(Clone, Debug)]
enum Event {
    Apply(u64),
    Reopen {
        flushed: bool,
    },
    TakeSnapshot,
    /// The state is written anew, and entries are applied meanwhile.
    Compact(u64),
    /// The leader is ahead by so many entries and sends its whole state.
    Install(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1_u64..60).prop_map(Event::Apply),
        1 => any::<bool>().prop_map(|flushed| Event::Reopen { flushed }),
        1 => Just(Event::TakeSnapshot),
        1 => (0_u64..60).prop_map(Event::Compact),
        1 => (1_u64..80).prop_map(Event::Install),
    ];
    proptest::collection::vec(event, 1..16)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("threads can be started")
}

async fn replay(author: Author, events: &[Event]) {
    let directory = tempfile::tempdir().expect("there is room");
    let other = tempfile::tempdir().expect("there is room");
    let mut replica = Stage::open(directory.path()).expect("it opens");
    let mut reference = Stage::open(other.path()).expect("it opens");
    for event in events {
        let next = replica.next();
        match event {
            Event::Apply(count) => replica.apply(author.entries(next..next + count)).await,
            Event::Reopen { flushed } => {
                replica = replica.reopened(directory.path(), *flushed).await;
                assert!(
                    !flushed || replica.next() == next,
                    "what was flushed is there"
                );
            }
            Event::TakeSnapshot => drop(replica.snapshot().await),
            Event::Compact(count) => {
                let reader = replica.reader.clone();
                let (compacted, ()) = tokio::join!(
                    reader.compact(),
                    replica.apply(author.entries(next..next + count))
                );
                compacted.expect("there is room");
            }
            Event::Install(ahead) => {
                let from = reference.next();
                reference
                    .apply(author.entries(from..(next + ahead).max(from)))
                    .await;
                let snapshot = reference.snapshot().await;
                replica.install(&snapshot).await;
            }
        }
        // Each entry alone, never a snapshot, never a restart.
        let (to, from) = (replica.next(), reference.next());
        for index in from..to {
            reference.apply(author.entries(index..index + 1)).await;
        }
        if let Some(last) = replica.reader.applied() {
            assert_eq!(
                Some(replica.hash()),
                reference.reader.hash_at(last.index),
                "after {event:?}, at {}",
                last.index
            );
        }
    }
    let (index, scanned) = replica.reader.scan_hash().await.expect("the disk works");
    assert_eq!(replica.next(), index + u64::from(replica.next() > 0));
    assert_eq!(
        scanned,
        replica.hash(),
        "what is on disk is what was counted"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_way_through_the_log_gives_the_same_state(seed: u64, events in events()) {
        runtime().block_on(replay(Author { seed }, &events));
    }
}

/// What the tests above compare has something in each of its tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_the_tests_fills_every_table() {
    let directory = tempfile::tempdir().unwrap();
    let mut stage = Stage::open(directory.path()).unwrap();
    let entries = prelude().len() as u64 + 1;
    stage.apply(Author { seed: 1 }.entries(0..entries)).await;
    let counts = stage.reader.counts();
    for table in Table::ALL
        .into_iter()
        .filter(|table| *table != Table::SessionCommits)
    {
        let rows = counts.get(&table.number()).copied().unwrap_or(0);
        assert!(rows > 0, "{table:?} is empty: {counts:?}");
    }
}

/// What was deleted gives its room back, also when the process dies right after.
#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_state_is_small_and_the_same() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut stage = Stage::open(directory.path()).expect("it opens");
    let put = |index: u64, value: Vec<u8>| {
        let kind = Kind::PutTag(proto::PutTag {
            name: format!("tag-{}", index % 2000),
            value,
            ..proto::PutTag::default()
        });
        entry(index, kind)
    };
    let large = (0..4000).map(|index| put(index, vec![index as u8; 30_000]));
    stage.apply(large.collect()).await;
    let gone = (4000..5990).map(|index| {
        let name = format!("tag-{}", index % 2000);
        entry(
            index,
            Kind::DeleteTag(proto::DeleteTag {
                name,
                if_version: None,
            }),
        )
    });
    stage.apply(gone.collect()).await;
    stage.reader.flush().await.expect("the disk works");
    let hash = stage.hash();
    let compacted = stage.reader.compact().await.expect("there is room");
    println!("{compacted:?}");
    // The rows that are left have 300 KB.
    assert!(compacted.after_bytes < 2 << 20, "{compacted:?}");
    assert!(
        compacted.after_bytes < compacted.before_bytes / 2,
        "{compacted:?}"
    );
    assert_eq!(stage.reader.state_bytes(), compacted.after_bytes);
    assert_eq!(stage.hash(), hash);
    let stage = stage.reopened(directory.path(), false).await;
    assert_eq!(stage.hash(), hash);
    assert_eq!(
        stage.reader.scan_hash().await.expect("the disk works").1,
        hash
    );
    let page = stage
        .reader
        .tags("", None, 1000)
        .await
        .expect("the disk works");
    assert_eq!(page.rows.len(), 10);
    let databases = std::fs::read_dir(directory.path().join("state")).expect("there");
    let databases = databases.flatten().filter(|entry| entry.path().is_dir());
    assert_eq!(databases.count(), 1, "the old one is gone");
}

fn entry(index: u64, kind: Kind) -> Entry {
    let command = proto::Command {
        time_ms: 1,
        kind: Some(kind),
        ..proto::Command::default()
    };
    Entry {
        log_id: log_id(index),
        payload: EntryPayload::Normal(Command::encode(&command)),
    }
}
