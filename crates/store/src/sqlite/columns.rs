//! Between columns and the ports' values.

use flagbase_core::catalog::{Kind, Revision};
use jiff::Timestamp;
use rusqlite::{Row, RowIndex};
use serde::{Serialize, de::DeserializeOwned};

use super::fault::Fault;

/// A time as nanoseconds since the epoch. Times outside 1677–2262 become the nearest one inside.
pub(crate) fn nanos(at: Timestamp) -> i64 {
    let nanos = at.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// The time in a column.
pub(crate) fn time(row: &Row<'_>, index: impl RowIndex) -> Result<Timestamp, Fault> {
    timestamp(row.get(index)?)
}

/// The time in a column that may be null.
pub(crate) fn maybe_time(row: &Row<'_>, index: impl RowIndex) -> Result<Option<Timestamp>, Fault> {
    row.get::<_, Option<i64>>(index)?.map(timestamp).transpose()
}

fn timestamp(nanos: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_nanosecond(nanos.into()).map_err(|error| Fault::Corrupt(error.to_string()))
}

/// The JSON in a text column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, index: impl RowIndex) -> Result<T, Fault> {
    Ok(serde_json::from_str(row.get_ref(index)?.as_str().map_err(rusqlite::Error::from)?)?)
}

/// The JSON in a text column that may be null.
pub(crate) fn maybe_json<T: DeserializeOwned>(
    row: &Row<'_>,
    index: impl RowIndex,
) -> Result<Option<T>, Fault> {
    let text = row.get_ref(index)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(text.map(serde_json::from_str).transpose()?)
}

/// A value as JSON text.
pub(crate) fn text(value: &impl Serialize) -> Result<String, Fault> {
    Ok(serde_json::to_string(value)?)
}

/// A counter as SQLite keeps it (63 bits; more is clamped).
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A counter read back.
pub(crate) fn count(row: &Row<'_>, index: impl RowIndex) -> Result<u64, Fault> {
    let count: i64 = row.get(index)?;
    u64::try_from(count).map_err(|_| Fault::Corrupt(format!("a count of {count}")))
}

/// A revision read back.
pub(crate) fn revision(row: &Row<'_>, index: impl RowIndex) -> Result<Revision, Fault> {
    count(row, index)
}

/// The kind in a text column.
pub(crate) fn kind(row: &Row<'_>, index: impl RowIndex) -> Result<Kind, Fault> {
    let word = row.get_ref(index)?.as_str().map_err(rusqlite::Error::from)?;
    word.parse().map_err(Fault::Corrupt)
}

/// A text as it is compared where case does not matter.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}

/// The first text, in the order of bytes, after all that begin with `prefix`; `None` when there is none.
pub(crate) fn beyond(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // A step of a range of characters passes over what is no character.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn times_far_outside_are_kept_as_the_nearest_one() {
        assert_eq!(nanos(Timestamp::MAX), i64::MAX);
        assert_eq!(nanos(Timestamp::MIN), i64::MIN);
    }

    #[test]
    fn a_negative_count_and_a_broken_body_are_corrupt() {
        let connection = Connection::open_in_memory().unwrap();
        let corrupt = connection
            .query_row("SELECT -1, '{'", [], |row| Ok((count(row, 0), super::json::<Value>(row, 1))));
        let (count, body) = corrupt.unwrap();
        assert!(matches!(count, Err(Fault::Corrupt(_))));
        assert!(matches!(body, Err(Fault::Corrupt(_))));
    }

    #[test]
    fn beyond_a_prefix_is_the_next_text_that_does_not_begin_with_it() {
        for (prefix, expected) in [
            ("", None),
            ("a", Some("b")),
            ("a/", Some("a0")),
            ("\u{10ffff}", None),
            ("a\u{10ffff}", Some("b")),
            ("\u{d7ff}", Some("\u{e000}")),
        ] {
            assert_eq!(beyond(prefix).as_deref(), expected, "{prefix:?}");
        }
    }

    proptest! {
        #[test]
        fn what_begins_with_a_prefix_is_between_it_and_beyond_it(prefix: String, rest: String, other: String) {
            let inside = |text: &str| *text >= *prefix && beyond(&prefix).is_none_or(|end| *text < *end);
            let longer = format!("{prefix}{rest}");
            prop_assert!(inside(&longer));
            prop_assert_eq!(inside(&other), other.starts_with(&prefix));
        }

        #[test]
        fn every_time_reads_back_to_the_nanosecond(nanos_in: i64) {
            let connection = Connection::open_in_memory().unwrap();
            let at = Timestamp::from_nanosecond(nanos_in.into()).unwrap();
            let back = connection
                .query_row("SELECT ?1", [nanos(at)], |row| Ok(time(row, 0)))
                .unwrap();
            prop_assert_eq!(back.unwrap(), at);
        }

        #[test]
        fn every_number_and_string_reads_back_as_it_was(number in proptest::num::f64::NORMAL, word: String) {
            let connection = Connection::open_in_memory().unwrap();
            let value = json!({ "number": number, "word": word });
            let back = connection
                .query_row("SELECT ?1", [text(&value).unwrap()], |row| Ok(super::json::<Value>(row, 0)))
                .unwrap();
            prop_assert_eq!(back.unwrap(), value);
        }
    }
}
