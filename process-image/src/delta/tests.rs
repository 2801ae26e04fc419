use super::*;
use crate::layout::REGION_START;
use crate::mapping_table::Protection;
use crate::testing::{ENGINE, Random, Whole, bounds};

const LIMITS: DeltaLimits = DeltaLimits {
    body_bytes_max: 1 << 20,
    pages_max: 200,
};

fn decode(bytes: &[u8]) -> Result<Delta, DeltaError> {
    Delta::decode(bytes, &LIMITS, &bounds())
}

/// Puts the right checksum at the end of changed bytes.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - DIGEST_BYTES;
    let digest = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&digest);
    bytes
}

/// One of each: a mapping that goes, one that comes, a page that goes, one that changes.
fn small() -> Delta {
    let first = REGION_START / PAGE as u64;
    let mut xor = vec![0; PAGE];
    xor[5] = 0x2a;
    Delta {
        engine: ENGINE,
        parent: StateId([1; 32]),
        table: TableChange {
            removed: vec![0, 2],
            added: vec![Mapping {
                start: REGION_START,
                end: REGION_START + 4 * PAGE as u64,
                protection: Protection::READ_WRITE,
            }],
        },
        dropped: [first + 1].into_iter().collect(),
        changed: [first + 3].into_iter().collect(),
        xor,
    }
}

#[test]
fn what_was_encoded_is_decoded_and_applies() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    println!("seed {:#x}", random.0);
    for _ in 0..300 {
        let parent = Whole::random(&mut random, 1);
        let child = parent.successor(&mut random, 2);
        let delta = parent.delta_to(&child);
        let decoded = decode(&delta.encode()).expect("good bytes");
        assert_eq!(decoded, delta);
        let (table, present) = decoded
            .apply(&parent.table, &parent.present(), &bounds())
            .expect("it fits");
        assert_eq!((&table, &present), (&child.table, &child.present()));
    }
}

/// The format is a public one: these bytes never change.
#[test]
fn golden_bytes_of_a_body() {
    let body = small().body();
    let hex: String = body[..body.len() - PAGE]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, "02000101808080801004030181808080100101838080801001");
    let xor = &body[body.len() - PAGE..];
    assert_eq!(xor.iter().position(|byte| *byte == 0x2a), Some(5));
}

/// What an earlier build wrote is read by this one.
#[test]
fn a_golden_file_is_read() {
    assert_eq!(
        decode(include_bytes!("golden.delta")).expect("good bytes"),
        small()
    );
}

#[test]
fn any_changed_byte_is_found() {
    let bytes = small().encode();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[index] ^= 1 << bit;
            assert!(decode(&changed).is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn any_cut_is_found() {
    let bytes = small().encode();
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(decode(&longer), Err(DeltaError::Length { .. })));
}

/// Who can make checksums can still do no harm: an error, or a delta whose mappings stay in bounds.
#[test]
fn a_forged_delta_stays_in_bounds() {
    let mut random = Random(11);
    let parent = Whole::random(&mut random, 1);
    let present = parent.present();
    let forge = |bytes: Vec<u8>| {
        let Ok(delta) = decode(&with_checksum(bytes)) else {
            return;
        };
        if let Ok((table, present)) = delta.apply(&parent.table, &present, &bounds()) {
            MappingTable::check(table.mappings().to_vec(), &bounds()).expect("in bounds");
            assert_eq!(table.first_unmapped(&present), None);
        }
    };
    let bytes = small().encode();
    for index in 0..bytes.len() - DIGEST_BYTES {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[index] = value;
            forge(changed);
        }
    }
    // The same inside of the body, which compression would hide from the loop above.
    let body = small().body();
    for index in 0..body.len() - PAGE {
        for value in 0..=255 {
            let mut changed = body.clone();
            changed[index] = value;
            let packed = zstd::bulk::compress(&changed, 1).expect("room");
            let mut bytes = bytes[..HEADER_BYTES - 16].to_vec();
            bytes.extend_from_slice(&(changed.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&(packed.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&packed);
            bytes.extend_from_slice(&[0; DIGEST_BYTES]);
            forge(bytes);
        }
    }
}

#[test]
fn limits_hold_before_anything_is_unpacked() {
    let mut bytes = small().encode();
    bytes[76..84].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(
        decode(&with_checksum(bytes)),
        Err(DeltaError::TooLarge {
            body_bytes: u64::MAX,
            body_bytes_max: 1 << 20
        })
    );
    let limits = DeltaLimits {
        pages_max: 0,
        ..LIMITS
    };
    assert_eq!(
        Delta::decode(&small().encode(), &limits, &bounds()),
        Err(DeltaError::Pages(PageSetError::TooMany { pages_max: 0 }))
    );
    let mut bytes = small().encode();
    bytes[8] = 2;
    assert_eq!(decode(&bytes), Err(DeltaError::Version { version: 2 }));
}

#[test]
fn what_does_not_fit_the_parent_is_refused() {
    let parent = Whole::random(&mut Random(11), 1);
    let none = Delta {
        table: TableChange::default(),
        dropped: PageSet::new(),
        changed: PageSet::new(),
        xor: Vec::new(),
        ..small()
    };
    let apply = |delta: &Delta| delta.apply(&parent.table, &parent.present(), &bounds());
    assert_eq!(apply(&none), Ok((parent.table.clone(), parent.present())));
    let absent = REGION_START / PAGE as u64 + 70;
    let dropped = Delta {
        dropped: [absent].into_iter().collect(),
        ..none.clone()
    };
    assert_eq!(
        apply(&dropped),
        Err(DeltaError::NotDroppable { page: absent })
    );
    let changed = Delta {
        changed: [absent].into_iter().collect(),
        ..none.clone()
    };
    assert_eq!(apply(&changed), Err(DeltaError::Unmapped { page: absent }));
    let table = TableChange {
        removed: vec![60],
        added: Vec::new(),
    };
    assert!(matches!(
        apply(&Delta {
            table,
            ..none.clone()
        }),
        Err(DeltaError::NoSuchMapping { index: 60, .. })
    ));
    let table = TableChange {
        removed: vec![],
        added: parent.table.mappings()[..1].to_vec(),
    };
    assert!(matches!(
        apply(&Delta { table, ..none }),
        Err(DeltaError::Mappings(MappingError::Order { index: 1, .. }))
    ));
}
