//! Sizes and times as people write them.

use indicatif::DecimalBytes;

use crate::exit::{Failure, Outcome};

/// A number of bytes as people write it: `1000`, `10MiB`, `5GB`.
pub(super) fn size(text: &str) -> Outcome<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        _ => 0,
    };
    let bytes = digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    bytes.filter(|_| unit > 0).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a number of bytes")).hint("write it like `10GiB` or `500000`")
    })
}

/// A time as people write it: `90s`, `30m`, `12h`, `7d`.
pub(super) fn seconds(text: &str) -> Outcome<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => 0,
    };
    let seconds =
        digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).filter(|count| *count > 0);
    seconds.ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a time")).hint("write it like `30m`, `12h` or `7d`")
    })
}

/// A number of bytes as people read it: `3.20 GB`.
pub(super) fn bytes(count: u64) -> String {
    DecimalBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("0", 0), ("1000", 1000), ("10MiB", 10 << 20), ("5gb", 5_000_000_000), ("2k", 2048)]
        {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "many", "1.5GB", "-1", "1XB", "99999999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604_800)] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for text in ["", "0", "1w", "-1h", "1.5h", "h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_told_in_powers_of_ten() {
        assert_eq!(bytes(3_200_000_000), "3.20 GB");
        assert_eq!(bytes(7), "7 B");
    }
}
