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
//! | [`Shadow`] | a whole state in memory, to be held against a process |
//! | [`capture`] | a process as an image, and what one changed since it was forked from another |
//! | [`fold`](fold::fold) | an image and the deltas after it make the next image |
//! | [`base`] | the image that all processes of an engine start from |
//! | [`entry_plan`] | the steps by which a process becomes an image |
//! | [`inspect`] | what an image holds, and how two differ |
//! | [`worker_process`] | a worker program driven without a node: for builds, tests, benchmarks |
//!
//! Everything that is decoded here counts as an attacker's: it is checked before it is used, and
//! nothing is allocated that the bytes at hand or a limit do not justify.

pub mod base;
pub mod capture;
mod codec;
mod delta;
pub mod entry_plan;
pub mod fold;
mod ids;
mod image;
pub mod inspect;
pub mod layout;
mod mapping_table;
mod page_set;
mod process;
/// What an ELF program says of its variables.
pub mod program;
mod shadow;
#[cfg(test)]
mod testing;
pub mod worker_process;
mod worker_table;

pub use codec::Malformed;
pub use delta::{Delta, DeltaError, DeltaLimits, TableChange};
pub use ids::{EngineId, StateId};
pub use image::{ImageError, ImageHeader, ImageWriter};
pub use mapping_table::{Bounds, Mapping, MappingError, MappingTable, Protection};
pub use page_set::{PageSet, PageSetError};
pub use process::{ProcessMemory, Scan, ScanError};
pub use shadow::Shadow;
pub use worker_table::TableError;
