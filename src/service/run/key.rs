//! Idempotency keys.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{Error, ExecutionRequest};
use crate::service::sessions::Target;

/// The longest key.
const KEY_BYTES_MAX: usize = 255;

/// An idempotency key: two principals never share one, nor do two sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub principal: Arc<str>,
    /// The session or heap that it is used in.
    pub target: Option<Target>,
    pub key: Arc<str>,
}

/// What a request with a key asks for, by SHA-256: equal digests are equal requests.
pub(super) type Digest = [u8; 32];

/// The key with its owner, and the digest of everything that the run depends on.
pub(super) fn of(key: &str, request: &ExecutionRequest) -> Result<(Key, Digest), Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Error::IdempotencyKeyLength {
            bytes: key.len(),
            bytes_max: KEY_BYTES_MAX,
        });
    }
    let mut hash = Sha256::new();
    // Lengths stand before the texts, so that no two requests are spelled alike.
    hash.update((request.code.len() as u64).to_le_bytes());
    hash.update(&request.code);
    hash.update((request.language as i32).to_le_bytes());
    match &request.input {
        None => hash.update([0]),
        Some(input) => {
            hash.update([1]);
            hash.update((input.get().len() as u64).to_le_bytes());
            hash.update(input.get());
        }
    }
    let limits = &request.limits;
    for limit in [
        limits.timeout_ms,
        limits.heap_mb,
        limits.array_buffer_mb,
        limits.memory_mb,
        limits.stack_kb,
        limits.result_bytes,
        limits.output_bytes,
    ] {
        // No limit can be 0, so 0 stands for one that was left out.
        hash.update(limit.unwrap_or(0).to_le_bytes());
    }
    let key = Key {
        principal: request.principal.as_str().into(),
        target: request.target.clone(),
        key: key.into(),
    };
    Ok((key, hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::value::RawValue;

    use super::*;
    use crate::service::run::{Language, LimitOverrides};

    #[test]
    fn requests_that_differ_have_digests_that_differ() {
        let plain = ExecutionRequest {
            code: "1".into(),
            language: Language::Auto,
            input: None,
            target: None,
            limits: LimitOverrides::default(),
            idempotency_key: None,
            principal: String::new(),
            task: None,
        };
        let input = |json: &str| {
            let json = RawValue::from_string(json.to_owned()).expect("JSON");
            Some(Arc::from(json))
        };
        let mut heap = plain.clone();
        heap.limits.heap_mb = Some(1);
        let mut memory = plain.clone();
        memory.limits.memory_mb = Some(1);
        let requests = [
            plain.clone(),
            ExecutionRequest {
                code: "2".into(),
                ..plain.clone()
            },
            ExecutionRequest {
                language: Language::TypeScript,
                ..plain.clone()
            },
            ExecutionRequest {
                input: input("null"),
                ..plain.clone()
            },
            ExecutionRequest {
                input: input("1"),
                ..plain.clone()
            },
            heap,
            memory,
        ];
        let digests: HashSet<_> = requests
            .iter()
            .map(|request| of("k", request).expect("a key").1)
            .collect();
        assert_eq!(digests.len(), requests.len());
        assert_eq!(of("k", &plain), of("k", &plain));
    }

    #[test]
    fn keys_have_a_length() {
        let request = ExecutionRequest {
            code: String::new(),
            language: Language::Auto,
            input: None,
            target: None,
            limits: LimitOverrides::default(),
            idempotency_key: None,
            principal: String::new(),
            task: None,
        };
        assert!(of("", &request).is_err());
        assert!(of(&"k".repeat(KEY_BYTES_MAX), &request).is_ok());
        assert!(of(&"k".repeat(KEY_BYTES_MAX + 1), &request).is_err());
    }
}
