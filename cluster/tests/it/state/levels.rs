//! A program that does not know what a command means stops, and leaves the state of newer ones alone.

use cluster::command::Command;
use cluster::proto::{self, command::Kind};
use cluster::state::LEVEL;
use cluster::types::{Entry, EntryPayload};

use super::author::{Author, log_id};
use super::stage::Stage;

const AUTHOR: Author = Author { seed: 3 };
const NEWER: u32 = LEVEL + 1;

fn put(index: u64, level: u32) -> Entry {
    let kind = Kind::PutTag(proto::PutTag {
        name: format!("tag-{index}"),
        value: b"1".to_vec(),
        ..proto::PutTag::default()
    });
    let command = proto::Command {
        time_ms: 1,
        level,
        kind: Some(kind),
        ..proto::Command::default()
    };
    Entry {
        log_id: log_id(index),
        payload: EntryPayload::Normal(Command::encode(&command)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_know_a_command_stops() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut old = Stage::open(directory.path()).expect("it opens");
    old.apply(AUTHOR.entries(0..8)).await;
    old.apply(vec![put(8, LEVEL)]).await;
    let hash = old.hash();
    let refused = old.try_apply(vec![put(9, NEWER)]).await;
    let refused = refused.expect_err("it would make something else of it");
    assert!(
        refused.to_string().contains("start that version"),
        "{refused}"
    );
    assert_eq!((old.hash(), old.next()), (hash, 9), "nothing has happened");
    drop(old.reopened(directory.path(), false).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_program_has_made_is_left_alone() {
    let (ours, theirs) = (
        tempfile::tempdir().expect("there is room"),
        tempfile::tempdir().expect("there is room"),
    );
    let mut new = Stage::of_level(ours.path(), NEWER).expect("it opens");
    new.apply(AUTHOR.entries(0..8)).await;
    // A newer program alone changes nothing: one may go back to the older one.
    new.apply(vec![put(8, LEVEL)]).await;
    let before = new.snapshot().await;
    let mut old = Stage::open(theirs.path()).expect("it opens");
    old.install(&before).await;
    assert_eq!(old.hash(), new.hash());
    new.apply(vec![put(9, NEWER)]).await;
    let (meta, file) = new.snapshot().await;
    let refused = old.try_install((&meta, &file)).await;
    let refused = refused.expect_err("it has what is not known");
    assert!(
        refused.to_string().contains("start that version"),
        "{refused}"
    );
    assert_eq!(old.next(), 9, "the state is the one of before");
    new.close(ours.path(), true).await;
    let refused = Stage::open(ours.path()).err().expect("it is another one's");
    assert!(refused.contains("Newer"), "{refused}");
}
