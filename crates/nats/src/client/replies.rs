//! Subjects that a client may publish to because it was asked to answer there.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::Responses;

/// So many open questions are remembered; then those that have expired are forgotten, or else all.
const MOST: usize = 4096;

/// Subjects that a client may publish to because it was asked to answer there.
pub(super) struct Replies {
    responses: Responses,
    open: HashMap<Box<[u8]>, Open, foldhash::fast::RandomState>,
}

struct Open {
    left: usize,
    since: Instant,
}

impl Replies {
    pub(super) fn new(responses: Responses) -> Self {
        Self { responses, open: HashMap::default() }
    }

    pub(super) fn expect(&mut self, subject: &[u8]) {
        let expires_after = self.responses.expires_after;
        if self.open.len() >= MOST {
            self.open.retain(|_, open| open.holds(expires_after));
        }
        if self.open.len() >= MOST {
            self.open.clear();
        }
        self.open.insert(subject.into(), Open { left: self.responses.max, since: Instant::now() });
    }

    pub(super) fn take(&mut self, subject: &[u8]) -> bool {
        let Some(open) = self.open.get_mut(subject) else { return false };
        let holds = open.holds(self.responses.expires_after) && open.left > 0;
        open.left = open.left.saturating_sub(1);
        if !holds || open.left == 0 {
            self.open.remove(subject);
        }
        holds
    }
}

impl Open {
    fn holds(&self, expires_after: Duration) -> bool {
        self.since.elapsed() <= expires_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_may_be_answered_as_often_as_permitted() {
        let mut replies = Replies::new(Responses { max: 2, expires_after: Duration::from_mins(1) });
        replies.expect(b"inbox");
        assert_eq!([b"inbox"; 3].map(|subject| replies.take(subject)), [true, true, false]);
        assert!(!replies.take(b"other"));
    }

    #[test]
    fn a_question_expires() {
        let mut replies = Replies::new(Responses { max: 2, expires_after: Duration::ZERO });
        replies.expect(b"inbox");
        while replies.open.get(&b"inbox"[..]).is_some_and(|open| open.since.elapsed().is_zero()) {}
        assert!(!replies.take(b"inbox"));
    }

    #[test]
    fn open_questions_are_bounded() {
        let mut replies = Replies::new(Responses::default());
        (0..=MOST).for_each(|number| replies.expect(&number.to_be_bytes()));
        assert!(replies.open.len() <= MOST);
    }
}
