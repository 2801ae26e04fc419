use std::io::{Cursor, Write as _};

use super::*;
use crate::testing::{ENGINE, Random, Whole, bounds};

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room");
    file
}

fn folded(base: &Whole, deltas: &[(StateId, Delta)]) -> Result<Vec<u8>, FoldError> {
    let (header, bytes) = base.image();
    let out = Cursor::new(Vec::new());
    let (_, out) = fold(&header, &file(&bytes), deltas, &bounds(), out)?;
    Ok(out.into_inner())
}

/// Two hundred chains of up to eight random states: the folded image is the last state's own image,
/// byte for byte.
#[test]
fn a_folded_image_is_the_image_of_the_last_state() {
    let mut random = Random(0x853c_49e6_748f_ea9b);
    println!("seed {:#x}", random.0);
    for _ in 0..200 {
        let base = Whole::random(&mut random, 0);
        let (mut last, mut deltas) = (base.clone(), Vec::new());
        for id in 1..=random.below(8) as u8 {
            let next = last.successor(&mut random, id);
            deltas.push((next.id, last.delta_to(&next)));
            last = next;
        }
        assert_eq!(
            folded(&base, &deltas).expect("a good chain"),
            last.image().1
        );
        // One delta for all of them leads to the same.
        let (header, bytes) = base.image();
        let one = squash(&header, &file(&bytes), &deltas, &bounds()).expect("a good chain");
        assert_eq!(
            folded(&base, &[(last.id, one)]).expect("a good chain"),
            last.image().1
        );
    }
}

/// A page that was dropped and comes back starts from zeros, not from what the old image had.
#[test]
fn a_page_that_comes_back_starts_from_zeros() {
    let mut random = Random(3);
    let first = Whole::random(&mut random, 0);
    let page = *first.pages.keys().next().expect("a page");
    let mut second = Whole {
        id: StateId([1; 32]),
        ..first.clone()
    };
    second.pages.remove(&page);
    let mut third = Whole {
        id: StateId([2; 32]),
        ..second.clone()
    };
    third.pages.insert(page, vec![9; PAGE]);
    let deltas = [
        (second.id, first.delta_to(&second)),
        (third.id, second.delta_to(&third)),
    ];
    assert_eq!(
        folded(&first, &deltas).expect("a good chain"),
        third.image().1
    );
}

#[test]
fn a_delta_of_another_chain_or_engine_is_refused() {
    let mut random = Random(5);
    let base = Whole::random(&mut random, 0);
    let next = base.successor(&mut random, 1);
    let good = base.delta_to(&next);
    let foreign = Delta {
        parent: StateId([9; 32]),
        ..good.clone()
    };
    assert!(matches!(
        folded(&base, &[(next.id, foreign)]),
        Err(FoldError::Chain { index: 0, .. })
    ));
    let foreign = Delta {
        engine: EngineId([1; 32]),
        ..good.clone()
    };
    assert!(matches!(
        folded(&base, &[(next.id, foreign)]),
        Err(FoldError::Engine {
            index: 0,
            expected: ENGINE,
            ..
        })
    ));
    assert!(matches!(
        folded(&base, &[(next.id, good.clone()), (next.id, good)]),
        Err(FoldError::Chain { index: 1, .. })
    ));
}

#[test]
fn a_cut_image_is_an_error() {
    let mut random = Random(5);
    let (header, bytes) = Whole::random(&mut random, 0).image();
    let cut = file(&bytes[..bytes.len() - 1]);
    let result = fold(&header, &cut, &[], &bounds(), Cursor::new(Vec::new()));
    assert!(matches!(result, Err(FoldError::Image(ImageError::Io(_)))));
}
