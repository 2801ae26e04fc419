//! What is written: names in sequence for each writer, and values that can be told from their names.

/// Values have two quotes at least.
pub const VALUE_BYTES_MIN: usize = 2;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A name and its value: the same bytes for both systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Eight characters, while there are at most 256 writers and 16 million records of each.
    pub name: String,
    /// A string of JSON; with the quotes as long as asked.
    pub value: Vec<u8>,
}

impl Record {
    /// The record of that number of a writer: always the same one.
    pub fn new(writer: u64, number: u64, value_bytes: usize) -> Self {
        let mut value = Vec::with_capacity(value_bytes);
        value.push(b'"');
        let letters = value_bytes.saturating_sub(VALUE_BYTES_MIN);
        // Ten letters of six bits from each step of splitmix64: nothing that could be compressed.
        let mut state = (writer << 32) ^ number;
        while value.len() <= letters {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^= bits >> 31;
            for _ in 0..10.min(letters + 1 - value.len()) {
                value.push(LETTERS[(bits & 63) as usize]);
                bits >>= 6;
            }
        }
        value.push(b'"');
        Self {
            name: format!("{writer:02x}{number:06x}"),
            value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_string_of_json_as_long_as_asked_and_its_own() {
        for value_bytes in [2, 3, 11, 12, 13, 100, 256] {
            let record = Record::new(3, 7, value_bytes);
            assert_eq!(record.value.len(), value_bytes);
            let _: String = serde_json::from_slice(&record.value).expect("a string of JSON");
        }
        assert_eq!(Record::new(3, 7, 256), Record::new(3, 7, 256));
        assert_eq!(Record::new(255, 7, 256).name, "ff000007");
        assert_ne!(Record::new(3, 7, 256).value, Record::new(7, 3, 256).value);
        assert_ne!(Record::new(3, 7, 256).value, Record::new(3, 8, 256).value);
    }
}
