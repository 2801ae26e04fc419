//! The engine and images, as people who debug meet them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{program, run};

fn in_folder(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

async fn saved(code: &str, file: &Path) -> String {
    let ended = run(program().args(["image", "run", code, "--save"]).arg(file)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    ended.out
}

#[tokio::test]
async fn the_engine_tells_what_it_is() {
    let ended = run(program().args(["engine", "--json"])).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let told: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(told["id"].as_str().expect("an id").len(), 64);
    assert_eq!(told["cpu_baseline"], "x86-64-v3");
    assert_eq!(told["cpu_lacks"].as_array().map(Vec::len), Some(0));
    assert!(
        told["v8_flags"]
            .as_str()
            .expect("flags")
            .contains("--single-threaded")
    );
    assert!(told["base_image_pages"].as_u64() > Some(100));
    let text = run(program().arg("engine")).await.out;
    assert!(text.contains(told["id"].as_str().expect("an id")), "{text}");
}

#[tokio::test]
async fn code_goes_on_from_an_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (in_folder(&folder, "1.image"), in_folder(&folder, "2.image"));
    assert_eq!(
        saved("let n = 41; const f = () => ++n; n", &first).await,
        "41\n"
    );
    let ended = run(program()
        .args(["image", "run", "f()", "--from"])
        .arg(&first)
        .arg("--save")
        .arg(&second))
    .await;
    assert_eq!(ended.out, "42\n", "{}", ended.err);
    let ended = run(program().args(["image", "run", "n", "--from"]).arg(&second)).await;
    assert_eq!(ended.out, "42\n", "{}", ended.err);

    let inspect = run(program()
        .args(["image", "inspect", "--json"])
        .arg(&second)
        .arg("--against")
        .arg(&first))
    .await;
    let told: Value = serde_json::from_str(&inspect.out).expect("JSON");
    assert_eq!(told["engine_is"], "this program's");
    assert!(told["changed"].as_u64() > Some(0), "{told}");
    assert!(told["changed"].as_u64() < Some(200), "{told}");
    assert!(told["pages_by_kind"]["data"].as_u64() > Some(100), "{told}");
    let base = run(program().args(["image", "inspect", "base"])).await;
    assert!(
        base.out
            .contains("0 pages only here, 0 only there, 0 differ"),
        "{}",
        base.out
    );
}

#[tokio::test]
async fn a_bad_image_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = in_folder(&folder, "good.image");
    saved("'x'.repeat(1000)", &good).await;
    let bytes = fs::read(&good).expect("saved");
    let mut cut = bytes.clone();
    cut.truncate(bytes.len() - 4096);
    let mut flipped_header = bytes.clone();
    flipped_header[130] ^= 1;
    let mut flipped_page = bytes.clone();
    *flipped_page.last_mut().expect("bytes") ^= 1;
    let mut longer = bytes.clone();
    longer.push(0);
    for (bad, reason) in [
        (&cut, "can't read"),
        (&flipped_header, "the header's checksum is wrong"),
        (&flipped_page, "the checksum of the pages is wrong"),
        (&longer, "more than the header says"),
        (&b"not an image".repeat(1000), "this is no image"),
    ] {
        let file = in_folder(&folder, "bad.image");
        fs::write(&file, bad).expect("written");
        for command in [
            vec!["image", "inspect"],
            vec!["image", "run", "1", "--from"],
        ] {
            let ended = run(program().args(command).arg(&file)).await;
            assert_eq!(ended.code, Some(1), "{reason}: {}", ended.err);
            assert!(ended.err.contains(reason), "{reason}: {}", ended.err);
            assert_eq!(ended.out, "");
        }
    }
    // What is there is not overwritten.
    let again = run(program().args(["image", "run", "1", "--save"]).arg(&good)).await;
    assert_eq!(again.code, Some(3), "{}", again.err);
    assert_eq!(fs::read(&good).expect("there"), bytes);
}
