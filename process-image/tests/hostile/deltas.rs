use std::fs::File;
use std::io::{Cursor, Write as _};

use process_image::fold::{FoldError, fold};
use process_image::layout::{PAGE, REGION_START};
use process_image::{
    Delta, DeltaError, EngineId, ImageWriter, Malformed, Mapping, MappingError, PageSet,
    Protection, StateId, TableChange,
};

use crate::Random;
use crate::fuzz::forge::{self, BODY_BYTES_AT, DIGEST_BYTES, PACKED_AT, PACKED_BYTES_AT};
use crate::fuzz::{BODY_BYTES_MAX, bounds, parent, read_delta};
use crate::mutations;

const REGION_PAGE: u64 = REGION_START / PAGE as u64;
const ENGINE: EngineId = EngineId([7; 32]);
const PARENT: StateId = StateId([1; 32]);
const CHILD: StateId = StateId([2; 32]);

fn region(page: u64, pages: u64, bits: u64) -> Mapping {
    let start = REGION_START + page * PAGE as u64;
    Mapping {
        start,
        end: start + pages * PAGE as u64,
        protection: Protection::from_bits(bits).expect("a protection"),
    }
}

fn region_pages(pages: &[u64]) -> PageSet {
    pages.iter().map(|page| REGION_PAGE + page).collect()
}

/// A good delta: mappings that go, come and change, pages that go and change, and random contents.
fn good(random: &mut Random) -> Delta {
    let changed = region_pages(&[0, 1, 5, 7, 512]);
    Delta {
        engine: ENGINE,
        parent: PARENT,
        table: TableChange {
            removed: vec![0, 2, 3],
            added: vec![region(0, 2, 3), region(2, 6, 1), region(600, 2, 7)],
        },
        dropped: region_pages(&[2, 9]),
        xor: random.bytes(changed.count() as usize * PAGE),
        changed,
    }
}

/// Its body, uncompressed: what it says, and the contents.
fn body(delta: &Delta) -> (Vec<u8>, Vec<u8>) {
    let bytes = delta.encode();
    let packed = &bytes[PACKED_AT..bytes.len() - DIGEST_BYTES];
    let mut body = zstd::bulk::decompress(packed, 1 << 20).expect("good");
    let xor = body.split_off(body.len() - delta.xor.len());
    (body, xor)
}

fn forged(tables: &[u8], xor: &[u8]) -> Result<Delta, DeltaError> {
    read_delta(&forge::delta(&[tables, xor].concat()))
}

#[test]
fn the_example_is_good() {
    let delta = good(&mut Random::from_seed(0x21));
    assert_eq!(read_delta(&delta.encode()), Ok(delta.clone()));
    let (table, present) = parent();
    let (after, pages) = delta.apply(&table, &present, &bounds()).expect("it fits");
    assert_eq!(after.mappings().len(), 5);
    let added = &present.difference(&delta.dropped).union(&delta.changed);
    assert_eq!(&pages, added);
    let (tables, xor) = body(&delta);
    assert_eq!(forged(&tables, &xor), Ok(delta));
}

#[test]
fn a_cut_anywhere_is_found() {
    let delta = good(&mut Random::from_seed(0x22));
    let bytes = delta.encode();
    for length in 0..bytes.len() {
        let found = read_delta(&bytes[..length]);
        assert!(found.is_err(), "{length} bytes");
    }
    // The same with lengths and a checksum that fit: the compressed body is cut.
    let packed = &bytes[PACKED_AT..bytes.len() - DIGEST_BYTES];
    let body_bytes = u64::from_le_bytes(*bytes[BODY_BYTES_AT..].first_chunk().expect("eight"));
    for length in (0..200).chain((200..packed.len()).step_by(101)) {
        let found = read_delta(&forge::delta_of(body_bytes, &packed[..length]));
        assert_eq!(found, Err(DeltaError::Compression), "{length} bytes");
    }
    // And the body itself, at each number and each page.
    let (tables, xor) = body(&delta);
    for length in 0..tables.len() {
        let found = forged(&tables[..length], &[]);
        assert!(found.is_err(), "{length} bytes");
    }
    for length in (0..xor.len()).step_by(PAGE).chain([1, xor.len() - 1]) {
        let truncated = DeltaError::Malformed(Malformed::Truncated);
        let found = forged(&tables, &xor[..length]);
        assert_eq!(found, Err(truncated), "{length} bytes");
    }
    let longer = forged(&tables, &[xor.as_slice(), &[0]].concat());
    let trailing = Malformed::Trailing { bytes: 1 };
    assert_eq!(longer, Err(DeltaError::Malformed(trailing)));
}

