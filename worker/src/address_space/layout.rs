//! Where things lie. These numbers are part of every image: changing one makes a new engine.

/// A page.
pub const PAGE: usize = 4096;

/// The first address of the region that the worker manages itself.
pub const REGION_START: usize = 0x1000_0000_0000;

/// The end of the region (8 TiB): past it there is no memory.
pub const REGION_END: usize = 0x1800_0000_0000;

/// The stack of V8's thread, with the thread's own storage at its top. The page below it is never
/// mapped, so an overflow of the native stack is a clean fault.
pub const STACK_START: usize = REGION_START + 0x10000;

/// The size of that stack. It holds V8's largest stack limit plus what native code below V8's last
/// check needs: regular expressions, parsers, our own callbacks.
pub const STACK_BYTES: usize = 16 << 20;

/// The table of mappings itself, outside of what it describes.
pub const TABLE_START: usize = REGION_START + 0x1000_0000;

/// The most entries that the table holds: a quarter of the kernel's usual `vm.max_map_count`
/// (65,530), since a process that reaches that bound can't even free memory any more.
pub const TABLE_ENTRIES_MAX: usize = 16_384;

/// The first address that is handed out.
pub const ARENA_START: usize = REGION_START + 0x2000_0000;

const _: () = assert!(STACK_START + STACK_BYTES < TABLE_START);
const _: () =
    assert!(TABLE_START + TABLE_ENTRIES_MAX * size_of::<super::table::Entry>() < ARENA_START);

/// `bytes` rounded up to whole pages, or `None` past the end of the address space.
pub const fn pages(bytes: usize) -> Option<usize> {
    match bytes.checked_add(PAGE - 1) {
        Some(sum) => Some(sum & !(PAGE - 1)),
        None => None,
    }
}
