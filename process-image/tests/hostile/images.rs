use std::io::Cursor;

use process_image::layout::{PAGE, REGION_START};
use process_image::{
    EngineId, ImageError, ImageHeader, ImageWriter, Malformed, Mapping, MappingError, MappingTable,
    PageSetError, Protection, StateId,
};

use crate::Random;
use crate::fuzz::forge::{self, DIGEST_BYTES, TABLES_AT, TABLES_BYTES_AT};
use crate::fuzz::{PAGES_MAX, bounds, read_image};
use crate::mutations;

const REGION_PAGE: u64 = REGION_START / PAGE as u64;

/// A good image: of a segment, of mappings that touch, of some with gaps, of code; random pages in
/// some of them, in ranges that cross from one to the next.
fn good(random: &mut Random) -> Vec<u8> {
    let mapping = |(page, pages, bits): (u64, u64, u64)| Mapping {
        start: page * PAGE as u64,
        end: (page + pages) * PAGE as u64,
        protection: Protection::from_bits(bits).expect("a protection"),
    };
    let mappings = [
        (0x400, 3, 3),
        (REGION_PAGE, 2, 3),
        (REGION_PAGE + 2, 2, 1),
        (REGION_PAGE + 9, 300, 0),
        (REGION_PAGE + 512, 512, 7),
    ];
    let table = MappingTable::check(mappings.map(mapping).to_vec(), &bounds()).expect("good");
    let region = [0, 1, 2, 9, 11, 12, 600].map(|page| REGION_PAGE + page);
    let present = [0x401].into_iter().chain(region).collect();
    let out = Cursor::new(Vec::new());
    let (engine, state) = (EngineId([7; 32]), StateId([3; 32]));
    let mut writer = ImageWriter::new(out, engine, state, table, present).expect("good");
    let pages = writer.present().count() as usize;
    writer.write(&random.bytes(pages * PAGE)).expect("memory");
    writer.finish().expect("memory").1.into_inner()
}

/// A good image whose header takes more than a page.
fn long() -> Vec<u8> {
    let mut tables = forge::number(1000);
    tables.extend(forge::number(REGION_PAGE));
    for _ in 0..1000 {
        tables.extend([1, 3]);
        tables.extend(forge::number(1 << 20));
    }
    // What comes last is no gap but the number of ranges: none.
    tables.truncate(tables.len() - forge::number(1 << 20).len());
    tables.extend(forge::number(0));
    let image = forge::image(&tables, &[]);
    assert_eq!(image.len(), 2 * PAGE);
    image
}

/// Reads all of it.
fn read(bytes: &[u8]) -> Result<ImageHeader, ImageError> {
    let mut reader = bytes;
    let header = ImageHeader::read(&mut reader, &bounds(), PAGES_MAX)?;
    header.verify_pages(&mut reader)?;
    Ok(header)
}

fn tables_of(image: &[u8]) -> Vec<u8> {
    let bytes = image[TABLES_BYTES_AT..].first_chunk().expect("eight bytes");
    image[TABLES_AT..][..u64::from_le_bytes(*bytes) as usize].to_vec()
}

#[test]
fn the_examples_are_good() {
    let image = good(&mut Random::from_seed(0x11));
    assert_eq!(read(&image).expect("good").present().count(), 8);
    assert_eq!(image.len(), 9 * PAGE);
    assert!(forge::image(&tables_of(&image), &image[PAGE..]) == image);
    read_image(&image).expect("good");
    assert_eq!(read(&long()).expect("good").table().mappings().len(), 1000);
    read_image(&long()).expect("good");
}

#[test]
fn a_cut_anywhere_is_found() {
    let image = good(&mut Random::from_seed(0x12));
    for image in [image, long()] {
        let header_bytes = PAGE * usize::from(image[12]);
        let boundaries = (header_bytes..image.len()).step_by(PAGE);
        for length in (0..header_bytes).chain(boundaries) {
            let error = read(&image[..length]).expect_err("cut");
            assert!(matches!(error, ImageError::Io(_)), "{length}: {error:?}");
        }
    }
}

