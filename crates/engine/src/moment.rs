//! Dates and times as RFC 3339 has them, read without the heap.

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64);

impl Moment {
    /// None when `text` is neither a date (its first moment in UTC) nor an RFC 3339 time with offset.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let mut input = Input(text.trim().as_bytes());
        let days = input.date()?;
        if input.0.is_empty() {
            return Some(Moment(days * 86_400_000_000));
        }
        if !matches!(input.next()?, b'T' | b't' | b' ') {
            return None;
        }
        let micros = input.time()?;
        let offset_minutes = input.offset()?;
        input.0.is_empty().then_some(Moment(days * 86_400_000_000 + micros - offset_minutes * 60_000_000))
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        (0..count).try_fold(0, |number, _| {
            let digit = self.next().filter(u8::is_ascii_digit)? - b'0';
            Some(number * 10 + i64::from(digit))
        })
    }

    /// Days since 1970-01-01.
    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        self.expect(b'-')?;
        let month = self.digits(2)?;
        self.expect(b'-')?;
        let day = self.digits(2)?;
        let last = match month {
            2 if is_leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=last).contains(&day).then(|| days_since_epoch(year, month, day))
    }

    /// Microseconds since midnight.
    fn time(&mut self) -> Option<i64> {
        let hours = self.digits(2)?;
        self.expect(b':')?;
        let minutes = self.digits(2)?;
        self.expect(b':')?;
        let seconds = self.digits(2)?;
        let mut micros = 0;
        if self.0.first() == Some(&b'.') {
            self.next();
            micros = self.fraction()?;
        }
        // A leap second is the last second of its minute.
        let valid = hours < 24 && minutes < 60 && seconds <= 60;
        let seconds = (hours * 60 + minutes) * 60 + seconds.min(59);
        valid.then_some(seconds * 1_000_000 + micros)
    }

    /// Digits behind the point; those beyond microseconds count for nothing.
    fn fraction(&mut self) -> Option<i64> {
        let (mut micros, mut unit, mut any) = (0, 100_000, false);
        while self.0.first().is_some_and(u8::is_ascii_digit) {
            micros += self.digits(1)? * unit;
            unit /= 10;
            any = true;
        }
        any.then_some(micros)
    }

    /// Minutes ahead of UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.next()? {
            b'Z' | b'z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.digits(2)?;
        self.expect(b':')?;
        let minutes = self.digits(2)?;
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Counts from March, so that the leap day is the last of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_what_jiff_says_they_are(seconds in -62_000_000_000_i64..250_000_000_000, micros in 0_i64..1_000_000) {
            let micros = seconds * 1_000_000 + micros;
            let text = jiff::Timestamp::from_microsecond(micros).unwrap().to_string();
            prop_assert_eq!(Moment::parse(&text), Some(Moment(micros)));
        }

        #[test]
        fn dates_are_what_jiff_says_they_are(year in 1_i16..9999, month in 0_i8..14, day in 0_i8..33) {
            let text = format!("{year:04}-{month:02}-{day:02}");
            let theirs = jiff::civil::Date::new(year, month, day).ok().map(|date| {
                date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_microsecond()
            });
            prop_assert_eq!(Moment::parse(&text), theirs.map(Moment));
        }

        #[test]
        fn any_text_is_a_moment_or_is_not(text: String) {
            let _ = Moment::parse(&text);
        }
    }

    #[test]
    fn the_same_moment_can_be_written_with_different_offsets() {
        let utc = Moment::parse("2026-07-01T10:00:00Z").unwrap();
        assert_eq!(Moment::parse("2026-07-01T12:00:00+02:00"), Some(utc));
        assert_eq!(Moment::parse("2026-07-01t04:30:00.000-05:30"), Some(utc));
        assert!(Moment::parse("2026-07-01").unwrap() < utc);
    }

    #[test]
    fn what_is_no_moment_is_not_compared() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-07-01T10:00:00",
            "2026-07-01T25:00:00Z",
            "2026-07-01T10:00:00.Z",
            "2026-07-01T10:00:00Zx",
            "1719828000",
            "2026-07-01T10:00:00+0200",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
