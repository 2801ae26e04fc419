//! Where things lie: the protocol's numbers, since the node reads them from outside.

pub use worker_protocol::layout::*;

/// `bytes` rounded up to whole pages, or `None` past the end of the address space.
pub const fn pages(bytes: usize) -> Option<usize> {
    match bytes.checked_add(PAGE - 1) {
        Some(sum) => Some(sum & !(PAGE - 1)),
        None => None,
    }
}

const _: () = assert!(size_of::<super::table::Entry>() == TABLE_ENTRY_BYTES);
const _: () = assert!(size_of::<super::mappings::TableHeader>() <= TABLE_HEADER_BYTES);