#[test]
fn any_other_bit_of_a_header_or_checksum_is_found() {
    let mut bytes = good(&mut Random::from_seed(0x23)).encode();
    let checksum = bytes.len() - DIGEST_BYTES..bytes.len();
    for byte in (0..PACKED_AT).chain(checksum) {
        for bit in 0..8 {
            bytes[byte] ^= 1 << bit;
            assert!(read_delta(&bytes).is_err(), "byte {byte}, bit {bit}");
            bytes[byte] ^= 1 << bit;
        }
    }
    read_delta(&bytes).expect("as it was");
}

/// The fields before the body, with the right checksum.
#[test]
fn a_forged_field_is_refused_or_harmless() {
    let bytes = good(&mut Random::from_seed(0x24)).encode();
    let with = |at: usize, field: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + field.len()].copy_from_slice(field);
        forge::sign_delta(&mut changed);
        read_delta(&changed)
    };
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight"));
    assert_eq!(with(0, b"MCPV8DLT"), Err(DeltaError::Magic));
    for version in [0, 2, u32::MAX] {
        let found = with(8, &version.to_le_bytes());
        assert_eq!(found, Err(DeltaError::Version { version }));
    }
    let body_bytes = number(BODY_BYTES_AT);
    for other in [0, 1, body_bytes - 1, body_bytes + 1, BODY_BYTES_MAX] {
        let found = with(BODY_BYTES_AT, &other.to_le_bytes());
        assert_eq!(found, Err(DeltaError::Compression), "{other} bytes");
    }
    for body_bytes in [BODY_BYTES_MAX + 1, 1 << 32, 1 << 60, u64::MAX] {
        let found = with(BODY_BYTES_AT, &body_bytes.to_le_bytes());
        let body_bytes_max = BODY_BYTES_MAX;
        let too_large = DeltaError::TooLarge {
            body_bytes,
            body_bytes_max,
        };
        assert_eq!(found, Err(too_large));
    }
    let packed_bytes = number(PACKED_BYTES_AT);
    let far = [1 << 32, 1 << 60, u64::MAX - 123, u64::MAX];
    for other in [0, 1, packed_bytes - 1, packed_bytes + 1]
        .into_iter()
        .chain(far)
    {
        let found = with(PACKED_BYTES_AT, &other.to_le_bytes());
        assert!(matches!(found, Err(DeltaError::Length { .. })), "{other}");
    }
    let other = with(12, &[9; 32]).expect("a good delta of another engine");
    assert_eq!(other.engine, EngineId([9; 32]));
    let other = with(44, &[9; 32]).expect("a good delta of another state");
    assert_eq!(other.parent, StateId([9; 32]));
}

/// Each number of the body, with the right checksum.
#[test]
fn a_forged_body_is_refused_or_in_bounds() {
    let (tables, xor) = body(&good(&mut Random::from_seed(0x25)));
    let numbers = mutations::split(&tables);
    let changes = mutations::other_numbers(&numbers);
    let taken = changes
        .filter(|tables| forged(tables, &xor).is_ok())
        .count();
    println!("{taken} of the changed bodies are taken");
    assert!(taken > 20);
    for tables in mutations::malformed_numbers(&numbers) {
        let error = forged(&tables, &xor).expect_err("no number");
        assert!(error.to_string().contains("shortest form"), "{error:?}");
    }
    for tables in mutations::moved_numbers(&numbers) {
        let _ = forged(&tables, &xor);
    }
}

#[test]
fn random_bodies_are_refused_or_in_bounds() {
    let mut random = Random::from_seed(0x26);
    let (tables, xor) = body(&good(&mut random));
    let numbers = mutations::split(&tables);
    let taken = (0..20_000).filter(|_| {
        let tables = mutations::random_numbers(&numbers, &mut random);
        forged(&tables, &xor).is_ok()
    });
    let taken = taken.count();
    println!("{taken} are taken");
    assert!(taken > 100);
}

/// A delta that changes nothing, with something changed about it.
fn with(change: impl FnOnce(&mut Delta)) -> Delta {
    let mut delta = Delta {
        engine: ENGINE,
        parent: PARENT,
        table: TableChange::default(),
        dropped: PageSet::new(),
        changed: PageSet::new(),
        xor: Vec::new(),
    };
    change(&mut delta);
    delta
}

