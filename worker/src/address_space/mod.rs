//! The worker's deterministic address space.
//!
//! Every mapping and every allocation of a worker lies at an address that depends only on the order
//! of the calls that made it, never on the kernel's choice, the environment or the machine. So two
//! workers that were given the same frames have the same mappings, and a process can later be
//! written into another one, page for page.
//!
//! | part | invariant |
//! |---|---|
//! | [`layout`] | everything lies between `REGION_START` and `REGION_END`; below are only the program's own segments, above only the kernel's |
//! | [`table`] | sorted, disjoint, page-aligned entries, equal neighbours merged; the lowest gap that fits is handed out |
//! | [`mappings`] | the kernel's mappings in the region are those in the table: private, anonymous, not reserved |
//! | [`heap`] | `malloc` and its family take whole spans from the table and give blocks in last-freed-first order |
//! | [`stack`] | below the frames in use there is nothing left of earlier calls when a worker parks |
//! | [`program_pages`] | the program's read-only segments keep their addresses, bytes and protections; only what backs them changes |
//! | [`written_pages`] | a hint: a page that is missing from it costs a fault, a page too many a copy, and nothing else |
//! | [`entry`] | a process that waits has its whole state in its memory; one that is given such memory is that process |
//! | [`clock`] | all reading of clocks goes through one place, which can shift monotonic time |
//! | [`libc_state`] | nothing in libc points at the kernel's stack, the vDSO, the environment or `brk` |
//!
//! None of it is ready for two threads at work: the start thread only waits once V8's thread runs.

pub mod clock;
pub mod entry;
pub mod heap;
pub mod layout;
pub mod libc_state;
pub mod mappings;
pub mod program_pages;
pub mod stack;
pub mod table;
pub mod written_pages;
