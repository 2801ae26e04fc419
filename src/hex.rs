//! Hashes and ids in hex digits.

use std::fmt::Write as _;

/// The bytes in lower-case digits.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes anything");
        text
    })
}

/// The hash of 64 lower-case digits: one hash has one spelling.
pub fn decode_hash(text: &str) -> Option<[u8; 32]> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 64 || !text.bytes().all(lower) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(0..) {
        let digits = &text[2 * digits..2 * digits + 2];
        *byte = u8::from_str_radix(digits, 16).expect("two hex digits");
    }
    Some(hash)
}
