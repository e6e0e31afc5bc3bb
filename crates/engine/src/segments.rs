//! The compiled segments of an environment.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::Context;
use crate::attributes::Slot;
use crate::compile::CompiledCondition;
use crate::fault::{At, Faults};
use crate::text::TextSet;

/// A group of callers ready to be asked.
#[derive(Debug)]
pub(crate) struct CompiledSegment {
    pub(crate) key: Arc<str>,
    pub(crate) included: TextSet,
    pub(crate) excluded: TextSet,
    /// Any of these groups of conditions.
    pub(crate) any_of: Box<[Box<[CompiledCondition]>]>,
    /// Keys of the segments that conditions ask about.
    pub(crate) asks: Vec<Arc<str>>,
}

/// How many segments may stand in a row, each asking about the next.
const LONGEST_CHAIN: usize = 5;

/// How many segments one question may lead to, counted with repetition.
const MOST_QUESTIONS: usize = 200;

/// Segments at positions that stay theirs for good, so that compiled flags can refer to them by number and need not be
/// compiled again when a segment changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segments {
    positions: HashMap<Arc<str>, u32>,
    list: Vec<Option<Arc<CompiledSegment>>>,
}

/// Why a caller belongs to a segment, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    Excluded,
    Included,
    /// All conditions of the group at this position hold.
    Conditions(usize),
    None,
}

impl CompiledSegment {
    pub(crate) fn membership(&self, context: &Context<'_>, segments: &Segments) -> Membership {
        if let Some(user) = context.get(Slot::USER_ID) {
            if self.excluded.matches(user) {
                return Membership::Excluded;
            }
            if self.included.matches(user) {
                return Membership::Included;
            }
        }
        let all_hold =
            |group: &[CompiledCondition]| group.iter().all(|condition| condition.holds(context, segments));
        let group = self.any_of.iter().position(|group| all_hold(group));
        group.map_or(Membership::None, Membership::Conditions)
    }
}

impl Membership {
    pub(crate) fn belongs(self) -> bool {
        matches!(self, Membership::Included | Membership::Conditions(_))
    }
}

impl Segments {
    pub(crate) fn position(&self, key: &str) -> Option<u32> {
        self.positions.get(key).copied()
    }

    pub(crate) fn at(&self, position: u32) -> Option<&CompiledSegment> {
        let index = usize::try_from(position).ok()?;
        self.list.get(index)?.as_deref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CompiledSegment> {
        self.list.iter().flatten().map(AsRef::as_ref)
    }

    /// Whether the caller belongs to any of these.
    pub(crate) fn any_contains(&self, positions: &[u32], context: &Context<'_>) -> bool {
        positions
            .iter()
            .filter_map(|position| self.at(*position))
            .any(|segment| segment.membership(context, self).belongs())
    }

    /// Notes it when `segment` would ask about itself, or anything with it about too much.
    pub(crate) fn check_nesting(&self, segment: &CompiledSegment, at: &At<'_>, faults: &mut Faults) {
        if segment.asks.is_empty() {
            return;
        }
        let others = self.iter().filter(|other| other.key != segment.key);
        let mut all = std::iter::once(segment).chain(others);
        if let Some(complaint) = all.find_map(|one| self.follow(one, segment, 1, &mut 0).err()) {
            faults.add(at, complaint);
        }
    }

    /// Follows the chains from `from` as if `changed` had replaced the segment of its key.
    fn follow(
        &self,
        from: &CompiledSegment,
        changed: &CompiledSegment,
        length: usize,
        questions: &mut usize,
    ) -> Result<(), String> {
        *questions += 1;
        if length > LONGEST_CHAIN || *questions > MOST_QUESTIONS {
            return Err(format!(
                "segments would ask about each other in a circle, in a row of more than {LONGEST_CHAIN}, \
                 or more than {MOST_QUESTIONS} in all; ask about fewer"
            ));
        }
        from.asks.iter().try_for_each(|key| {
            let other = if *key == changed.key {
                Some(changed)
            } else {
                self.position(key).and_then(|position| self.at(position))
            };
            other.map_or(Ok(()), |other| self.follow(other, changed, length + 1, questions))
        })
    }

    /// Adds the segment, or puts it in the place of the one with its key.
    pub(crate) fn put(&mut self, segment: CompiledSegment) {
        let segment = Arc::new(segment);
        let known = self.position(&segment.key).and_then(|position| usize::try_from(position).ok());
        if let Some(place) = known.and_then(|index| self.list.get_mut(index)) {
            *place = Some(segment);
            return;
        }
        // Beyond four billion segments there is no memory left anyway.
        let Ok(position) = u32::try_from(self.list.len()) else {
            return;
        };
        self.positions.insert(segment.key.clone(), position);
        self.list.push(Some(segment));
    }

    /// Empties the segment's place, which nobody gets after it: a flag compiled earlier may still name it.
    pub(crate) fn remove(&mut self, key: &str) {
        let Some(position) = self.positions.remove(key) else {
            return;
        };
        let index = usize::try_from(position).ok();
        if let Some(place) = index.and_then(|index| self.list.get_mut(index)) {
            *place = None;
        }
    }
}
