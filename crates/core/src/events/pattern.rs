//! Patterns of subjects, with the wildcards of NATS.

use std::str::FromStr;

/// Which subjects are meant: `flagbase.flag.*`, `flagbase.>`. `*` stands for one token, `>` at the end for one or
/// more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub(super) tokens: Vec<Token>,
    pub(super) rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Any,
    Word(Box<str>),
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing between two dots, or nothing at all.
    #[error("has an empty token; write it like `flagbase.flag.*`")]
    EmptyToken,
    /// `>` that is not the last token.
    #[error("has `>` in the middle; it stands for the rest, so it comes last")]
    RestInTheMiddle,
    /// A wildcard as a part of a token, or a blank.
    #[error("has a wildcard or a blank within a token; `*` stands for a whole token")]
    BadToken,
    /// More than 256 characters.
    #[error("is longer than 256 characters; shorten it")]
    TooLong,
}

impl Pattern {
    /// Matches everything.
    pub fn all() -> Self {
        Self { tokens: Vec::new(), rest: true }
    }

    /// Whether one of `subjects` is meant.
    pub fn matches_any(&self, mut subjects: impl Iterator<Item = String>) -> bool {
        subjects.any(|subject| self.matches(&subject))
    }

    /// Whether `subject` is meant.
    pub fn matches(&self, subject: &str) -> bool {
        let mut given = subject.split('.');
        for token in &self.tokens {
            match (token, given.next()) {
                (Token::Any, Some(_)) => {}
                (Token::Word(word), Some(part)) if **word == *part => {}
                _ => return false,
            }
        }
        given.next().is_some() == self.rest
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > 256 {
            return Err(PatternError::TooLong);
        }
        let (head, rest) = match text.strip_suffix('>') {
            Some("") => return Ok(Self::all()),
            Some(head) => (head.strip_suffix('.').ok_or(PatternError::BadToken)?, true),
            None => (text, false),
        };
        let token = |part: &str| match part {
            "" => Err(PatternError::EmptyToken),
            "*" => Ok(Token::Any),
            ">" => Err(PatternError::RestInTheMiddle),
            word if word.contains(['*', '>', ' ', '\t', '\r', '\n']) => Err(PatternError::BadToken),
            word => Ok(Token::Word(word.into())),
        };
        Ok(Self { tokens: head.split('.').map(token).collect::<Result<_, _>>()?, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, subject: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(subject)
    }

    #[test]
    fn wildcards_mean_what_they_mean_in_nats() {
        for (pattern, subject, expected) in [
            ("flagbase.flag.disabled", "flagbase.flag.disabled", true),
            ("flagbase.flag.disabled", "flagbase.flag.enabled", false),
            ("flagbase.flag.*", "flagbase.flag.disabled", true),
            ("flagbase.flag.*", "flagbase.flag", false),
            ("flagbase.flag.*", "flagbase.flag.a.b", false),
            ("flagbase.*.disabled", "flagbase.flag.disabled", true),
            ("flagbase.>", "flagbase.flag.disabled", true),
            ("flagbase.>", "flagbase", false),
            (">", "flagbase", true),
            ("*", "flagbase", true),
            ("*", "flagbase.flag", false),
            ("flagbase", "flagbase.flag", false),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} and {subject}");
        }
    }

    #[test]
    fn patterns_that_make_no_sense_are_refused() {
        for (pattern, error) in [
            ("", PatternError::EmptyToken),
            ("a..b", PatternError::EmptyToken),
            (".>", PatternError::EmptyToken),
            ("a.>.b", PatternError::RestInTheMiddle),
            ("a.b*", PatternError::BadToken),
            ("a>", PatternError::BadToken),
            ("a b", PatternError::BadToken),
            (&"a".repeat(257), PatternError::TooLong),
        ] {
            assert_eq!(pattern.parse::<Pattern>(), Err(error), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_subject_matches_itself_and_itself_with_any_token_left_open(
            tokens in proptest::collection::vec("[a-z0-9_-]{1,8}", 1..6), open in 0_usize..6,
        ) {
            let subject = tokens.join(".");
            proptest::prop_assert!(matches(&subject, &subject));
            let mut wider = tokens.clone();
            let at = open % wider.len();
            wider[at] = "*".to_owned();
            proptest::prop_assert!(matches(&wider.join("."), &subject));
            wider.truncate(at);
            wider.push(">".to_owned());
            proptest::prop_assert!(matches(&wider.join("."), &subject));
            let longer = format!("{subject}.more");
            proptest::prop_assert!(!matches(&subject, &longer));
        }

        #[test]
        fn no_text_makes_the_parser_fail_badly(text in ".{0,40}") {
            let parsed = text.parse::<Pattern>();
            proptest::prop_assert!(parsed.is_err() || !text.is_empty());
        }
    }
}