#[test]
fn any_other_bit_of_a_header_is_found() {
    let image = good(&mut Random::from_seed(0x13));
    for mut image in [image, long()] {
        let header_bytes = PAGE * usize::from(image[12]);
        for bit in 0..header_bytes * 8 {
            image[bit / 8] ^= 1 << (bit % 8);
            let header = ImageHeader::read(&mut image.as_slice(), &bounds(), PAGES_MAX);
            assert!(header.is_err(), "byte {}, bit {}", bit / 8, bit % 8);
            image[bit / 8] ^= 1 << (bit % 8);
        }
        read(&image).expect("as it was");
    }
}

/// The fields before the tables, with the right checksums.
#[test]
fn a_forged_field_is_refused_or_harmless() {
    let image = good(&mut Random::from_seed(0x14));
    let tables_bytes = tables_of(&image).len() as u64;
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = image.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        forge::sign_image(&mut changed);
        // The rules hold in any case.
        let _ = read_image(&changed);
        read(&changed)
    };
    assert!(matches!(with(0, b"MCPV8IMG"), Err(ImageError::Magic)));
    for version in [0, 2, u32::MAX] {
        let found = with(8, &version.to_le_bytes());
        assert!(matches!(found, Err(ImageError::Version { .. })));
    }
    for pages in [0, 2, 9, 1024, 1025, u32::MAX] {
        let found = with(forge::HEADER_PAGES_AT, &u32::to_le_bytes(pages));
        assert!(
            matches!(found, Err(ImageError::HeaderLength)),
            "{pages} pages"
        );
    }
    let few = [0, 1, tables_bytes - 1, tables_bytes + 1, 3944];
    let many = [3945, 1 << 22, 1 << 32, 1 << 60, u64::MAX - 151, u64::MAX];
    for bytes in few.into_iter().chain(many) {
        let found = with(TABLES_BYTES_AT, &bytes.to_le_bytes());
        let length = matches!(found, Err(ImageError::HeaderLength));
        assert!(found.is_err(), "{bytes} bytes");
        assert_eq!(length, bytes > 3944, "{bytes} bytes");
    }
    // Whose state it is and which is for the reader to compare.
    let other = with(16, &[9; 32]).expect("a good image of another engine");
    assert_eq!(other.engine(), EngineId([9; 32]));
    let other = with(48, &[9; 32]).expect("a good image of another state");
    assert_eq!(other.state(), StateId([9; 32]));
    // What follows the header's checksum is zeros.
    let after = TABLES_AT + tables_bytes as usize + DIGEST_BYTES;
    for at in [after, PAGE - 1] {
        assert!(matches!(with(at, &[1]), Err(ImageError::HeaderChecksum)));
    }
    let mut changed = image.clone();
    changed[forge::PAGES_DIGEST_AT] ^= 1;
    let end = TABLES_AT + tables_bytes as usize;
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&changed[..end]);
    changed[end..end + DIGEST_BYTES].copy_from_slice(&digest);
    assert!(matches!(read(&changed), Err(ImageError::PagesChecksum)));
    assert!(read_image(&changed).is_ok(), "the header alone is good");
}

/// Each number of the tables, with the right checksums.
#[test]
fn a_forged_table_is_refused_or_in_bounds() {
    let image = good(&mut Random::from_seed(0x15));
    let pages = &image[PAGE..];
    let tables = tables_of(&image);
    let numbers = mutations::split(&tables);
    let forged = |tables: Vec<u8>| read_image(&forge::image(&tables, pages));
    let mut taken = 0;
    for tables in mutations::other_numbers(&numbers) {
        taken += usize::from(forged(tables).is_ok());
    }
    println!("{taken} of the changed tables are taken");
    assert!(taken > 20);
    for tables in mutations::malformed_numbers(&numbers) {
        let error = forged(tables).expect_err("no number");
        let text = error.to_string();
        assert!(text.contains("shortest form"), "{error:?}");
    }
    for tables in mutations::moved_numbers(&numbers) {
        let _ = forged(tables);
    }
    for length in 0..tables.len() {
        assert!(forged(tables[..length].to_vec()).is_err(), "{length} bytes");
    }
    let longer = forged([tables.as_slice(), &[0]].concat());
    let trailing = Malformed::Trailing { bytes: 1 };
    assert!(matches!(longer, Err(ImageError::Malformed(error)) if error == trailing));
}

