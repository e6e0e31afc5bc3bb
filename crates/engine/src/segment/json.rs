//! Segments from and to JSON.

use serde_json::{Map, Value, json};

use super::{MOST_GROUPS, MOST_LISTED, check};
use crate::fault::{At, Faults};
use crate::read::{Object, kind_of};
use crate::{Condition, Fault, Segment};

pub(super) fn parse(body: &Value) -> Result<Segment, Vec<Fault>> {
    let mut faults = Faults::default();
    let at = At::ROOT;
    let Some(object) = Object::new(body, "a segment", &at, &mut faults) else {
        return Err(faults.into_vec());
    };
    let known = ["key", "name", "description", "conditions", "included", "excluded"];
    object.refuse_unknown(&known, &mut faults);
    let key = object.text("key", &mut faults).unwrap_or_default();
    let name = object.text("name", &mut faults).filter(|name| !name.is_empty());
    let segment = Segment {
        name: name.unwrap_or_else(|| key.clone()),
        key,
        description: object.text("description", &mut faults).unwrap_or_default(),
        conditions: groups(object, &mut faults),
        included: object.texts("included", MOST_LISTED, &mut faults),
        excluded: object.texts("excluded", MOST_LISTED, &mut faults),
    };
    if faults.len() == 0 {
        check(&segment, &mut faults);
    }
    faults.or(segment)
}

fn groups(object: Object<'_>, faults: &mut Faults) -> Vec<Vec<Condition>> {
    let items = object.items("conditions", MOST_GROUPS, faults).unwrap_or_default();
    let at = object.at.member("conditions");
    // A plain list of conditions is one group.
    if !items.is_empty() && items.iter().all(Value::is_object) {
        return vec![crate::flag::group(items, &at, faults)];
    }
    let mut groups = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        match item {
            Value::Array(conditions) => groups.push(crate::flag::group(conditions, &at, faults)),
            other => {
                let message = format!("this has to be an array of conditions, not {}", kind_of(other));
                faults.add(&at, message);
            }
        }
    }
    groups
}

pub(super) fn render(segment: &Segment) -> Value {
    let condition = |condition: &Condition| {
        let mut object = Map::new();
        crate::condition::render(condition, &mut object);
        Value::Object(object)
    };
    let groups = segment.conditions.iter();
    let groups: Value = groups.map(|group| group.iter().map(condition).collect::<Value>()).collect();
    json!({
        "key": segment.key,
        "name": segment.name,
        "description": segment.description,
        "conditions": groups,
        "included": segment.included,
        "excluded": segment.excluded,
    })
}
