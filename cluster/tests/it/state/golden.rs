//! The log and the state have the form that they had when they were first written: what one version wrote,
//! all later ones read. `GOLDEN_WRITE=1` writes the file anew; only additions to it are right.

use std::fmt::Write as _;
use std::path::Path;

use cluster::proto;
use prost::Message as _;

use super::author::{Author, prelude};
use super::stage::Stage;

const AUTHOR: Author = Author { seed: 7 };

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes anything");
        text
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_and_what_it_makes_of_the_state_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut stage = Stage::open(directory.path()).unwrap();
    let mut text = String::new();
    for index in 0..=prelude().len() as u64 {
        let entry = AUTHOR.entry(index);
        let bytes = proto::Entry::from(&entry).encode_to_vec();
        let read = proto::Entry::decode(&bytes[..]).unwrap();
        let read: cluster::types::Entry = read.try_into().unwrap();
        assert_eq!(read, entry, "an entry is read as it was written");
        stage.apply(vec![entry]).await;
        writeln!(text, "{index} {} {}", hex(&bytes), stage.hash()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log.txt");
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text, golden,
        "index, bytes of the entry, hash of the state after it"
    );
}
