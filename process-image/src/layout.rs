//! Where a worker's memory lies. These numbers are part of every image.

/// A page, in bytes.
pub const PAGE: usize = 4096;

/// The first address of the region that a worker manages itself.
pub const REGION_START: u64 = 0x1000_0000_0000;

/// The end of the region (8 TiB).
pub const REGION_END: u64 = 0x1800_0000_0000;
