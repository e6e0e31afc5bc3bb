//! Subjects: tokens separated by dots. In a pattern, `*` stands for one token and a last `>` for one or more.

/// Whether messages can be published to it: no empty token, no wildcard.
pub(crate) fn is_literal(subject: &[u8]) -> bool {
    !subject.is_empty() && tokens(subject).all(|token| !matches!(token, b"" | b"*" | b">"))
}

/// Whether it can be subscribed to: no empty token, `>` only at the end.
pub(crate) fn is_pattern(subject: &[u8]) -> bool {
    let mut tokens = tokens(subject).peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() || (token == b">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Whether it holds a wildcard.
pub(crate) fn has_wildcard(subject: &[u8]) -> bool {
    tokens(subject).any(|token| matches!(token, b"*" | b">"))
}

/// Whether every subject that `inner` matches is matched by `outer`. With a literal `inner`: whether `outer` matches it.
pub(crate) fn covers(outer: &[u8], inner: &[u8]) -> bool {
    let (mut outer, mut inner) = (tokens(outer), tokens(inner));
    loop {
        match (outer.next(), inner.next()) {
            (Some(b">"), Some(_)) | (None, None) => return true,
            (Some(b"*"), Some(token)) if token != b">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Whether there is a subject that both patterns match.
pub(crate) fn overlap(one: &[u8], other: &[u8]) -> bool {
    let (mut one, mut other) = (tokens(one), tokens(other));
    loop {
        match (one.next(), other.next()) {
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) | (None, None) => return true,
            (Some(b"*"), Some(_)) | (Some(_), Some(b"*")) => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// The tokens of a subject.
pub(crate) fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|byte| *byte == b'.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subject_has_no_empty_token_and_no_wildcard() {
        assert!([&b"a"[..], b"a.b", b"fo*o", b"a.b>", "ü.x".as_bytes()].into_iter().all(is_literal));
        assert!(![&b""[..], b".", b"a.", b".a", b"a..b", b"*", b"a.>", b">"].into_iter().any(is_literal));
    }

    #[test]
    fn a_pattern_ends_with_what_matches_the_rest() {
        assert!([&b">"[..], b"a.*", b"*.*", b"a.>", b"a>", b"a.b"].into_iter().all(is_pattern));
        assert!(![&b""[..], b">.a", b"a.>.b", b"a..>"].into_iter().any(is_pattern));
    }

    #[test]
    fn a_pattern_covers_what_is_narrower() {
        let yes = [("a.>", "a.b.c"), ("a.*", "a.*"), (">", "a.>"), ("a.>", "a.*.>"), ("a.*", "a.b")];
        let no = [("a.*", "a.>"), ("a.b", "a.*"), ("a.>", "a"), ("*", "a.b"), ("a.>", ">")];
        assert!(yes.iter().all(|(outer, inner)| covers(outer.as_bytes(), inner.as_bytes())));
        assert!(!no.iter().any(|(outer, inner)| covers(outer.as_bytes(), inner.as_bytes())));
    }

    #[test]
    fn patterns_overlap_when_one_subject_matches_both() {
        assert!(overlap(b"a.*", b"*.b") && overlap(b"a.>", b"*.b.c") && overlap(b">", b"x"));
        assert!(!overlap(b"a.*", b"b.*") && !overlap(b"a.*", b"a.b.c") && !overlap(b"a.>", b"a"));
    }

    fn pattern() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("*")];
        (prop::collection::vec(token, 1..4), any::<bool>())
            .prop_map(|(tokens, rest)| tokens.join(".") + if rest { ".>" } else { "" })
    }

    proptest! {
        #[test]
        fn what_covers_also_overlaps_and_matches_every_literal(
            outer in pattern(),
            inner in pattern(),
            subject in prop::collection::vec(prop_oneof![Just("a"), Just("b")], 1..6),
        ) {
            let subject = subject.join(".");
            let (outer, inner, subject) = (outer.as_bytes(), inner.as_bytes(), subject.as_bytes());
            if covers(outer, inner) {
                prop_assert!(overlap(outer, inner));
                prop_assert!(!covers(inner, subject) || covers(outer, subject));
            }
            prop_assert_eq!(overlap(outer, inner), overlap(inner, outer));
            if covers(outer, subject) && covers(inner, subject) {
                prop_assert!(overlap(outer, inner));
            }
        }
    }
}
