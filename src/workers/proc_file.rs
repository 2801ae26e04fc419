use std::fs::File;
use std::io::{self, Read as _};

/// Longer than the files that are read so.
const BYTES_MAX: u64 = 1 << 20;

/// Reads a small file of `/proc`. Nobody knows their length before, and the standard library would begin with
/// 32 bytes: that is ten calls instead of two.
pub fn read(path: &str) -> io::Result<String> {
    let mut text = String::with_capacity(4096);
    File::open(path)?
        .take(BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}
