//! Time of day and randomness. The crate stands alone, so this is the one place where it asks the system.

use std::time::SystemTime;

/// Now, for people to read. Deadlines use `Instant`.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for the time of day")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Random bytes. Falls back to the address space layout when the system has none, which no supported system does.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the system has no random numbers");
    }
    bytes
}

/// An identifier of `len` upper-case letters and digits.
pub(crate) fn identifier(first: char, len: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = random::<64>();
    let rest =
        random.iter().take(len.saturating_sub(1)).filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
    std::iter::once(first).chain(rest.map(|byte| char::from(*byte))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_length_and_differ() {
        let (one, two) = (identifier('N', 56), identifier('N', 56));
        assert_eq!((one.len(), one.starts_with('N')), (56, true));
        assert_ne!(one, two);
    }
}
