//! All subscriptions by subject: one level of nodes per token.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::{subject, subscription::Sub};

/// All subscriptions.
#[derive(Default)]
pub(crate) struct Trie {
    root: Node,
    count: usize,
}

/// Subscriptions that match one subject.
#[derive(Default)]
pub(crate) struct Matches {
    /// Those outside of groups; each gets the message.
    pub(crate) plain: Vec<Arc<Sub>>,
    /// Groups; one member of each gets it.
    pub(crate) queues: Vec<Vec<Arc<Sub>>>,
}

#[derive(Default)]
struct Node {
    here: Leaf,
    /// What `>` at this place has.
    rest: Leaf,
    any: Option<Box<Node>>,
    named: HashMap<Box<[u8]>, Node, foldhash::fast::RandomState>,
}

#[derive(Default)]
struct Leaf {
    plain: Vec<Arc<Sub>>,
    queues: Vec<Vec<Arc<Sub>>>,
}

impl Trie {
    /// How many subscriptions there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a subscription under its own pattern.
    pub(crate) fn insert(&mut self, sub: &Arc<Sub>) {
        let mut node = &mut self.root;
        for token in subject::tokens(&sub.subject) {
            node = match token {
                b">" => {
                    node.rest.insert(sub);
                    self.count += 1;
                    return;
                }
                b"*" => node.any.get_or_insert_default(),
                _ => node.named.entry(token.into()).or_default(),
            };
        }
        node.here.insert(sub);
        self.count += 1;
    }

    /// Takes a subscription out. Whether it was there.
    pub(crate) fn remove(&mut self, sub: &Arc<Sub>) -> bool {
        let removed = self.root.remove(&mut subject::tokens(&sub.subject), sub);
        self.count -= usize::from(removed);
        removed
    }

    /// All that match a literal subject. One with an empty token matches nothing.
    pub(crate) fn matches(&self, subject: &[u8]) -> Matches {
        let mut found = Matches::default();
        if subject::tokens(subject).all(|token| !token.is_empty()) {
            self.root.collect(subject, &mut found);
        }
        found
    }
}

impl Node {
    fn remove<'a>(&mut self, tokens: &mut impl Iterator<Item = &'a [u8]>, sub: &Arc<Sub>) -> bool {
        match tokens.next() {
            None => self.here.remove(sub),
            Some(b">") => self.rest.remove(sub),
            Some(b"*") => {
                let removed = self.any.as_mut().is_some_and(|node| node.remove(tokens, sub));
                self.any.take_if(|node| node.is_empty());
                removed
            }
            Some(token) => {
                let Some(node) = self.named.get_mut(token) else { return false };
                let removed = node.remove(tokens, sub);
                if node.is_empty() {
                    self.named.remove(token);
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.any.is_none() && self.named.is_empty()
    }

    fn collect(&self, subject: &[u8], found: &mut Matches) {
        let (token, left) = match memchr::memchr(b'.', subject) {
            Some(at) => (subject.get(..at).unwrap_or_default(), subject.get(at + 1..)),
            None => (subject, None),
        };
        self.rest.collect(found);
        for node in self.any.as_deref().into_iter().chain(self.named.get(token)) {
            match left {
                Some(left) => node.collect(left, found),
                None => node.here.collect(found),
            }
        }
    }
}

impl Leaf {
    fn insert(&mut self, sub: &Arc<Sub>) {
        if sub.queue.is_none() {
            self.plain.push(Arc::clone(sub));
            return;
        }
        match self.queues.iter_mut().find(|members| is_group(members, sub)) {
            Some(members) => members.push(Arc::clone(sub)),
            None => self.queues.push(vec![Arc::clone(sub)]),
        }
    }

    fn remove(&mut self, sub: &Arc<Sub>) -> bool {
        let take = |members: &mut Vec<Arc<Sub>>| {
            let at = members.iter().position(|member| Arc::ptr_eq(member, sub));
            at.map(|at| members.swap_remove(at)).is_some()
        };
        if sub.queue.is_none() {
            return take(&mut self.plain);
        }
        let removed = self.queues.iter_mut().filter(|members| is_group(members, sub)).any(take);
        self.queues.retain(|members| !members.is_empty());
        removed
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }

    fn collect(&self, found: &mut Matches) {
        found.plain.extend(self.plain.iter().cloned());
        for members in &self.queues {
            let group = members
                .first()
                .and_then(|first| found.queues.iter_mut().find(|known| is_group(known, first)));
            match group {
                Some(known) => known.extend(members.iter().cloned()),
                None => found.queues.push(members.clone()),
            }
        }
    }
}

fn is_group(members: &[Arc<Sub>], sub: &Sub) -> bool {
    members.first().is_some_and(|member| member.queue == sub.queue)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        local::{Message, Receiver},
        subscription::Target,
    };

    fn sub(pattern: &str, queue: Option<&str>) -> Arc<Sub> {
        let nobody: Arc<dyn Receiver> = Arc::new(|_: Message| true);
        Arc::new(Sub::new(pattern.as_bytes(), queue.map(str::as_bytes), b"", Target::Local(nobody)))
    }

    fn names(matches: &Matches) -> Vec<String> {
        let all = matches.plain.iter().chain(matches.queues.iter().flatten());
        let mut names: Vec<_> = all.map(|sub| String::from_utf8_lossy(&sub.subject).into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_group_that_spans_patterns_is_one_group() {
        let mut trie = Trie::default();
        for pattern in ["a.*", "a.b", "a.>"] {
            trie.insert(&sub(pattern, Some("q")));
        }
        trie.insert(&sub("a.b", Some("other")));
        let found = trie.matches(b"a.b");
        let mut sizes: Vec<_> = found.queues.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!((sizes, found.plain.len()), (vec![1, 3], 0));
    }

    #[test]
    fn an_empty_token_matches_nothing() {
        let mut trie = Trie::default();
        trie.insert(&sub(">", None));
        assert!(
            [&b""[..], b"a.", b".a", b"a..b"]
                .into_iter()
                .all(|subject| trie.matches(subject).plain.is_empty())
        );
    }

    fn pattern() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("*")];
        (prop::collection::vec(token, 1..4), 0..3)
            .prop_map(|(tokens, rest)| tokens.join(".") + if rest == 0 { ".>" } else { "" })
    }

    proptest! {
        #[test]
        fn the_trie_finds_what_a_naive_search_finds(
            patterns in prop::collection::vec((pattern(), prop::option::of(Just("q"))), 0..12),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            subject in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..5),
        ) {
            let mut trie = Trie::default();
            let mut subs: Vec<_> = patterns.iter().map(|(pattern, queue)| sub(pattern, *queue)).collect();
            for sub in &subs {
                trie.insert(sub);
            }
            for index in removed {
                if !subs.is_empty() {
                    let gone = subs.swap_remove(index.index(subs.len()));
                    prop_assert!(trie.remove(&gone) && !trie.remove(&gone));
                }
            }
            let subject = subject.join(".");
            let mut naive: Vec<_> = subs
                .iter()
                .filter(|sub| subject::covers(&sub.subject, subject.as_bytes()))
                .map(|sub| String::from_utf8_lossy(&sub.subject).into_owned())
                .collect();
            naive.sort();
            prop_assert_eq!(names(&trie.matches(subject.as_bytes())), naive);
            prop_assert_eq!(trie.len(), subs.len());
            for sub in &subs {
                trie.remove(sub);
            }
            prop_assert!(trie.root.is_empty());
        }
    }
}
