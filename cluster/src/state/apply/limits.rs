//! How large what is in a row may be.
//!
//! With all of its parts at their limits no row is over 64 KiB and some hundred bytes around it: what is
//! larger is a blob. So a leaf of sled's tree (16 rows) stays below the size from which sled puts it into a
//! file that it does not sync.

/// Longest name of a tag, a session or a setting, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest id of a task, an engine, a heap or a session, in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Longest value of a tag, in bytes of JSON text.
pub const TAG_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Longest value of a setting, in bytes.
pub const SETTING_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Longest delta of a heap that stands in the commit itself, in bytes.
pub const DELTA_BYTES_MAX: usize = 32 * 1024;
/// Longest reply of a run, in bytes.
pub const REPLY_BYTES_MAX: usize = 16 * 1024;
/// Longest code of a run or a task, in bytes.
pub const CODE_BYTES_MAX: usize = 16 * 1024;
/// Longest input of a task, in bytes.
pub const TASK_INPUT_BYTES_MAX: usize = 16 * 1024;
/// Longest code, input, options and labels of a task together, in bytes.
pub const TASK_REQUEST_BYTES_MAX: usize = 32 * 1024;
/// Longest options of a task, in bytes.
pub const TASK_OPTIONS_BYTES_MAX: usize = 2 * 1024;
/// Most labels of a task.
pub const LABELS_MAX: usize = 16;
/// Longest report of a task, in bytes.
pub const REPORT_BYTES_MAX: usize = 32 * 1024;

/// Longest principal, address, version or idempotency key, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Longest name and longest value of a label, in bytes.
const LABEL_BYTES_MAX: usize = 64;
/// Longest flags of V8, in bytes.
const FLAGS_BYTES_MAX: usize = 4096;
/// Most huge pages of constants that an engine uses.
pub(super) const CONSTANTS_MAX: usize = 1024;
/// Longest digest of a request, in bytes.
const DIGEST_BYTES_MAX: usize = 64;
/// Size of a blob's hash, in bytes.
const BLOB_HASH_BYTES: usize = 32;
/// Size of the random names of directories and sessions, in bytes.
const RANDOM_ID_BYTES: usize = 16;
/// Most attempts of a task.
const ATTEMPTS_MAX: u32 = 1000;

/// Names with short values.
pub fn labels(labels: &std::collections::BTreeMap<String, String>) -> bool {
    let fits = |part: &str| part.len() <= LABEL_BYTES_MAX && !part.chars().any(char::is_control);
    labels.len() <= LABELS_MAX
        && labels
            .iter()
            .all(|(name, value)| !name.is_empty() && fits(name) && fits(value))
}

/// A name that people give: something, and nothing that moves a cursor.
pub fn name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// V8's flags.
pub(super) fn flags(flags: &str) -> bool {
    flags.len() <= FLAGS_BYTES_MAX && !flags.chars().any(char::is_control)
}

/// A short text that may be empty.
pub(super) fn text(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Who asks.
pub(super) fn principal(principal: &str) -> bool {
    text(principal)
}

/// Bytes that are an id.
pub(super) fn id(bytes: &[u8]) -> bool {
    (1..=ID_BYTES_MAX).contains(&bytes.len())
}

/// A text that is an id.
pub(super) fn text_id(text: &str) -> bool {
    id(text.as_bytes()) && !text.chars().any(char::is_control)
}

/// A blob's hash.
pub(super) fn blob_hash(hash: &[u8]) -> bool {
    hash.len() == BLOB_HASH_BYTES
}

/// A blob's hash, or none.
pub(super) fn optional_blob_hash(hash: &[u8]) -> bool {
    hash.is_empty() || blob_hash(hash)
}

/// The random name of a directory or a session.
pub(super) fn random_id(bytes: &[u8]) -> bool {
    bytes.len() == RANDOM_ID_BYTES
}

/// A request's digest, or none.
pub(super) fn digest(bytes: &[u8]) -> bool {
    bytes.len() <= DIGEST_BYTES_MAX
}

/// How often a task may be tried.
pub(super) fn attempts(attempts: u32) -> bool {
    (1..=ATTEMPTS_MAX).contains(&attempts)
}
