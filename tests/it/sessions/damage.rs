//! Bytes on disk that are not what they were: refused, told, and never run.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;

use super::{node_in, post, run, said};

fn blobs(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory.join("blobs"))
        .expect("blobs")
        .flatten()
    {
        let name = entry.file_name();
        if name.len() == 2 {
            found.extend(
                fs::read_dir(entry.path())
                    .expect("read")
                    .flatten()
                    .map(|it| it.path()),
            );
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_bytes_are_gone_is_named_and_earlier_heaps_open() {
    for damage in ["flipped", "cut", "gone"] {
        let directory = tempfile::tempdir().expect("a directory");
        let node = node_in(directory.path(), &[]).await;
        run(&node, "s", "let n = 1; n").await;
        let code = "n = 2; const big = Array.from({length: 50_000}, (_, i) => ({i})); n";
        let lost = run(&node, "s", code).await["heap"].clone();
        run(&node, "s", "n = 3").await;
        node.signal(Signal::KILL);
        node.ended().await;
        let found = blobs(directory.path());
        assert_eq!(found.len(), 1, "the one large delta");
        match damage {
            "gone" => fs::remove_file(&found[0]).expect("removed"),
            "cut" => {
                let bytes = fs::read(&found[0]).expect("read");
                fs::write(&found[0], &bytes[..bytes.len() / 2]).expect("written");
            }
            _ => {
                let mut bytes = fs::read(&found[0]).expect("read");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&found[0], bytes).expect("written");
            }
        }
        let node = node_in(directory.path(), &[]).await;
        let (status, problem) = node.exec(json!({"code": "n", "session": "s"})).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (500, &json!("heap_damaged")),
            "{damage}: {problem}"
        );
        let detail = problem["detail"].as_str().expect("a text");
        assert!(
            detail.contains(lost.as_str().expect("a heap")),
            "{damage}: {detail}"
        );
        let (status, _) = post(&node, "/api/sessions/s/reset", json!({"commit": 1})).await;
        assert_eq!(status, 200, "{damage}");
        assert_eq!(said(&node, "s", "n").await, "1", "{damage}");
    }
}
