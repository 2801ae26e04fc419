//! How long a caller waits, as gRPC tells it.

use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;

/// What a caller that names no time gets.
const DEFAULT: Duration = Duration::from_secs(10);
/// The most that counts.
const MAX: Duration = Duration::from_secs(300);

/// When the caller of a request gives up.
pub(super) fn of(metadata: &MetadataMap) -> Instant {
    let timeout = metadata
        .get("grpc-timeout")
        .and_then(|value| parse(value.to_str().ok()?));
    Instant::now() + timeout.map_or(DEFAULT, |timeout| timeout.min(MAX))
}

/// Up to eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.char_indices().last()?.0;
    let (digits, unit) = text.split_at(unit);
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_units_are_read_and_nonsense_is_not() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "m", "123456789S", "+1S", "1", "1x", "1é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
