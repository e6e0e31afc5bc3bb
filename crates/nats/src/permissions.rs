//! What a client may publish and subscribe to.

use std::time::Duration;

use crate::subject;

/// What a client may publish and subscribe to. The default permits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects it may publish to.
    pub publish: Rules,
    /// Patterns it may subscribe to; `pattern queue` narrows a rule to members of queue groups, which may have wildcards.
    pub subscribe: Rules,
    /// Whether it may answer what it was sent, beyond `publish`.
    pub responses: Option<Responses>,
}

/// What is permitted. A denial is stronger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Patterns that are permitted; `None` permits everything.
    pub allow: Option<Vec<String>>,
    /// Patterns that are not.
    pub deny: Vec<String>,
}

/// How a client may answer: to the reply subject of a message it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responses {
    /// How many answers per message.
    pub max: usize,
    /// How long after the message.
    pub expires_after: Duration,
}

impl Default for Responses {
    fn default() -> Self {
        Self { max: 1, expires_after: Duration::from_mins(2) }
    }
}

impl Permissions {
    /// Whether it may publish to a literal subject.
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        self.publish.permits(|rule| subject::covers(rule.as_bytes(), subject))
    }

    /// Whether it may subscribe to a pattern, as a member of a queue group or not.
    pub fn may_subscribe(&self, pattern: &[u8], queue: Option<&[u8]>) -> bool {
        let allowed = self.subscribe.allow.as_ref().is_none_or(|allow| {
            allow.iter().map(|rule| QueueRule::new(rule)).any(|rule| rule.allows(pattern, queue))
        });
        allowed
            && !self
                .subscribe
                .deny
                .iter()
                .map(|rule| QueueRule::new(rule))
                .any(|rule| rule.denies(pattern, queue))
    }

    /// The denials that hold for some subjects of a pattern, not for all of them.
    pub(crate) fn denied_within(&self, pattern: &[u8]) -> Vec<Box<[u8]>> {
        let rules = self.subscribe.deny.iter().map(|rule| QueueRule::new(rule));
        rules
            .filter(|rule| rule.queue.is_none() && subject::overlap(rule.pattern, pattern))
            .map(|rule| rule.pattern.into())
            .collect()
    }
}

impl Rules {
    /// Permits these patterns only.
    pub fn only<I: IntoIterator<Item: Into<String>>>(patterns: I) -> Self {
        Self { allow: Some(patterns.into_iter().map(Into::into).collect()), deny: Vec::new() }
    }

    /// Permits everything but these patterns.
    pub fn except<I: IntoIterator<Item: Into<String>>>(patterns: I) -> Self {
        Self { allow: None, deny: patterns.into_iter().map(Into::into).collect() }
    }

    fn permits(&self, matches: impl Fn(&String) -> bool) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(&matches)) && !self.deny.iter().any(&matches)
    }
}

struct QueueRule<'a> {
    pattern: &'a [u8],
    queue: Option<&'a [u8]>,
}

impl<'a> QueueRule<'a> {
    fn new(rule: &'a str) -> Self {
        let (pattern, queue) =
            rule.split_once(' ').map_or((rule, None), |(pattern, queue)| (pattern, Some(queue)));
        Self { pattern: pattern.as_bytes(), queue: queue.map(str::trim).map(str::as_bytes) }
    }

    /// A rule without a queue allows subscriptions with any queue and without.
    fn allows(&self, pattern: &[u8], queue: Option<&[u8]>) -> bool {
        subject::covers(self.pattern, pattern)
            && self.queue.is_none_or(|rule| queue.is_some_and(|queue| subject::covers(rule, queue)))
    }

    fn denies(&self, pattern: &[u8], queue: Option<&[u8]>) -> bool {
        self.allows(pattern, queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rules_everything_is_permitted() {
        let all = Permissions::default();
        assert!(all.may_publish(b"a") && all.may_subscribe(b">", Some(b"q")));
    }

    #[test]
    fn an_empty_list_permits_nothing() {
        let none = Permissions { publish: Rules::only([""; 0]), ..Permissions::default() };
        assert!(!none.may_publish(b"a"));
    }

    #[test]
    fn a_denial_is_stronger() {
        let rules = Rules { allow: Some(vec!["a.>".into()]), deny: vec!["a.b".into()] };
        let mine = Permissions { publish: rules.clone(), subscribe: rules, responses: None };
        assert!(mine.may_publish(b"a.c") && !mine.may_publish(b"a.b") && !mine.may_publish(b"b"));
        assert!(mine.may_subscribe(b"a.*", None) && !mine.may_subscribe(b"a.b", None));
        assert!(!mine.may_subscribe(b">", None));
        assert_eq!(mine.denied_within(b"a.*"), [Box::from(&b"a.b"[..])]);
        assert_eq!(mine.denied_within(b"a.c").len(), 0);
    }

    #[test]
    fn a_rule_with_a_queue_is_for_its_members() {
        let mine = Permissions {
            subscribe: Rules { allow: Some(vec!["a v1.*".into(), "b".into()]), deny: vec!["b bad".into()] },
            ..Permissions::default()
        };
        assert!(mine.may_subscribe(b"a", Some(b"v1.x")));
        assert!(!mine.may_subscribe(b"a", Some(b"v2")) && !mine.may_subscribe(b"a", None));
        assert!(mine.may_subscribe(b"b", None) && !mine.may_subscribe(b"b", Some(b"bad")));
    }
}
