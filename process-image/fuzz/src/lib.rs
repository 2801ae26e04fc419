//! What the fuzz targets do with their bytes. The crate's test `hostile` includes this file and
//! does the same with the corpus, so it runs without a fuzzer too.

/// Images and deltas whose checksums are right, whatever else they say.
pub mod forge;
/// The rules that hold for all that was decoded, written without the crate's own checks.
pub mod rules;

use std::io::Cursor;

use process_image::entry_plan::{Ground, plan};
use process_image::layout::{PAGE, REGION_START};
use process_image::{
    Bounds, Delta, DeltaError, DeltaLimits, ImageError, ImageHeader, ImageWriter, Mapping,
    MappingTable, PageSet, Protection,
};

/// The most pages of an image, and the most that a delta changes.
pub const PAGES_MAX: u64 = 64;

/// The most bytes of a delta's body.
pub const BODY_BYTES_MAX: u64 = 1 << 20;

/// A small engine's: the golden files fit.
pub fn bounds() -> Bounds {
    Bounds {
        segments: std::iter::once(0x40_0000..0x44_0000).collect(),
        code: REGION_START + (512 << 12)..REGION_START + (1024 << 12),
        mappings_max: 1024,
    }
}

/// The mappings and pages to which deltas are applied. The golden delta fits.
pub fn parent() -> (MappingTable, PageSet) {
    let mapping = |start: u64, pages: u64, bits| Mapping {
        start,
        end: start + pages * PAGE as u64,
        protection: Protection::from_bits(bits).expect("a protection"),
    };
    let region = |page: u64, bits| mapping(REGION_START + page * PAGE as u64, 4, bits);
    let mappings = vec![
        mapping(0x40_0000, 1, 3),
        mapping(0x40_2000, 2, 3),
        region(0, 1),
        region(8, 0),
        region(512, 7),
    ];
    let table = MappingTable::check(mappings, &bounds()).expect("good mappings");
    let first = REGION_START / PAGE as u64;
    let pages = [0, 1, 2, 9, 512].map(|page| first + page);
    (table, [0x402].into_iter().chain(pages).collect())
}

/// The bytes as an image, as one with the right checksums, and as the tables of one. Gives how many
/// of them have a header that is taken.
pub fn image(data: &[u8]) -> usize {
    let mut signed = data.to_vec();
    forge::sign_image(&mut signed);
    let of_tables = forge::image(data, &[]);
    [data, &signed, &of_tables]
        .into_iter()
        .filter(|bytes| read_image(bytes).is_ok())
        .count()
}

/// Reads a header, and checks what became of it. Who reads it checks the pages later or, when they
/// are only mapped, never: so they may be wrong.
pub fn read_image(bytes: &[u8]) -> Result<ImageHeader, ImageError> {
    let mut reader = bytes;
    let header = ImageHeader::read(&mut reader, &bounds(), PAGES_MAX)?;
    let (mappings, present) = (header.table().mappings(), header.present());
    rules::mappings(mappings, &bounds());
    rules::pages(present, PAGES_MAX);
    rules::mapped(mappings, present);
    rules::offsets(&header, (bytes.len() - reader.len()) as u64);
    rules::plan_of_a_program(&header, &plan(&header, Ground::Program), &bounds());
    let (table, pages) = parent();
    for same in [PageSet::new(), pages.intersection(present)] {
        let ground = Ground::Process {
            table: &table,
            present: &pages,
            same: &same,
        };
        rules::steps(&header, &plan(&header, ground), &bounds());
    }
    let contents = reader;
    if header.verify_pages(&mut reader).is_ok() {
        assert!(reader.is_empty(), "nothing follows");
        assert!(
            written(&header, contents) == bytes,
            "an image has one form alone"
        );
    }
    Ok(header)
}

/// The bytes of an image, once more.
fn written(header: &ImageHeader, pages: &[u8]) -> Vec<u8> {
    let (table, present) = (header.table().clone(), header.present().clone());
    let out = Cursor::new(Vec::new());
    let mut writer = ImageWriter::new(out, header.engine(), header.state(), table, present)
        .expect("it could be read");
    writer.write(pages).expect("memory");
    writer.finish().expect("memory").1.into_inner()
}

/// The bytes as a delta, as one with the right checksum, and as the body of one. Gives how many of
/// them are taken.
pub fn delta(data: &[u8]) -> usize {
    let mut signed = data.to_vec();
    forge::sign_delta(&mut signed);
    let of_body = forge::delta(data);
    [data, &signed, &of_body]
        .into_iter()
        .filter(|bytes| read_delta(bytes).is_ok())
        .count()
}

/// Reads a delta, applies it to [`parent`], and checks what became of it.
pub fn read_delta(bytes: &[u8]) -> Result<Delta, DeltaError> {
    let limits = DeltaLimits {
        body_bytes_max: BODY_BYTES_MAX,
        pages_max: PAGES_MAX,
    };
    let delta = Delta::decode(bytes, &limits, &bounds())?;
    rules::delta(&delta, &bounds(), PAGES_MAX);
    let again = Delta::decode(&delta.encode(), &limits, &bounds());
    assert!(
        again.as_ref() == Ok(&delta),
        "what was decoded can be encoded"
    );
    let (table, present) = parent();
    if let Ok((after, pages)) = delta.apply(&table, &present, &bounds()) {
        rules::mappings(after.mappings(), &bounds());
        rules::mapped(after.mappings(), &pages);
        rules::successor(&delta, &present, &pages);
    }
    Ok(delta)
}
