//! Collects the prelude's files, in the order of their numbers, and tells the linker how to lay the
//! program out.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    // Segments lie as far apart as a huge page is large: `program_pages.rs` moves the text into some.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,max-page-size=0x200000");
    let folder =
        Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/prelude/js");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the prelude's folder")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
        .collect();
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        println!("cargo:rerun-if-changed={}", file.display());
        let name = file
            .file_name()
            .expect("a file")
            .to_str()
            .expect("an ASCII name");
        writeln!(list, "    ({name:?}, include_str!({file:?})),").expect("a String grows");
    }
    list.push_str("]\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("prelude.rs");
    fs::write(out, list).expect("a writable OUT_DIR");
}
