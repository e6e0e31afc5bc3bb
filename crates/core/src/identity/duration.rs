//! How long keys and invitations are good for, as people write it.

use jiff::SignedDuration;

use crate::refusal::Refusal;

/// Reads `30m`, `720h`, `7d`, or a sum of these such as `1h30m`; refuses what is not between a minute and ten years.
pub fn lifetime(text: &str, pointer: &str) -> Result<SignedDuration, Refusal> {
    const MOST: i64 = 10 * 366 * 86_400;
    match seconds(text) {
        Some(seconds @ 60..=MOST) => Ok(SignedDuration::from_secs(seconds)),
        _ => Err(Refusal::fault(
            pointer,
            format!("`{}` is no lifetime; use something like `30m`, `720h` or `90d`", cut(text)),
        )),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(50).collect()
}

fn seconds(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let unit = match tail.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = tail.get(1..)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_people_write_are_read() {
        for (text, seconds) in [("720h", 2_592_000), ("90d", 7_776_000), ("1h30m", 5400), ("60s", 60)] {
            assert_eq!(lifetime(text, "/expires_in").unwrap().as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn nonsense_nothing_and_for_ever_are_refused_with_their_place() {
        for text in [
            "",
            "0s",
            "59s",
            "-5m",
            "h",
            "5",
            "5 h",
            "1.5h",
            "99999d",
            "99999999999999999999h",
            "5µ",
            "9223372036854775807d",
        ] {
            let refusal = lifetime(text, "/expires_in").unwrap_err();
            assert_eq!(refusal.faults[0].pointer, "/expires_in", "{text}");
        }
    }
}