#[test]
fn random_tables_are_refused_or_in_bounds() {
    let mut random = Random::from_seed(0x16);
    let image = good(&mut random);
    let numbers = mutations::split(&tables_of(&image));
    let taken = (0..20_000).filter(|_| {
        let tables = mutations::random_numbers(&numbers, &mut random);
        read_image(&forge::image(&tables, &[])).is_ok()
    });
    let taken = taken.count();
    println!("{taken} are taken");
    assert!(taken > 100);
}

/// One for each rule of a table, with numbers as they stand in the file.
#[test]
fn each_rule_has_its_error() {
    let region = REGION_PAGE;
    let read = |numbers: &[u64]| {
        let tables: Vec<u8> = numbers.iter().flat_map(|it| forge::number(*it)).collect();
        read(&forge::image(&tables, &[])).expect_err("a rule is broken")
    };
    let mappings = |numbers: &[u64]| match read(numbers) {
        ImageError::Mappings(error) => error,
        error => panic!("{error:?}"),
    };
    let pages = |numbers: &[u64]| match read(numbers) {
        ImageError::Pages(error) => error,
        error => panic!("{error:?}"),
    };
    // Too many, whatever follows.
    for count in [1025, 1 << 60, u64::MAX] {
        let found = mappings(&[count]);
        assert!(matches!(found, MappingError::TooMany { .. }));
    }
    // Below, between, across an end, above, past the end of the address space.
    for (start, length) in [
        (0, 1),
        (0x3ff, 2),
        (0x43f, 2),
        (0x440, region - 0x440 + 1),
        (region - 1, 2),
        (region + (1 << 31) - 1, 2),
        (region, u64::MAX),
        (u64::MAX, 1),
        (1 << 52, 1),
        (u64::MAX, u64::MAX),
    ] {
        let found = mappings(&[1, start, length, 3, 0]);
        let outside = matches!(found, MappingError::Outside { index: 0, .. });
        assert!(outside, "{start:#x}, {length:#x}: {found:?}");
    }
    let empty = mappings(&[1, region, 0, 3, 0]);
    assert!(matches!(empty, MappingError::Unaligned { index: 0, .. }));
    for bits in [8, 255, 256 + 3, 1 << 32, u64::MAX] {
        let found = mappings(&[1, region, 1, bits, 0]);
        assert_eq!(found, MappingError::Protection { index: 0, bits });
    }
    // Writable code outside of its range, and across both ends of it.
    for (page, bits) in [(0, 7), (0, 6), (511, 7), (1023, 6)] {
        let found = mappings(&[1, region + page, 2, bits, 0]);
        let refused = matches!(found, MappingError::WriteAndExecute { index: 0, .. });
        assert!(refused, "{page}: {found:?}");
    }
    // Sets of pages: too many, empty, touching, past the end.
    let at = |set: &[u64]| [&[1, region, 200, 3], set].concat();
    let too_many = PageSetError::TooMany { pages_max: 64 };
    assert_eq!(pages(&at(&[1, region, 65])), too_many);
    assert_eq!(pages(&at(&[2, region, 64, 1, 1])), too_many);
    let empty = PageSetError::NotCanonical { index: 0 };
    assert_eq!(pages(&at(&[1, region, 0])), empty);
    let touching = PageSetError::NotCanonical { index: 1 };
    assert_eq!(pages(&at(&[2, region, 1, 0, 1])), touching);
    for (start, length) in [
        (1 << 36, 1),
        ((1 << 36) - 1, 2),
        (u64::MAX, 1),
        (1, u64::MAX),
    ] {
        let outside = PageSetError::Outside { index: 0 };
        assert_eq!(pages(&at(&[1, start, length])), outside);
    }
    let many = pages(&at(&[1 << 60, region, 1]));
    assert_eq!(many, PageSetError::Malformed(Malformed::Truncated));
    // Pages that are not mapped: before, behind, from the last mapped one on.
    for (start, length, page) in [
        (3, 1, 3),
        (region - 1, 2, region - 1),
        (region + 199, 2, region + 200),
    ] {
        let found = read(&at(&[1, start, length]));
        let unmapped = matches!(found, ImageError::Unmapped { page: it } if it == page);
        assert!(unmapped, "{start:#x}: {found:?}");
    }
}
