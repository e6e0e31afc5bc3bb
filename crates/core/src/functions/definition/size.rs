//! Sizes in settings of functions: `128MiB`, `64KiB`, `1GiB`, `1000`.

/// Units by name, the largest first.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// Reads `128MiB`, `10MB` or a number of bytes.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*factor)
}

/// Writes what [`parse`] reads, in the largest unit that is exact.
pub(super) fn show(bytes: u64) -> String {
    let exact = UNITS.iter().take(3).find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    match exact {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_the_usual_units() {
        for (text, bytes) in [
            ("128MiB", 128 << 20),
            ("64kib", 64 << 10),
            ("1 GiB", 1 << 30),
            ("10MB", 10_000_000),
            ("7", 7),
            ("7B", 7),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1MiB", "1.5MiB", "1TiB", "99999999999999999999B", "99999999999GiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_size_reads_back_as_it_was_written(bytes: u64, shift in 0_u32..40) {
            let bytes = (bytes >> 34) << shift;
            proptest::prop_assert_eq!(parse(&show(bytes)), Some(bytes));
        }
    }
}
