use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::Path;

use anyhow::Context as _;
use process_image::ImageHeader;

use crate::workers::Engine;

/// More pages than any image has that fits into a node: 64 GiB.
const PAGES_MAX: u64 = 1 << 24;

/// An image that was checked to its last byte.
pub struct ImageFile {
    /// What it says of itself.
    pub header: ImageHeader,
    /// Its file.
    pub file: File,
}

impl ImageFile {
    /// Opens an image of this program's engine; `base` is the engine's own.
    pub fn open(engine: &Engine, path: &Path) -> anyhow::Result<Self> {
        let mut file = match path.to_str() {
            Some("base") => engine.image_file().context("can't share the base image")?,
            _ => File::open(path).with_context(|| format!("can't open {}", path.display()))?,
        };
        let refused = || format!("{} is refused", path.display());
        file.seek(SeekFrom::Start(0)).with_context(refused)?;
        let mut reader = BufReader::new(&file);
        let header =
            ImageHeader::read(&mut reader, engine.bounds(), PAGES_MAX).with_context(refused)?;
        header.verify_pages(&mut reader).with_context(refused)?;
        Ok(Self { header, file })
    }
}
