//! Comparing texts regardless of case without copying them.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::Value;
use crate::bucket::Murmur;

/// The characters of `text` with case taken away; final sigma counts as sigma. The Kelvin sign and the dotted capital I
/// stay themselves, so that no other script folds into ASCII: what is expected in ASCII need only be compared with
/// ASCII, and no look-alike passes for it.
fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(|c| {
        let kept = matches!(c, '\u{212a}' | '\u{130}');
        let lower = (!kept).then(|| c.to_lowercase()).into_iter().flatten();
        lower.chain(kept.then_some(c)).map(|c| if c == 'ς' { 'σ' } else { c })
    })
}

/// Whether both are the same regardless of case, when `expected` is ASCII.
#[inline]
pub(crate) fn equals_ascii(actual: &str, expected: &str) -> bool {
    actual.len() == expected.len() && actual.eq_ignore_ascii_case(expected)
}

/// Whether both are the same regardless of case.
#[inline]
pub(crate) fn equals(actual: &str, expected: &str) -> bool {
    equals_ascii(actual, expected) || (!expected.is_ascii() && folded(actual).eq(folded(expected)))
}

/// Whether `actual` begins with `expected` regardless of case.
pub(crate) fn starts_with(actual: &str, expected: &str) -> bool {
    if expected.is_ascii() {
        let head = actual.as_bytes().get(..expected.len());
        return head.is_some_and(|head| head.eq_ignore_ascii_case(expected.as_bytes()));
    }
    begins(folded(actual), expected)
}

/// Whether `actual` ends with `expected` regardless of case.
pub(crate) fn ends_with(actual: &str, expected: &str) -> bool {
    if expected.is_ascii() {
        let start = actual.len().checked_sub(expected.len());
        let tail = start.and_then(|start| actual.as_bytes().get(start..));
        return tail.is_some_and(|tail| tail.eq_ignore_ascii_case(expected.as_bytes()));
    }
    let length = folded(expected).count();
    let Some(skipped) = folded(actual).count().checked_sub(length) else {
        return false;
    };
    folded(actual).skip(skipped).eq(folded(expected))
}

/// Whether `expected` occurs in `actual` regardless of case.
pub(crate) fn contains(actual: &str, expected: &str) -> bool {
    let Some(first) = expected.as_bytes().first() else {
        return true;
    };
    if expected.is_ascii() {
        let expected = expected.as_bytes();
        return actual.as_bytes().windows(expected.len()).any(|part| {
            part.first().is_some_and(|byte| byte.eq_ignore_ascii_case(first))
                && part.eq_ignore_ascii_case(expected)
        });
    }
    let length = folded(actual).count();
    (0..length).any(|skipped| begins(folded(actual).skip(skipped), expected))
}

fn begins(mut actual: impl Iterator<Item = char>, expected: &str) -> bool {
    folded(expected).all(|c| actual.next() == Some(c))
}

/// A set of texts, looked up regardless of case.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextSet {
    /// Few are compared one by one, which is faster than hashing.
    few: Box<[Arc<str>]>,
    many: HashTable<Arc<str>>,
}

/// Up to how many comparisons are cheaper than one hash.
const FEW: usize = 6;

impl TextSet {
    /// The set of these texts; of those that differ only in case, the first.
    pub(crate) fn new(texts: Vec<Arc<str>>) -> TextSet {
        if texts.len() <= FEW {
            return TextSet { few: texts.into(), many: HashTable::new() };
        }
        let mut many: HashTable<Arc<str>> = HashTable::with_capacity(texts.len());
        for text in texts {
            let hash = hash(&text);
            if many.find(hash, |known| equals(&text, known)).is_none() {
                many.insert_unique(hash, text, |text| self::hash(text));
            }
        }
        TextSet { few: Box::default(), many }
    }

    #[inline]
    pub(crate) fn contains(&self, text: &str) -> bool {
        if self.many.is_empty() {
            return self.few.iter().any(|known| equals(text, known));
        }
        self.many.find(hash(text), |known| equals(text, known)).is_some()
    }

