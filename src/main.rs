//! The program; everything is in the library.

use std::process::ExitCode;

/// A fifth of a write's time was the system allocator's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcp_v8::cli::main()
}
