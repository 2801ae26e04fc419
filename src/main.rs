//! The `mcp-v8` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_v8::cli::main()
}
