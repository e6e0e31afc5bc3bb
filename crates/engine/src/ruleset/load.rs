//! Compiling a whole environment at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::fault::quote;
use crate::matcher::Interner;
use crate::{Attributes, Fault, Flag, Ruleset, Segment};

type Reports = Vec<(String, Vec<Fault>)>;

pub(super) fn load(
    attributes: Arc<Attributes>,
    segments: impl Iterator<Item = Segment>,
    flags: impl Iterator<Item = (Flag, u64)>,
) -> (Ruleset, Reports) {
    let mut loader =
        Loader { ruleset: Ruleset::new(attributes), texts: Interner::default(), reports: Reports::new() };
    loader.insert_all(segments);
    loader.insert_all(flags);
    (loader.ruleset, loader.reports)
}

struct Loader {
    ruleset: Ruleset,
    texts: Interner,
    reports: Reports,
}

/// What can be loaded, and may need others of its kind to be there first.
trait Loadable {
    fn key(&self) -> &str;
    fn needs(&self) -> Vec<String>;
    fn is_there(key: &str, ruleset: &Ruleset) -> bool;
    fn insert(&self, ruleset: &mut Ruleset, texts: &mut Interner) -> Result<(), Vec<Fault>>;
}

impl Loadable for Segment {
    fn key(&self) -> &str {
        &self.key
    }

    fn needs(&self) -> Vec<String> {
        self.conditions.iter().flatten().flat_map(crate::Condition::segments).collect()
    }

    fn is_there(key: &str, ruleset: &Ruleset) -> bool {
        ruleset.has_segment(key)
    }

    fn insert(&self, ruleset: &mut Ruleset, texts: &mut Interner) -> Result<(), Vec<Fault>> {
        ruleset.insert_segment(self, texts)
    }
}

impl Loadable for (Flag, u64) {
    fn key(&self) -> &str {
        &self.0.key
    }

    fn needs(&self) -> Vec<String> {
        self.0.prerequisites.iter().map(|required| required.flag.clone()).collect()
    }

    fn is_there(key: &str, ruleset: &Ruleset) -> bool {
        ruleset.flag(key).is_some()
    }

    fn insert(&self, ruleset: &mut Ruleset, texts: &mut Interner) -> Result<(), Vec<Fault>> {
        ruleset.insert_flag(&self.0, self.1, texts)
    }
}

impl Loader {
    /// Inserts each item after those it needs. Most need nothing and are not kept waiting, so that they are not all in
    /// memory at once.
    fn insert_all<T: Loadable>(&mut self, items: impl Iterator<Item = T>) {
        let mut waiting = Vec::new();
        for item in items {
            let needed = item.needs();
            if needed.is_empty() {
                self.insert(&item);
            } else {
                waiting.push((item, needed));
            }
        }
        loop {
            let is_there = |key: &String| T::is_there(key, &self.ruleset);
            let (ready, others): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|(_, needed)| needed.iter().all(is_there));
            waiting = others;
            if ready.is_empty() {
                break;
            }
            for (item, _) in &ready {
                self.insert(item);
            }
        }
        self.report_waiting(&waiting);
    }

    fn insert<T: Loadable>(&mut self, item: &T) {
        if let Err(faults) = item.insert(&mut self.ruleset, &mut self.texts) {
            self.reports.push((item.key().to_owned(), faults));
        }
    }

    fn report_waiting<T: Loadable>(&mut self, waiting: &[(T, Vec<String>)]) {
        let stuck: BTreeSet<&str> = waiting.iter().map(|(item, _)| item.key()).collect();
        for (item, needed) in waiting {
            let missing = needed.iter().filter(|key| !T::is_there(key, &self.ruleset));
            let faults = missing.map(|key| Fault::new("", reason(key, &stuck))).collect();
            self.reports.push((item.key().to_owned(), faults));
        }
    }
}

fn reason(needed: &str, stuck: &BTreeSet<&str>) -> String {
    let name = quote(needed);
    if stuck.contains(needed) {
        return format!("it needs {name}, which in turn needs this one, or something missing");
    }
    format!("it needs {name}, which is missing or broken")
}