    /// Whether it holds the value, or any of several.
    #[inline]
    pub(crate) fn matches(&self, value: Value<'_>) -> bool {
        match value {
            Value::Str(text) => self.contains(text),
            Value::Number(number) => self.contains(NumberText::new(number).as_str()),
            Value::Bool(truth) => self.contains(if truth { "true" } else { "false" }),
            Value::List(items) => items.iter().any(|item| self.contains(item)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// All texts, the few in the order given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.few.iter().chain(self.many.iter())
    }
}

/// The same for texts that differ only in case.
fn hash(text: &str) -> u64 {
    let mut murmur = Murmur::new(0);
    if text.is_ascii() {
        let mut buffer = [0; 64];
        for chunk in text.as_bytes().chunks(buffer.len()) {
            let Some(part) = buffer.get_mut(..chunk.len()) else {
                continue;
            };
            part.copy_from_slice(chunk);
            part.make_ascii_lowercase();
            murmur.update(part);
        }
    } else {
        let mut buffer = [0; 4];
        folded(text).for_each(|c| murmur.update(c.encode_utf8(&mut buffer).as_bytes()));
    }
    // The table looks at the upper bits, too.
    u64::from(murmur.finish()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The text of a number, without the heap.
pub(crate) struct NumberText {
    bytes: [u8; NumberText::LONGEST],
    length: usize,
}

impl NumberText {
    /// No finite `f64` is displayed longer: sign, `0.`, 323 zeros and 17 digits.
    const LONGEST: usize = 344;

    pub(crate) fn new(number: f64) -> NumberText {
        let mut text = NumberText { bytes: [0; NumberText::LONGEST], length: 0 };
        // Too long a text would be cut, and there is none.
        let _ = fmt::write(&mut text, format_args!("{number}"));
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(written).unwrap_or_default()
    }
}

impl fmt::Write for NumberText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fold(text: &str) -> String {
        folded(text).collect()
    }

    proptest! {
        #[test]
        fn comparing_is_what_comparing_folded_copies_would_be(
            actual in "[a-cA-CäÄßςΣİ]{0,8}", expected in "[a-cA-CäÄßςΣİ]{0,3}",
        ) {
            let (left, right) = (fold(&actual), fold(&expected));
            prop_assert_eq!(equals(&actual, &expected), left == right);
            prop_assert_eq!(contains(&actual, &expected), left.contains(&right));
            prop_assert_eq!(starts_with(&actual, &expected), left.starts_with(&right));
            prop_assert_eq!(ends_with(&actual, &expected), left.ends_with(&right));
        }

        #[test]
        fn a_set_finds_each_of_its_texts_in_any_case(texts in prop::collection::vec("[a-zäöü]{1,80}", 1..40)) {
            let set = TextSet::new(texts.iter().map(|text| text.as_str().into()).collect());
            for text in &texts {
                prop_assert!(set.contains(text));
                prop_assert!(set.contains(&text.to_uppercase()));
            }
            prop_assert!(!set.contains("0"));
        }

        #[test]
        fn any_finite_number_has_a_text(number in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            let text = NumberText::new(number);
            prop_assert_eq!(text.as_str(), number.to_string());
        }
    }

    #[test]
    fn case_is_ignored_in_every_script_but_letters_stay_different() {
        assert!(equals("DEVELOPER", "developer"));
        assert!(equals("STRASSE", "strasse") && !equals("STRASSE", "straße"));
        assert!(equals("ΟΔΟΣ", "οδος") && equals("ÄRZTE", "ärzte"));
        assert!(!equals("admın", "admin"));
        assert!(contains("Größe XL", "GRÖSSE") == "größe".contains("grösse"));
    }

    #[test]
    fn no_other_script_folds_into_ascii() {
        let others = ('\u{80}'..=char::MAX)
            .filter(|c| folded(c.encode_utf8(&mut [0; 4])).any(|folded| folded.is_ascii()));
        assert_eq!(others.collect::<String>(), "");
        assert!(!equals("\u{212a}ing", "king") && !contains("\u{130}", "i"));
    }

    #[test]
    fn the_smallest_number_has_the_longest_text() {
        assert_eq!(NumberText::new(-f64::from_bits(1)).as_str(), (-f64::from_bits(1)).to_string());
        assert_eq!(NumberText::new(42.0).as_str(), "42");
    }

    #[test]
    fn sets_drop_what_differs_only_in_case() {
        let texts = ["a", "b", "c", "d", "e", "f", "g", "A", "B"];
        let set = TextSet::new(texts.map(Into::into).to_vec());
        assert_eq!(set.len(), 7);
    }
}
