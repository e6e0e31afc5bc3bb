//! Durations in route bodies: `2s`, `500ms`, `5m`, `1h`.

use std::time::Duration;

use serde::Serializer;

/// Reads `2s`, `500ms`, `5m` or `1h`.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// Writes what [`parse`] reads.
pub(crate) fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", duration.as_secs()) } else { format!("{millis}ms") }
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show(*duration))
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference")]
pub(super) fn serialize_option<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serialize(duration, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_back_as_it_was_written() {
        for (text, millis) in [("2s", 2000), ("500ms", 500), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(text), Some(duration), "{text}");
            assert_eq!(parse(&show(duration)), Some(duration), "{text}");
        }
        for text in ["", "s", "5", "5 s", "-1s", "1.5s", "5d", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
