//! All flags and segments of one environment, compiled.

mod load;
mod prerequisites;
mod users;

use std::sync::Arc;

use users::{User, Users};

use crate::compile::{CompiledFlag, Compiler, compile_flag, compile_segment};
use crate::fault::{At, Faults};
use crate::matcher::{Interner, Scope};
use crate::segments::Segments;
use crate::shards::{Keyed, Shards};
use crate::{Attributes, Fault, Flag, Segment};

/// All flags and segments of one environment, compiled. Never changes: every edit gives a new one that shares
/// whatever was not edited, so that both cloning and editing stay cheap with a hundred thousand flags.
#[derive(Debug, Clone)]
pub struct Ruleset {
    attributes: Arc<Attributes>,
    flags: Shards<Arc<CompiledFlag>>,
    segments: Arc<Segments>,
    /// By flag: which flags have it as prerequisite.
    dependents: Shards<Users>,
    /// By segment: which flags and segments ask about it.
    segment_users: Shards<Users>,
}

impl Keyed for Arc<CompiledFlag> {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Ruleset {
    /// No flags and no segments.
    pub fn new(attributes: Arc<Attributes>) -> Ruleset {
        Ruleset {
            attributes,
            flags: Shards::new(),
            segments: Arc::default(),
            dependents: Shards::new(),
            segment_users: Shards::new(),
        }
    }

    /// Compiles everything at once. Flags and segments may come in any order. What is broken, or needs something that
    /// is, is left out and reported with its key.
    pub fn load(
        attributes: Arc<Attributes>,
        segments: impl Iterator<Item = Segment>,
        flags: impl Iterator<Item = (Flag, u64)>,
    ) -> (Ruleset, Vec<(String, Vec<Fault>)>) {
        load::load(attributes, segments, flags)
    }

    /// The attributes that conditions may use.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Adds or replaces a flag. Only this flag is compiled.
    ///
    /// # Errors
    /// All faults, pointing into the flag's canonical JSON: in the flag itself, in what it refers to, and in what
    /// refers to it.
    pub fn put_flag(&self, flag: &Flag, revision: u64) -> Result<Ruleset, Vec<Fault>> {
        let mut next = self.clone();
        next.insert_flag(flag, revision, &mut Interner::default())?;
        Ok(next)
    }

    /// Removes a flag; without effect when there is none.
    ///
    /// # Errors
    /// While other flags have it as prerequisite, one fault naming them.
    pub fn remove_flag(&self, key: &str) -> Result<Ruleset, Vec<Fault>> {
        if let Some(users) = self.dependents.get(key) {
            let message =
                format!("this flag is required by {users}; take it out of their `prerequisites` first");
            return Err(vec![Fault::new("", message)]);
        }
        let mut next = self.clone();
        if let Some(flag) = self.flags.get(key) {
            let user = User::Flag(flag.key.clone());
            let required = flag.prerequisites().iter().map(|required| &required.flag);
            users::replace(&mut next.dependents, &user, required, std::iter::empty());
            let asked = flag.segments().iter();
            users::replace(&mut next.segment_users, &user, asked, std::iter::empty());
            next.flags.remove(key);
        }
        Ok(next)
    }

    /// Adds or replaces a segment. No flag is compiled again.
    ///
    /// # Errors
    /// All faults, pointing into the segment's canonical JSON.
    pub fn put_segment(&self, segment: &Segment) -> Result<Ruleset, Vec<Fault>> {
        let mut next = self.clone();
        next.insert_segment(segment, &mut Interner::default())?;
        Ok(next)
    }

    /// Removes a segment; without effect when there is none.
    ///
    /// # Errors
    /// While flags or segments ask about it, one fault naming them.
    pub fn remove_segment(&self, key: &str) -> Result<Ruleset, Vec<Fault>> {
        if let Some(users) = self.segment_users.get(key) {
            let message = format!("this segment is used by {users}; take it out of their conditions first");
            return Err(vec![Fault::new("", message)]);
        }
        let mut next = self.clone();
        let position = self.segments.position(key);
        if let Some(segment) = position.and_then(|position| self.segments.at(position)) {
            let user = User::Segment(segment.key.clone());
            users::replace(&mut next.segment_users, &user, segment.asks.iter(), std::iter::empty());
            Arc::make_mut(&mut next.segments).remove(key);
        }
        Ok(next)
    }

    /// The flag of this key.
    #[inline]
    pub fn flag(&self, key: &str) -> Option<&CompiledFlag> {
        self.flags.get(key).map(AsRef::as_ref)
    }

    /// All flags, in no order that means anything.
    pub fn flags(&self) -> impl Iterator<Item = &CompiledFlag> {
        self.flags.iter().map(AsRef::as_ref)
    }

    /// How many flags there are.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there is no flag.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a segment of this key.
    pub fn has_segment(&self, key: &str) -> bool {
        self.segments.position(key).is_some()
    }

    #[inline]
    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Nothing is changed before everything was checked.
    fn insert_flag(&mut self, flag: &Flag, revision: u64, texts: &mut Interner) -> Result<(), Vec<Fault>> {
        let mut env =
            Compiler { attributes: &self.attributes, scope: Scope { texts, segments: Some(&self.segments) } };
        let mut faults = Faults::default();
        let compiled = compile_flag(flag, revision, &mut env);
        prerequisites::check(self, flag, &mut faults);
        let compiled = match compiled {
            Ok(compiled) => faults.or(Arc::new(compiled))?,
            Err(found) => return Err(found.into_iter().chain(faults.into_vec()).collect()),
        };
        let user = User::Flag(compiled.key.clone());
        let before = self.flags.get(&compiled.key).cloned();
        let before = before.as_deref();
        let required = |flag: &CompiledFlag| -> Vec<Arc<str>> {
            flag.prerequisites().iter().map(|required| required.flag.clone()).collect()
        };
        let old = before.map(required).unwrap_or_default();
        users::replace(&mut self.dependents, &user, old.iter(), required(&compiled).iter());
        let old = before.map(CompiledFlag::segments).unwrap_or_default();
        users::replace(&mut self.segment_users, &user, old.iter(), compiled.segments().iter());
        self.flags.put(compiled);
        Ok(())
    }

    fn insert_segment(&mut self, segment: &Segment, texts: &mut Interner) -> Result<(), Vec<Fault>> {
        let mut env =
            Compiler { attributes: &self.attributes, scope: Scope { texts, segments: Some(&self.segments) } };
        let compiled = compile_segment(segment, &mut env)?;
        let mut faults = Faults::default();
        self.segments.check_nesting(&compiled, &At::ROOT.member("conditions"), &mut faults);
        let compiled = faults.or(compiled)?;
        let user = User::Segment(compiled.key.clone());
        let position = self.segments.position(&compiled.key);
        let before = position.and_then(|position| self.segments.at(position));
        let old = before.map(|before| before.asks.clone()).unwrap_or_default();
        users::replace(&mut self.segment_users, &user, old.iter(), compiled.asks.iter());
        Arc::make_mut(&mut self.segments).put(compiled);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