/// Deltas that can be read but do not fit [`parent`], and why.
fn misfits() -> Vec<(Delta, DeltaError)> {
    let page = |page: u64| REGION_PAGE + page;
    let dropped = |pages: &[u64]| with(|it| it.dropped = region_pages(pages));
    let changed = |pages: &[u64]| {
        with(|it| {
            it.changed = region_pages(pages);
            it.xor = vec![1; pages.len() * PAGE];
        })
    };
    let both = Delta {
        dropped: region_pages(&[1]),
        ..changed(&[0, 1])
    };
    let removed = |indexes: &[usize]| with(|it| it.table.removed = indexes.to_vec());
    let added = |mappings: &[Mapping]| with(|it| it.table.added = mappings.to_vec());
    let start = |page: u64| REGION_START + page * PAGE as u64;
    let order = |index, page| MappingError::Order {
        index,
        start: start(page),
    };
    let code = MappingError::WriteAndExecute {
        index: 5,
        start: start(1024),
    };
    let mappings = 5;
    vec![
        // Pages that are not there, and mapped or not; one that would come and go at once.
        (dropped(&[0, 3]), DeltaError::NotDroppable { page: page(3) }),
        (dropped(&[5]), DeltaError::NotDroppable { page: page(5) }),
        (
            dropped(&[1 << 31]),
            DeltaError::NotDroppable {
                page: page(1 << 31),
            },
        ),
        (both, DeltaError::NotDroppable { page: page(1) }),
        (changed(&[3, 4]), DeltaError::Unmapped { page: page(4) }),
        (
            changed(&[1 << 31]),
            DeltaError::Unmapped {
                page: page(1 << 31),
            },
        ),
        // Mappings that are not there, or are left without their pages, or are there twice.
        (
            removed(&[5]),
            DeltaError::NoSuchMapping { index: 5, mappings },
        ),
        (
            removed(&[0, 700]),
            DeltaError::NoSuchMapping {
                index: 700,
                mappings,
            },
        ),
        (removed(&[2]), DeltaError::Unmapped { page: page(0) }),
        (added(&[region(0, 4, 1)]), DeltaError::Mappings(order(3, 0))),
        (added(&[region(3, 2, 3)]), DeltaError::Mappings(order(3, 3))),
        (added(&[region(7, 2, 3)]), DeltaError::Mappings(order(4, 8))),
        (added(&[region(1024, 1, 7)]), DeltaError::Mappings(code)),
    ]
}

#[test]
fn what_does_not_fit_is_not_applied() {
    let (table, present) = parent();
    let apply = |delta: &Delta| delta.apply(&table, &present, &bounds());
    assert_eq!(apply(&with(|_| ())), Ok((table.clone(), present.clone())));
    for (delta, error) in misfits() {
        let delta = read_delta(&delta.encode()).expect("it can be read");
        assert_eq!(apply(&delta), Err(error), "{delta:?}");
    }
    // Where fewer mappings are allowed.
    let mut fewer = bounds();
    fewer.mappings_max = 5;
    let added = with(|it| it.table.added = vec![region(20, 1, 3)]);
    let many = added.apply(&table, &present, &fewer);
    let count = 6;
    let too_many = MappingError::TooMany {
        count,
        mappings_max: 5,
    };
    assert_eq!(many, Err(DeltaError::Mappings(too_many)));
}

#[test]
fn what_does_not_fit_is_not_folded() {
    let (table, present) = parent();
    let out = Cursor::new(Vec::new());
    let mut writer = ImageWriter::new(out, ENGINE, PARENT, table, present).expect("good");
    let pages = writer.present().count() as usize;
    let contents = Random::from_seed(0x27).bytes(pages * PAGE);
    writer.write(&contents).expect("memory");
    let (header, image) = writer.finish().expect("memory");
    let mut file: File = tempfile::tempfile().expect("a temporary file");
    file.write_all(image.get_ref()).expect("room");
    let folded = |deltas: &[(StateId, Delta)]| {
        let out = Cursor::new(Vec::new());
        fold(&header, &file, deltas, &bounds(), out).map(|(header, _)| header)
    };
    let nothing = with(|_| ());
    let after = with(|it| it.parent = CHILD);
    let two = [(CHILD, nothing.clone()), (StateId([3; 32]), after)];
    assert_eq!(folded(&two).expect("good").state(), StateId([3; 32]));
    for (delta, error) in misfits() {
        let found = folded(&[(CHILD, delta)]);
        let refused =
            matches!(found, Err(FoldError::Delta { index: 0, source }) if source == error);
        assert!(refused, "{found:?} is not {error:?}");
    }
    for (delta, error) in misfits() {
        let second = Delta {
            parent: CHILD,
            ..delta
        };
        let found = folded(&[(CHILD, nothing.clone()), (StateId([3; 32]), second)]);
        let refused =
            matches!(found, Err(FoldError::Delta { index: 1, source }) if source == error);
        assert!(refused, "{found:?} is not {error:?}");
    }
    let foreign = with(|it| it.engine = EngineId([8; 32]));
    let found = folded(&[(CHILD, foreign)]);
    assert!(matches!(found, Err(FoldError::Engine { index: 0, .. })));
    let foreign = with(|it| it.parent = StateId([9; 32]));
    let found = folded(&[(CHILD, foreign)]);
    assert!(matches!(found, Err(FoldError::Chain { index: 0, .. })));
    let twice = [(CHILD, nothing.clone()), (CHILD, nothing)];
    assert!(matches!(
        folded(&twice),
        Err(FoldError::Chain { index: 1, .. })
    ));
}
