//! Segments in the form in which they are asked.

use std::sync::Arc;

use super::{CompiledCondition, Compiler};
use crate::Segment;
use crate::fault::{At, Fault, Faults};
use crate::segments::CompiledSegment;
use crate::text::TextSet;

/// Checks the segment against the environment and compiles it.
pub(crate) fn compile(segment: &Segment, env: &mut Compiler<'_>) -> Result<CompiledSegment, Vec<Fault>> {
    let mut faults = Faults::default();
    crate::segment::check(segment, &mut faults);
    let at = At::ROOT.member("conditions");
    let groups = segment.conditions.iter().enumerate();
    let any_of = groups.map(|(index, group)| conditions(group, &at.item(index), env, &mut faults)).collect();
    let mut set =
        |texts: &[String]| TextSet::new(texts.iter().map(|text| env.scope.texts.text(text)).collect());
    let (included, excluded) = (set(&segment.included), set(&segment.excluded));
    let key: Arc<str> = segment.key.as_str().into();
    let asks = segment.conditions.iter().flatten().flat_map(crate::Condition::segments);
    let mut asks: Vec<Arc<str>> = asks.map(|key| env.scope.texts.text(&key)).collect();
    asks.sort_unstable();
    asks.dedup();
    faults.or(CompiledSegment { key, included, excluded, any_of, asks })
}

fn conditions(
    group: &[crate::Condition],
    at: &At<'_>,
    env: &mut Compiler<'_>,
    faults: &mut Faults,
) -> Box<[CompiledCondition]> {
    let conditions = group.iter().enumerate();
    conditions.filter_map(|(index, condition)| env.condition(condition, &at.item(index), faults)).collect()
}
