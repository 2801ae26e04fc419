use super::*;
use crate::testing::{Random, Whole, bounds};

fn read(bytes: &[u8]) -> Result<ImageHeader, ImageError> {
    let mut reader = bytes;
    let header = ImageHeader::read(&mut reader, &bounds(), 1000)?;
    header.verify_pages(&mut reader)?;
    Ok(header)
}

fn whole() -> Whole {
    Whole::random(&mut Random(17), 3)
}

#[test]
fn an_image_says_what_was_written_and_where() {
    let mut random = Random(0x1234_5678_9abc_def1);
    println!("seed {:#x}", random.0);
    for _ in 0..100 {
        let whole = Whole::random(&mut random, 3);
        let (written, bytes) = whole.image();
        let header = read(&bytes).expect("a good image");
        assert_eq!(header, written);
        assert_eq!((header.table(), header.state()), (&whole.table, whole.id));
        assert_eq!(header.present(), &whole.present());
        for (page, contents) in &whole.pages {
            let offset = header.offset_of(*page).expect("it is there") as usize;
            assert!(offset.is_multiple_of(PAGE));
            assert_eq!(&bytes[offset..offset + PAGE], contents);
        }
        assert_eq!(header.offset_of(1), None);
    }
}

/// What an earlier build wrote is read by this one, and this one writes the same.
#[test]
fn a_golden_file_is_read_and_written() {
    let golden = include_bytes!("golden.image");
    assert_eq!(read(golden).expect("a good image").state(), whole().id);
    assert!(whole().image().1 == golden);
}

#[test]
fn any_changed_byte_is_found() {
    let bytes = whole().image().1;
    // Each byte of the header, and some of each page.
    for index in (0..PAGE).chain((PAGE..bytes.len()).step_by(1009)) {
        let mut changed = bytes.clone();
        changed[index] ^= 1 << (index % 8);
        assert!(read(&changed).is_err(), "byte {index}");
    }
}

#[test]
fn any_cut_is_found() {
    let bytes = whole().image().1;
    for length in (0..PAGE).chain((PAGE..bytes.len()).step_by(997)) {
        assert!(read(&bytes[..length]).is_err(), "{length} bytes");
    }
    for page in 0..bytes.len() / PAGE {
        assert!(read(&bytes[..page * PAGE]).is_err(), "{page} pages");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(read(&longer), Err(ImageError::Trailing)));
}

/// Who can make checksums can still do no harm: an error, or mappings that stay in bounds.
#[test]
fn a_forged_header_stays_in_bounds() {
    let bytes = whole().image().1;
    let tables_bytes = u64::from_le_bytes(bytes[112..120].try_into().expect("eight bytes"));
    let end = FIXED_BYTES + tables_bytes as usize;
    for index in 0..end {
        for value in 0..=255 {
            let mut changed = bytes[..PAGE].to_vec();
            changed[index] = value;
            let digest = Sha256::digest(&changed[..end]);
            changed[end..end + DIGEST_BYTES].copy_from_slice(&digest);
            if let Ok(header) = ImageHeader::read(&mut changed.as_slice(), &bounds(), 1000) {
                let mappings = header.table().mappings().to_vec();
                MappingTable::check(mappings, &bounds()).expect("in bounds");
                assert_eq!(header.table().first_unmapped(header.present()), None);
            }
        }
    }
}

#[test]
fn limits_hold() {
    let bytes = whole().image().1;
    let few = ImageHeader::read(&mut bytes.as_slice(), &bounds(), 1);
    let many = PageSetError::TooMany { pages_max: 1 };
    assert!(matches!(few, Err(ImageError::Pages(error)) if error == many));
    let mut long = bytes;
    long[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(read(&long), Err(ImageError::HeaderLength)));
}

/// A page outside of all mappings is refused before anything is written.
#[test]
fn an_unmapped_page_is_no_part_of_an_image() {
    let whole = whole();
    let present = [1].into_iter().collect();
    let out = std::io::Cursor::new(Vec::new());
    let writer = ImageWriter::new(out, crate::testing::ENGINE, whole.id, whole.table, present);
    assert!(matches!(
        writer.err(),
        Some(ImageError::Unmapped { page: 1 })
    ));
}
