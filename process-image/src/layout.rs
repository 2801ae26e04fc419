//! Where a worker's memory lies. These numbers are part of every image.

use worker_protocol::layout as protocol;
pub use worker_protocol::layout::PAGE;

/// The first address of the region that a worker manages itself.
pub const REGION_START: u64 = protocol::REGION_START as u64;

/// The end of the region (8 TiB).
pub const REGION_END: u64 = protocol::REGION_END as u64;
