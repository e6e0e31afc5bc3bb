//! Patterns that can match something: whoever asks for events that cannot be is told, and what is near.

use super::{Pattern, PatternError, pattern::Token, subject::ROOT};
use crate::catalog::Kind;

/// What can happen to things, as subjects say it.
const VERBS: [&str; 19] = [
    "created",
    "updated",
    "enabled",
    "disabled",
    "deleted",
    "revoked",
    "overridden",
    "rotated",
    "test",
    "deployed",
    "promoted",
    "rolled_back",
    "secret_set",
    "secret_deleted",
    "dead_lettered",
    "object_created",
    "object_updated",
    "object_deleted",
    "object_damaged",
];

/// The token that begins the subjects of one environment.
const ENVIRONMENT: &str = "env";

/// A name that is this much like what was written is offered instead.
const ALIKE: f64 = 0.6;

/// How events are named.
const FORMS: &str = "events are `flagbase.<kind>.<verb>`, or `flagbase.env.<environment>.<kind>.<key>.<verb>`; `>` stands for the rest";

impl Pattern {
    /// Reads a pattern of events. Fails, saying what is wrong and what is near, for what is no pattern, and for one
    /// that no event of Flagbase can ever match.
    pub fn of_events(text: &str) -> Result<Self, String> {
        let pattern: Self = text.parse().map_err(|error: PatternError| error.to_string())?;
        pattern.can_match().map_err(|why| format!("can never match: {why}"))?;
        Ok(pattern)
    }

    fn can_match(&self) -> Result<(), String> {
        if let Some(root) = self.word(0).filter(|root| *root != ROOT) {
            return Err(match near(root, [ROOT].into_iter()) {
                Some(_) => format!("there is nothing below `{root}`; did you mean `{ROOT}`?"),
                None => format!(
                    "events of Flagbase begin with `{ROOT}`, and not with `{root}`; use a NATS client for messages of programs"
                ),
            });
        }
        match self.word(1) {
            Some(ENVIRONMENT) => self.scoped(),
            Some(_) => self.short(),
            // `*` may stand for a kind and for `env`.
            None => self.scoped().or_else(|_| self.short()),
        }
    }

    fn short(&self) -> Result<(), String> {
        self.kind(1)?;
        self.fits(3)?;
        self.verb(2)
    }

    fn scoped(&self) -> Result<(), String> {
        self.kind(3)?;
        self.fits(6)?;
        self.verb(5)
    }

    /// Fails when no subject of `length` tokens can be meant.
    fn fits(&self, length: usize) -> Result<(), String> {
        let given = self.tokens.len();
        let fits = if self.rest { given < length } else { given == length };
        fits.then_some(()).ok_or_else(|| FORMS.to_owned())
    }

    fn kind(&self, at: usize) -> Result<(), String> {
        let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
        match self.word(at).filter(|word| kinds.clone().all(|kind| kind != *word)) {
            Some(word) => Err(format!("there is no kind of event `{word}`{}", hint(word, kinds))),
            None => Ok(()),
        }
    }

    fn verb(&self, at: usize) -> Result<(), String> {
        match self.word(at).filter(|word| !VERBS.contains(word)) {
            Some(word) => Err(format!("no event ends with `{word}`{}", hint(word, VERBS.into_iter()))),
            None => Ok(()),
        }
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }
}

/// What to write instead of `word`: the name that is most like it, or else all of them.
fn hint(word: &str, names: impl Iterator<Item = &'static str> + Clone) -> String {
    match near(word, names.clone()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => {
            format!("; known are {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

fn near(word: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let word = word.to_lowercase();
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(&word, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_events_that_are_there_are_taken() {
        for pattern in [
            ">",
            "*.>",
            "*.*.*",
            "flagbase.>",
            "flagbase.*.*",
            "flagbase.*.disabled",
            "flagbase.api_key.created",
            "flagbase.webhook.test",
            "flagbase.function.deployed",
            "flagbase.function.dead_lettered",
            "flagbase.bucket.object_created",
            "flagbase.env.default.function.hello.rolled_back",
            "flagbase.*.orders.>",
            "flagbase.env.>",
            "flagbase.env.a%2Eb.flag.new-checkout.*",
            "flagbase.env.*.*.orders.deleted",
            "flagbase.*.production.>",
        ] {
            Pattern::of_events(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        }
    }

    #[test]
    fn patterns_of_events_that_cannot_be_are_refused_with_what_is_near() {
        for (pattern, word) in [
            ("orders.*", "begin with `flagbase`"),
            ("flagbsae.>", "did you mean `flagbase`?"),
            ("flagbase.flags.*", "no kind of event `flags`; did you mean `flag`?"),
            ("flagbase.orders.*", "known are `environment`, `flag`"),
            ("flagbase.flag.disable", "did you mean `disabled`?"),
            ("flagbase.env.default.flags.>", "did you mean `flag`?"),
            ("flagbase.env.default.flag.a.deletd", "did you mean `deleted`?"),
            ("flagbase.flag.new-checkout.disabled", "`flagbase.env.<environment>.<kind>.<key>.<verb>`"),
            ("flagbase", "`>` stands for the rest"),
            ("flagbase.flag", "`flagbase.<kind>.<verb>`"),
            ("flagbase.flag.*.*", "`flagbase.<kind>.<verb>`"),
            ("flagbase.env.default", "`>` stands for the rest"),
            ("flagbase.*.disable", "did you mean `disabled`?"),
            ("a..b", "empty token"),
        ] {
            let error = Pattern::of_events(pattern).unwrap_err();
            assert!(error.contains(word), "{pattern}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_that_matches_an_event_is_never_refused(
            kind in 0..Kind::ALL.len(), verb in 0..VERBS.len(), key in "[a-z0-9_-]{1,8}", scoped: bool,
            open in proptest::collection::vec(proptest::bool::ANY, 6), cut in 1_usize..9,
        ) {
            let (kind, verb) = (Kind::ALL[kind].as_str(), VERBS[verb]);
            let subject = if scoped {
                format!("flagbase.env.default.{kind}.{key}.{verb}")
            } else {
                format!("flagbase.{kind}.{verb}")
            };
            let tokens = subject.split('.').zip(&open).map(|(token, open)| if *open { "*" } else { token });
            let mut tokens: Vec<_> = tokens.collect();
            if cut < tokens.len() {
                tokens.truncate(cut);
                tokens.push(">");
            }
            let text = tokens.join(".");
            let read = Pattern::of_events(&text);
            proptest::prop_assert!(read.is_ok_and(|pattern| pattern.matches(&subject)), "{text}");
        }
    }
}
