//! The V8 worker of `mcp-v8`: a static program at fixed addresses that owns its whole address
//! space. `DESIGN.md` beside this crate tells how it works; a node starts it, nobody else.

mod address_space;
mod arch;
mod channel;
mod deep_source;
mod isolate;
mod line;
mod prelude;
mod sandbox;
mod start;
mod typescript;
mod zygote;

fn main() {
    start::main();
}
