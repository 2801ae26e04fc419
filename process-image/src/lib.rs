//! What a saved worker is, the arithmetic of it, and how it is read from a live process. No V8.
//!
//! A *state* of a worker is the table of its mappings and the contents of its pages. A page that is
//! not there reads as zeros, so a page of zeros counts as not there: each state has one form.
//!
//! | type | what it is |
//! |---|---|
//! | [`MappingTable`] | sorted, disjoint mappings inside the [`Bounds`] of an engine |
//! | [`PageSet`] | which pages there are |
//! | [`Delta`] | by how much a run's state differs from its parent's |
//! | [`ImageHeader`] | a whole state, in a file whose pages can be mapped |
//! | [`ProcessMemory`] | the memory of a process that waits, read from outside |
//! | [`capture`] | a process as an image, and what one changed since it was forked from another |
//! | [`fold`](fold::fold) | an image and the deltas after it make the next image |
//!
//! Everything that is decoded here counts as an attacker's: it is checked before it is used, and
//! nothing is allocated that the bytes at hand or a limit do not justify.

pub mod capture;
mod codec;
mod delta;
pub mod fold;
mod ids;
mod image;
pub mod layout;
mod mapping_table;
mod page_set;
mod process;
#[cfg(test)]
mod testing;

pub use codec::Malformed;
pub use delta::{Delta, DeltaError, DeltaLimits, TableChange};
pub use ids::{EngineId, StateId};
pub use image::{ImageError, ImageHeader, ImageWriter};
pub use mapping_table::{Bounds, Mapping, MappingError, MappingTable, Protection};
pub use page_set::{PageSet, PageSetError};
pub use process::{ProcessMemory, Scan, ScanError};
