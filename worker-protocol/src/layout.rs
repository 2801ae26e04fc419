//! Where a worker's memory lies. A node reads it from outside, so these numbers are part of the
//! protocol, and of every image: changing one makes a new engine.

/// A page, in bytes.
pub const PAGE: usize = 4096;

/// The first address of the region that a worker manages itself.
pub const REGION_START: usize = 0x1000_0000_0000;

/// The end of the region (8 TiB): past it there is no memory.
pub const REGION_END: usize = 0x1800_0000_0000;

/// The stack of V8's thread, with the thread's own storage at its top. The page below it is never
/// mapped, so an overflow of the native stack is a clean fault.
pub const STACK_START: usize = REGION_START + 0x10000;

/// The size of that stack. It holds V8's largest stack limit plus what native code below V8's last
/// check needs: regular expressions, parsers, our own callbacks.
pub const STACK_BYTES: usize = 16 << 20;

/// The table of mappings: [`TABLE_HEADER_BYTES`], then entries of [`TABLE_ENTRY_BYTES`]. It does not
/// list itself and the stack.
pub const TABLE_START: usize = REGION_START + 0x1000_0000;

/// What stands before the table's entries: their number as a 64-bit integer, then zeros or what is
/// the worker's own business.
pub const TABLE_HEADER_BYTES: usize = 64;

/// An entry: the first byte, the byte after the last, and the `PROT_*` bits of a mapping, each a
/// 64-bit integer.
pub const TABLE_ENTRY_BYTES: usize = 24;

/// The most entries that the table holds: a quarter of the kernel's usual `vm.max_map_count`
/// (65,530), since a process that reaches that bound can't even free memory any more.
pub const TABLE_ENTRIES_MAX: usize = 16_384;

/// The table with its header, in whole pages.
pub const TABLE_BYTES: usize =
    (TABLE_HEADER_BYTES + TABLE_ENTRIES_MAX * TABLE_ENTRY_BYTES).next_multiple_of(PAGE);

/// The first address that is handed out.
pub const ARENA_START: usize = REGION_START + 0x2000_0000;

/// Where a worker's stack lies while an image is entered, and nothing at any other time.
pub const ENTRY_STACK_START: usize = REGION_END + 0x10000;

/// The size of that stack.
pub const ENTRY_STACK_BYTES: usize = 64 << 10;

const _: () = assert!(STACK_START + STACK_BYTES < TABLE_START);
const _: () = assert!(TABLE_START + TABLE_BYTES < ARENA_START);
