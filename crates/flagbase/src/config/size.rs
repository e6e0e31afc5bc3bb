//! Sizes in bytes as people write them: `1MiB`, `64KiB`, `10MB`, or a bare number of bytes.

use std::fmt;

use serde::Deserializer;
use serde::de::{self, Visitor};

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a size; `None` when the text is not one, or does not fit.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// For serde: text with a unit, or a number of bytes.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    source.deserialize_any(SizeVisitor)
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as `512KiB`, `1MiB` or `10MB`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_decimal_units_are_told_apart() {
        assert_eq!(parse("1MiB"), Some(1_048_576));
        assert_eq!(parse("1MB"), Some(1_000_000));
        assert_eq!(parse("64 kib"), Some(65_536));
        assert_eq!(parse("17"), Some(17));
    }

    #[test]
    fn nonsense_and_overflow_are_refused() {
        for text in ["", "MiB", "1XB", "-1", "99999999999999GiB", "1.5MiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
