use std::fs;
use std::path::Path;

use crate::{Random, fuzz, mutations};

const MUTATIONS: usize = 20_000;

/// Runs each file of a corpus through a fuzz target, then random mutations of them.
fn run(target: &str, seed: u64, body: fn(&[u8]) -> usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = fs::read_dir(folder.join(target)).expect("the corpus");
    let mut paths: Vec<_> = files.map(|it| it.expect("a file").path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths
        .iter()
        .map(|it| fs::read(it).expect("a file"))
        .collect();
    for (path, bytes) in paths.iter().zip(&corpus) {
        // By its name, a file has something to be taken, or has not.
        let good = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with("golden") || name.starts_with("good")
        });
        assert_eq!(body(bytes) > 0, good, "{}", path.display());
    }
    let mut random = Random::from_seed(seed);
    let taken: usize = (0..MUTATIONS)
        .map(|_| {
            let bytes = &corpus[random.below(corpus.len())];
            // Pages beyond the first ones only take time.
            let bytes = &bytes[..bytes.len().min(16 << 10)];
            body(&mutations::random_bytes(bytes, &mut random))
        })
        .sum();
    println!("{taken} readings were good");
    assert!(taken > MUTATIONS / 50);
}

#[test]
fn images() {
    run("image", 0x5eed_0010, fuzz::image);
}

#[test]
fn deltas() {
    run("delta", 0x5eed_0020, fuzz::delta);
}
