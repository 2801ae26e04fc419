use process_image::layout::PAGE;
use sha2::{Digest, Sha256};

/// Where in an image the length of its header stands, in pages.
pub const HEADER_PAGES_AT: usize = 12;
/// Where in an image the checksum of its pages stands.
pub const PAGES_DIGEST_AT: usize = 80;
/// Where in an image the length of its tables stands.
pub const TABLES_BYTES_AT: usize = 112;
/// Where in an image its tables begin.
pub const TABLES_AT: usize = 120;
/// Where in a delta the length of its body stands.
pub const BODY_BYTES_AT: usize = 76;
/// Where in a delta the length of its compressed body stands.
pub const PACKED_BYTES_AT: usize = 84;
/// Where in a delta its compressed body begins.
pub const PACKED_AT: usize = 92;
/// The length of a checksum.
pub const DIGEST_BYTES: usize = 32;

/// A number as LEB128.
pub fn number(number: u64) -> Vec<u8> {
    let bytes = (64 - number.leading_zeros()).div_ceil(7);
    let last = bytes.max(1) - 1;
    let byte = |at: u32| (number >> (7 * at)) as u8 & 0x7f | u8::from(at != last) << 7;
    (0..=last).map(byte).collect()
}

/// An image with these tables and pages.
pub fn image(tables: &[u8], pages: &[u8]) -> Vec<u8> {
    let header_pages = (TABLES_AT + tables.len() + DIGEST_BYTES).div_ceil(PAGE);
    let mut bytes = b"mcpv8img".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend((header_pages as u32).to_le_bytes());
    bytes.extend([7; 32]);
    bytes.extend([3; 32]);
    bytes.extend([0; DIGEST_BYTES]);
    bytes.extend((tables.len() as u64).to_le_bytes());
    bytes.extend(tables);
    bytes.resize(header_pages * PAGE, 0);
    bytes.extend(pages);
    sign_image(&mut bytes);
    bytes
}

/// Puts both checksums into an image, where its lengths say and as far as there is room.
pub fn sign_image(bytes: &mut [u8]) {
    if bytes.len() < TABLES_AT {
        return;
    }
    let header_pages: [u8; 4] = bytes[HEADER_PAGES_AT..][..4].try_into().expect("four");
    let header_bytes = u32::from_le_bytes(header_pages) as usize * PAGE;
    if header_bytes >= TABLES_AT && header_bytes <= bytes.len() {
        let digest = Sha256::digest(&bytes[header_bytes..]);
        bytes[PAGES_DIGEST_AT..][..DIGEST_BYTES].copy_from_slice(&digest);
    }
    let tables_bytes: [u8; 8] = bytes[TABLES_BYTES_AT..][..8].try_into().expect("eight");
    let end = (TABLES_AT as u64).saturating_add(u64::from_le_bytes(tables_bytes));
    if end.saturating_add(DIGEST_BYTES as u64) <= bytes.len() as u64 {
        let (summed, rest) = bytes.split_at_mut(end as usize);
        rest[..DIGEST_BYTES].copy_from_slice(&Sha256::digest(summed));
    }
}

/// A delta with this body.
pub fn delta(body: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(body, 1).expect("the buffer is made for the worst case");
    delta_of(body.len() as u64, &packed)
}

/// A delta with this compressed body, that is said to have so many bytes.
pub fn delta_of(body_bytes: u64, packed: &[u8]) -> Vec<u8> {
    let mut bytes = b"mcpv8dlt".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([7; 32]);
    bytes.extend([1; 32]);
    bytes.extend(body_bytes.to_le_bytes());
    bytes.extend((packed.len() as u64).to_le_bytes());
    bytes.extend(packed);
    bytes.extend([0; DIGEST_BYTES]);
    sign_delta(&mut bytes);
    bytes
}

/// Puts the checksum at the end of a delta.
pub fn sign_delta(bytes: &mut [u8]) {
    if let Some(end) = bytes.len().checked_sub(DIGEST_BYTES) {
        let (summed, digest) = bytes.split_at_mut(end);
        digest.copy_from_slice(&Sha256::digest(summed));
    }
}
