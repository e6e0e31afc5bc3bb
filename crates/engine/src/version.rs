//! Versions, read leniently: `v1`, `1.2` and `1.2.3-rc.1+build` are all fine.

use std::cmp::Ordering;

/// A version as borrowed from an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version<'a> {
    numbers: [u64; 3],
    pre: &'a str,
}

/// A version as kept by a condition.
#[derive(Debug, Clone)]
pub(crate) struct OwnedVersion {
    numbers: [u64; 3],
    pre: Box<str>,
    /// As it was given.
    pub(crate) source: Box<str>,
}

impl<'a> Version<'a> {
    /// None when `text` is not a version: one to three numbers, `-` and a pre-release, `+` and build metadata.
    pub(crate) fn parse(text: &'a str) -> Option<Version<'a>> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (text, build) = text.split_once('+').unwrap_or((text, "0"));
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for (index, number) in numbers.iter_mut().enumerate() {
            match parts.next() {
                Some(part) => *number = number_of(part)?,
                None if index > 0 => break,
                None => return None,
            }
        }
        let whole = parts.next().is_none() && are_identifiers(build);
        let valid = whole && pre.is_none_or(are_identifiers);
        valid.then_some(Version { numbers, pre: pre.unwrap_or("") })
    }

    /// How this version is ordered against a condition's.
    pub(crate) fn compare(self, other: &OwnedVersion) -> Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        numbers.then_with(|| compare_pre(self.pre, &other.pre))
    }

    pub(crate) fn to_owned(self, source: &str) -> OwnedVersion {
        OwnedVersion { numbers: self.numbers, pre: self.pre.into(), source: source.into() }
    }
}

fn number_of(part: &str) -> Option<u64> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits { part.parse().ok() } else { None }
}

fn are_identifiers(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

/// A version without a pre-release comes after all with one.
fn compare_pre(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (Some(left), Some(right)) => compare_identifiers(left, right),
            (None, None) => return Ordering::Equal,
            (left, right) => left.is_some().cmp(&right.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Numbers by size and before words; words by their bytes.
fn compare_identifiers(left: &str, right: &str) -> Ordering {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number(left), is_number(right)) {
        (true, true) => {
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        }
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(left: &str, right: &str) -> Ordering {
        let right = Version::parse(right).unwrap().to_owned(right);
        Version::parse(left).unwrap().compare(&right)
    }

    proptest! {
        #[test]
        fn strict_versions_are_ordered_as_the_semver_crate_orders_them(
            left in "(0|[1-9][0-9]?)\\.[0-2]\\.[0-2](-(a|b|rc\\.1|rc\\.10|2|10|a-b)(\\.(x|7))?)?",
            right in "(0|[1-9][0-9]?)\\.[0-2]\\.[0-2](-(a|b|rc\\.1|rc\\.10|2|10|a-b)(\\.(x|7))?)?(\\+x)?",
        ) {
            let theirs = semver::Version::parse(&left).unwrap()
                .cmp_precedence(&semver::Version::parse(&right).unwrap());
            prop_assert_eq!(compare(&left, &right), theirs);
        }

        #[test]
        fn any_text_is_a_version_or_is_not(text: String) {
            let _ = Version::parse(&text);
        }
    }

    #[test]
    fn people_write_versions_in_many_ways() {
        assert_eq!(compare("v2", "2.0.0"), Ordering::Equal);
        assert_eq!(compare(" 2.1 ", "2.1.0+build.7"), Ordering::Equal);
        assert_eq!(compare("2.10", "2.9"), Ordering::Greater);
        assert_eq!(compare("2.0.0-rc.1", "2"), Ordering::Less);
    }

    #[test]
    fn what_is_no_version_is_not_compared() {
        for text in
            ["", "v", "1.", "1.2.3.4", "x.1", "1.-2", "1-", "1+", "1.2-ä", "-1", "99999999999999999999"]
        {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
